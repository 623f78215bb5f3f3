"""Putting files together in S3: copied by the store where it can, and nothing left behind where it goes wrong."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.io import FileIO
from pyiceberg.io.fsspec import FsspecFileIO
from pyiceberg.io.pyarrow import PyArrowFileIO

from app.domain.names import DatasetName
from app.errors import BackendUnavailableError, MissingFileError, UnreadableTableError
from app.lake.bulk import BulkStore
from app.lake.catalog import reading_files
from app.lake.compact.copying.errors import JoinStoppedError
from app.lake.compact.copying.footers import read_footer
from app.lake.compact.copying.joining import join_files
from app.lake.compact.copying.pieces import Extent, Piece
from app.lake.compact.copying.writing import write_pieces
from app.lake.named_files import NamedFiles
from tests.servers.s3 import s3_server
from tests.unit.lake.compact.parquet_files import never

NAME = DatasetName.parse("sales.orders")
MIB = 2**20
BUCKET = "lake"


@pytest.fixture(params=[PyArrowFileIO, FsspecFileIO])
def io(request: pytest.FixtureRequest, store: Mapping[str, str]) -> FileIO:
    return NamedFiles(request.param(dict(store)))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What is asked of the store."""
    counts: Counter[str] = Counter()
    call = BulkStore.call

    def counting(self: BulkStore, method: str, **arguments: Any) -> Mapping[str, Any]:
        counts[method] += 1
        return call(self, method, **arguments)

    monkeypatch.setattr(BulkStore, "call", counting)
    return counts


def put(client: Any, key: str, content: bytes) -> str:
    client.put_object(Bucket=BUCKET, Key=key, Body=content)
    return f"s3://{BUCKET}/{key}"


def get(client: Any, key: str) -> bytes | None:
    try:
        return client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    except client.exceptions.NoSuchKey:
        return None


def unfinished(client: Any) -> list[str]:
    return [upload["Key"] for upload in client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())]


def test_the_store_copies_what_is_large(io: FileIO, client: Any, calls: Counter[str], tmp_path: Path) -> None:
    # Given objects that are large, small, and in between
    contents = [os.urandom(size) for size in (12 * MIB, 100, 6 * MIB, 11 * MIB, 20 * MIB)]
    paths = [put(client, f"{tmp_path.name}/it's {n} + ü.bin", content) for n, content in enumerate(contents)]
    extents: list[Piece] = [Extent(path, 3, len(content) - 5) for path, content in zip(paths, contents, strict=True)]

    # When they become one
    write_pieces(io, f"s3a://{BUCKET}/{tmp_path.name}/new/file", [b"PAR1", *extents, b"end"], never)

    # Then it is whole, and most of it was never here
    expected = b"PAR1" + b"".join(content[3:-2] for content in contents) + b"end"
    assert get(client, f"{tmp_path.name}/new/file") == expected
    assert calls["upload_part_copy"] == 3
    assert (calls["create_multipart_upload"], calls["complete_multipart_upload"]) == (1, 1)
    assert unfinished(client) == []


@pytest.mark.parametrize("size", [0, 1, 5 * MIB - 4, 5 * MIB, 40 * MIB])
def test_objects_of_any_size(io: FileIO, client: Any, size: int, tmp_path: Path) -> None:
    content = os.urandom(size)
    path = put(client, f"{tmp_path.name}/a", content)
    pieces: list[Piece] = [b"PAR1", *([Extent(path, 0, size)] if size else [])]

    write_pieces(io, f"s3://{BUCKET}/{tmp_path.name}/b", pieces, never)

    assert get(client, f"{tmp_path.name}/b") == b"PAR1" + content


