"""Putting files together in local folders and through any other storage: what goes wrong leaves nothing behind."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from pyiceberg.io import FileIO
from pyiceberg.io.fsspec import FsspecFileIO
from pyiceberg.io.pyarrow import PyArrowFileIO

from app.domain.names import DatasetName
from app.errors import BackendUnavailableError, MissingFileError, UnreadableTableError
from app.lake.catalog import reading_files
from app.lake.compact.copying.errors import JoinStoppedError
from app.lake.compact.copying.pieces import Extent, Piece
from app.lake.compact.copying.writing import write_pieces
from app.lake.named_files import NamedFiles
from tests.unit.lake.compact.parquet_files import never

NAME = DatasetName.parse("sales.orders")
# A kind of storage that is neither a local folder nor S3: everything goes through streams.
MEMORY = "memory://lake/"


@pytest.fixture(params=["local", "local without copy_file_range", "streams"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    if request.param == "streams":
        io = FsspecFileIO({})
        io._scheme_to_fs = {"memory": lambda _: MemoryFileSystem()}
        yield Place(NamedFiles(io), f"{MEMORY}{tmp_path.name}/")
        MemoryFileSystem.store.clear()
        return
    if "without" in request.param:
        monkeypatch.delattr(os, "copy_file_range")
    yield Place(NamedFiles(PyArrowFileIO()), f"{tmp_path.as_uri()}/")


class Place:
    """A folder somewhere."""

    def __init__(self, io: FileIO, folder: str) -> None:
        self.io = io
        self.folder = folder

    def put(self, name: str, content: bytes) -> str:
        with self.io.new_output(self.folder + name).create(overwrite=True) as stream:
            stream.write(content)
        return self.folder + name

    def find(self, name: str) -> bytes | None:
        file = self.io.new_input(self.folder + name)
        if not file.exists():
            return None
        with file.open() as stream:
            return bytes(stream.read())

    def write(self, name: str, pieces: list[Piece], is_stopped: Callable[[], bool] = never) -> None:
        with reading_files(NAME):
            write_pieces(self.io, self.folder + name, pieces, is_stopped)


def test_pieces_come_one_after_the_other(place: Place) -> None:
    big = os.urandom(20 * 2**20)
    a, b = place.put("it's a", big), place.put("b", b"0123456789")

    place.write("new/file", [b"PAR1", Extent(a, 5, len(big) - 5), Extent(b, 3, 4), b"", Extent(b, 0, 1), b"end"])

    assert place.find("new/file") == b"PAR1" + big[5:] + b"3456" + b"0" + b"end"


def test_a_source_that_is_gone(place: Place) -> None:
    b = place.put("b", b"0123456789")

    with pytest.raises(MissingFileError) as told:
        place.write("file", [Extent(b, 0, 10), Extent(place.folder + "gone", 0, 10)])

    assert told.value.fields == {"dataset": "sales.orders", "file": place.folder + "gone"}
    assert place.find("file") is None


def test_a_source_that_ends_too_early(place: Place) -> None:
    b = place.put("short", b"0123456789")

    with pytest.raises(UnreadableTableError, match="short: it ends at byte 10, which is too early"):
        place.write("file", [b"PAR1", Extent(b, 4, 7)])

    assert place.find("file") is None


def test_a_file_that_is_there_is_not_touched(place: Place) -> None:
    b = place.put("b", b"0123456789")

    with pytest.raises(BackendUnavailableError, match="b could not be written"):
        place.write("b", [b"PAR1"])

    assert place.find("b") == b"0123456789"
    assert b == place.folder + "b"


@pytest.mark.parametrize("asked", [1, 2, 3])
def test_who_is_told_to_stop_leaves_nothing(place: Place, asked: int) -> None:
    b = place.put("b", b"0123456789")
    times = 0

    def is_stopped() -> bool:
        nonlocal times
        times += 1
        return times == asked

    with pytest.raises(JoinStoppedError):
        place.write("file", [Extent(b, 0, 10)] * 3, is_stopped)

    assert place.find("file") is None
    assert times == asked


def test_large_files_are_copied_in_steps_between_which_it_can_be_stopped(place: Place) -> None:
    big = place.put("big", bytes(130 * 2**20))
    times = []

    place.write("file", [Extent(big, 0, 130 * 2**20)], lambda: bool(times.append(1)))

    assert len(times) >= 3
    assert len(place.find("file") or b"") == 130 * 2**20


@pytest.mark.parametrize("refusal", [errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EIO, 0])
def test_where_the_kernel_does_not_copy_it_is_read_and_written(
    refusal: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a kernel that copies a little, and then refuses, or says that there is nothing
    (tmp_path / "a").write_bytes(bytes(range(256)) * 20_000)
    calls = []

    def copy(source: int, target: int, count: int, offset: int) -> int:
        calls.append(count)
        if len(calls) == 1:
            return os.write(target, os.pread(source, 1000, offset))
        if refusal:
            raise OSError(refusal, os.strerror(refusal))
        return 0

    monkeypatch.setattr(os, "copy_file_range", copy)

    write_pieces(PyArrowFileIO(), str(tmp_path / "b"), [b"PAR1", Extent(str(tmp_path / "a"), 100, 5_000_000)], never)

    assert (tmp_path / "b").read_bytes() == b"PAR1" + (bytes(range(256)) * 20_000)[100:5_000_100]
    assert len(calls) == (2 if refusal else 6)


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Files of this process may have 1 MB, of which the kernel says what it does of a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("in_kernel", [True, False])
def test_a_full_disk_is_told_and_given_back(
    in_kernel: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_disk: None
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(bytes(900_000))
    if not in_kernel:
        monkeypatch.delattr(os, "copy_file_range")
    extents: list[Piece] = [Extent(f"{tmp_path}/{name}", 0, 900_000) for name in ("a", "b")]

    with pytest.raises(BackendUnavailableError) as told:
        write_pieces(PyArrowFileIO(), f"{tmp_path}/c", extents, never)

    assert told.value.message == f"storage is not available: {tmp_path}/c could not be written: File too large"
    assert not (tmp_path / "c").exists()


def test_a_disk_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(bytes(3_000_000))

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "copy_file_range", full)
    with pytest.raises(BackendUnavailableError, match="No space left on device") as told:
        write_pieces(PyArrowFileIO(), str(tmp_path / "b"), [Extent(str(tmp_path / "a"), 0, 3_000_000)], never)

    assert told.value.handling.is_retryable
    assert not (tmp_path / "b").exists()


def test_a_folder_that_nobody_may_write_to() -> None:
    with pytest.raises(BackendUnavailableError, match="/proc/no/file could not be written"):
        write_pieces(PyArrowFileIO(), "/proc/no/file", [b"PAR1"], never)


@pytest.mark.parametrize("place", ["local", "local without copy_file_range"], indirect=True)
def test_memory_does_not_grow_with_what_is_copied(place: Place) -> None:
    big = place.put("big", bytes(200 * 2**20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    place.write("file", [Extent(big, 0, 200 * 2**20)] * 2)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000
