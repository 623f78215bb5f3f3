"""Files that are not there, in storages of several kinds; and storage that does not answer, which is another thing."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyiceberg.io.pyarrow import PyArrowFileIO

from app.domain.names import DatasetName
from app.errors import MissingFileError, UnreadableTableError
from app.lake.catalog import reading_files
from app.lake.named_files import AbsentFileError, NamedFiles
from tests.servers.s3 import s3_server

NAME = DatasetName.parse("sales.orders")


def test_a_local_file_that_is_not_there_is_told_by_its_location(tmp_path: Path) -> None:
    location = f"{tmp_path.as_uri()}/it's gone.avro"

    for is_seekable in (True, False):
        with pytest.raises(AbsentFileError) as told:
            NamedFiles(PyArrowFileIO()).new_input(location).open(is_seekable)
        assert told.value.filename == location


def test_a_file_that_is_there_is_read_as_ever(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    files = NamedFiles(PyArrowFileIO({"x": "y"}))
    file = files.new_input(f"{tmp_path.as_uri()}/a")

    with file.open() as stream:
        assert stream.read() == b"abc"
    assert (len(file), file.exists(), files.properties) == (3, True, {"x": "y"})


def test_an_object_store_is_asked_again_where_it_did_not_answer_and_believed_where_it_did() -> None:
    # Given a store that is there, and one of which nobody answers at its address
    with s3_server() as properties:
        location = f"{properties['warehouse']}/data/gone.parquet"
        # When a file is opened that is in neither
        with pytest.raises(MissingFileError) as gone, reading_files(NAME):
            NamedFiles(PyArrowFileIO(properties)).new_input(location).open()
    with pytest.raises(UnreadableTableError) as away, reading_files(NAME):
        NamedFiles(PyArrowFileIO(properties)).new_input(location).open()

    # Then the one has told that it is gone, and the other may have it
    assert gone.value.fields == {"dataset": "sales.orders", "file": location}
    assert (gone.value.handling.is_retryable, away.value.handling.is_retryable) == (False, True)