def test_a_store_that_does_not_copy_is_read_from(
    io: FileIO, client: Any, calls: Counter[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a store that copies once and then not any more
    content = os.urandom(30 * MIB)
    path = put(client, f"{tmp_path.name}/a", content)
    call = BulkStore.call

    def refusing(self: BulkStore, method: str, **arguments: Any) -> Mapping[str, Any]:
        if method == "upload_part_copy" and calls[method]:
            calls["refused"] += 1
            raise OSError(5, "NotImplemented")
        return call(self, method, **arguments)

    monkeypatch.setattr(BulkStore, "call", refusing)

    write_pieces(io, f"s3://{BUCKET}/{tmp_path.name}/b", [b"PAR1"] + [Extent(path, 1, 30 * MIB - 2)] * 3, never)

    assert get(client, f"{tmp_path.name}/b") == b"PAR1" + content[1:-1] * 3
    assert (calls["upload_part_copy"], calls["refused"]) == (1, 1)


def test_credentials_of_a_role_go_through_streams(
    store: Mapping[str, str], client: Any, calls: Counter[str], tmp_path: Path
) -> None:
    path = put(client, f"{tmp_path.name}/a", b"0123456789")

    class OfRole(PyArrowFileIO):
        """Credentials of a role, which only pyarrow knows how to get; here they are the same."""

        def __init__(self) -> None:
            super().__init__(dict(store))
            self.properties = {**store, "s3.role-arn": "arn:aws:iam::1:role/x"}
            self.fs_by_scheme = PyArrowFileIO(dict(store)).fs_by_scheme  # type: ignore[method-assign]

    write_pieces(OfRole(), f"s3://{BUCKET}/{tmp_path.name}/b", [b"PAR1", Extent(path, 2, 3)], never)

    assert get(client, f"{tmp_path.name}/b") == b"PAR1234"
    assert not calls


@pytest.mark.parametrize("size", [100, 12 * MIB])
def test_what_goes_wrong_leaves_no_object_and_no_upload(io: FileIO, client: Any, size: int, tmp_path: Path) -> None:
    content = bytes(size)
    path = put(client, f"{tmp_path.name}/short", content)
    destination = f"s3://{BUCKET}/{tmp_path.name}/b"

    with pytest.raises(MissingFileError) as gone, reading_files(NAME):
        write_pieces(io, destination, [b"PAR1", Extent(path, 0, size), Extent(f"{path}.gone", 0, size)], never)
    assert gone.value.fields["file"] == f"{path}.gone"
    with pytest.raises(UnreadableTableError, match=f"short: it ends at byte {size}"), reading_files(NAME):
        write_pieces(io, destination, [b"PAR1", Extent(path, 0, size + 1)], never)
    with pytest.raises(JoinStoppedError):
        write_pieces(io, destination, [b"PAR1", Extent(path, 0, size)], lambda: True)
    with pytest.raises(BackendUnavailableError, match="s3://nowhere/b could not be written"):
        write_pieces(io, "s3://nowhere/b", [b"PAR1", Extent(path, 0, size)], never)

    assert get(client, f"{tmp_path.name}/b") is None
    assert unfinished(client) == []


def test_an_object_that_was_there_outlives_what_goes_wrong(io: FileIO, client: Any, tmp_path: Path) -> None:
    path = put(client, f"{tmp_path.name}/b", b"0123456789")

    with pytest.raises(MissingFileError), reading_files(NAME):
        write_pieces(io, path, [b"PAR1", Extent(f"{path}.gone", 0, 10)], never)

    assert get(client, f"{tmp_path.name}/b") == b"0123456789"


def test_a_store_that_goes_away_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    # That clients try again for a while is theirs, and takes twenty seconds
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    # Given a store that is gone when it is to copy
    with ExitStack() as stack:
        properties = stack.enter_context(s3_server())
        io = NamedFiles(PyArrowFileIO(dict(properties)))
        with io.new_output(f"s3://{BUCKET}/a").create() as stream:
            stream.write(bytes(12 * MIB))
        asked = []

        def is_stopped() -> bool:
            asked.append(1)
            if len(asked) == 2:
                stack.close()
            return False

        # Then it is told as what may be tried again, not as a file that is gone
        with pytest.raises((BackendUnavailableError, UnreadableTableError)) as told, reading_files(NAME):
            write_pieces(io, f"s3://{BUCKET}/b", [b"PAR1", Extent(f"s3://{BUCKET}/a", 0, 12 * MIB)], is_stopped)

    assert told.value.handling.is_retryable


def test_parquet_files_are_joined_in_s3(io: FileIO, client: Any, calls: Counter[str], tmp_path: Path) -> None:
    # Given data files that are larger than a part, with page indexes
    tables = [
        pa.table({"id": range(n, n + 100_000), "text": [os.urandom(64).hex() for _ in range(100_000)]})
        for n in (0, 10**6)
    ]
    paths = []
    for number, table in enumerate(tables):
        pq.write_table(table, tmp_path / "x", write_page_index=True, row_group_size=30_000, compression="none")
        paths.append(put(client, f"{tmp_path.name}/{number}.parquet", (tmp_path / "x").read_bytes()))

    joined = join_files(
        io, [read_footer(io, path) for path in paths], f"s3://{BUCKET}/{tmp_path.name}/j.parquet", never
    )

    (tmp_path / "j").write_bytes(get(client, f"{tmp_path.name}/j.parquet") or b"")
    assert (tmp_path / "j").stat().st_size == joined.size_bytes
    assert pq.read_table(tmp_path / "j").equals(pa.concat_tables(tables))
    assert calls["upload_part_copy"] == 2
