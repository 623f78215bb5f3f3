"""Files read whole, and what that costs in S3."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyiceberg.io.pyarrow import PyArrowFileIO

from app.domain.names import DatasetName
from app.errors import MissingFileError, UnreadableTableError
from app.lake.catalog import reading_files
from app.lake.named_files import AbsentFileError, NamedFiles
from app.lake.whole_files import WholeFiles
from tests.servers.counting_proxy import counting_proxy
from tests.servers.s3 import s3_server

NAME = DatasetName.parse("sales.orders")


@pytest.fixture(scope="module")
def store() -> Iterator[tuple[dict[str, str], Counter[str]]]:
    """Properties of a store, and what was asked of it."""
    with s3_server() as properties, counting_proxy(properties["s3.endpoint"]) as (url, counts):
        yield {**properties, "s3.endpoint": url}, counts


def test_an_object_takes_one_request_whatever_the_scheme_and_the_thread(
    store: tuple[dict[str, str], Counter[str]],
) -> None:
    # Given objects, of which one is empty and one is larger than what is read at once of a stream
    properties, counts = store
    location = f"{properties['warehouse']}/t"
    io = PyArrowFileIO(properties)
    written = {f"{location}/{size} bytes é.avro": bytes(size) for size in (0, 1, 70_000, 9_000_000)}
    for path, data in written.items():
        with io.new_output(path).create() as stream:
            stream.write(data)
    counts.clear()

    # When several threads read them, some by another name of the same scheme
    files = WholeFiles(NamedFiles(io), location)
    asked = [*written, *(path.replace("s3://", "s3a://", 1) for path in written)]
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(files.read, asked))

    # Then each took one request
    assert read == [*written.values(), *written.values()]
    assert counts == {"GET": len(asked)}


def test_an_object_that_is_not_there_is_missing_and_one_of_a_store_that_is_away_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # That clients try again for a while is theirs, and takes ten seconds
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with s3_server() as properties:
        location = f"{properties['warehouse']}/t"
        files = WholeFiles(NamedFiles(PyArrowFileIO(properties)), location)
        with pytest.raises(MissingFileError) as gone, reading_files(NAME):
            files.read(f"{location}/gone.avro")
    with pytest.raises(UnreadableTableError) as away, reading_files(NAME):
        files.read(f"{location}/gone.avro")

    assert gone.value.fields == {"dataset": "sales.orders", "file": f"{location}/gone.avro"}
    assert (gone.value.handling.is_retryable, away.value.handling.is_retryable) == (False, True)


def test_local_files_are_read_as_ever(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    files = WholeFiles(NamedFiles(PyArrowFileIO()), tmp_path.as_uri())

    assert files.read(f"{tmp_path.as_uri()}/a") == b"abc"
    with pytest.raises(AbsentFileError) as told:
        files.read(f"{tmp_path.as_uri()}/b")
    assert told.value.filename == f"{tmp_path.as_uri()}/b"
