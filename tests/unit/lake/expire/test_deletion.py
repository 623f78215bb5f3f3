"""Deleting files on a disk: exactly those, with an account of each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pyiceberg.io.pyarrow import PyArrowFileIO

from app.lake.expire.deletion import Deletion, delete_files

IO = PyArrowFileIO()
NOBODY = 65534


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """130 files, more than one batch, in spellings that Iceberg's writers use."""
    made = []
    for number in range(130):
        path = tmp_path / f"{number}.parquet"
        path.write_bytes(b"x")
        made.append(f"file://{path}" if number % 2 else f"file:{path}")
    return made


def accounted(done: Deletion) -> list[str]:
    return sorted([*done.gone, *(file.path for file in done.left), *done.untried])


def test_exactly_these_are_deleted(tmp_path: Path, paths: list[str]):
    (tmp_path / "kept.parquet").write_bytes(b"x")
    seen: list[int] = []

    done = delete_files(IO, [*paths, paths[0]], on_progress=seen.append)

    assert sorted(done.gone) == sorted(paths)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.parquet"]
    assert (done.missing, done.left, done.untried, done.calls) == (0, [], [], 130)
    assert seen == sorted(seen)
    assert seen[-1] == 130


def test_missing_files_count_as_gone(paths: list[str]):
    delete_files(IO, paths[:40])

    done = delete_files(IO, paths)

    assert sorted(done.gone) == sorted(paths)
    assert done.missing == 40


def test_what_cannot_be_deleted_is_left_with_its_reason(tmp_path: Path, paths: list[str]):
    # Given a folder in a file's place, and a scheme that no file system has
    folder = tmp_path / "folder.parquet"
    folder.mkdir()
    (folder / "inside").write_bytes(b"x")
    bad = [f"file://{folder}", "nowhere://bucket/file.parquet"]

    # When they are among the files
    done = delete_files(IO, [*paths, *bad])

    # Then the others are gone, and these are told
    assert sorted(done.gone) == sorted(paths)
    assert sorted(file.path for file in done.left) == sorted(bad)
    assert len(done.examples) == 2
    assert done.reasons.total() == 2
    assert (folder / "inside").exists()


@pytest.mark.parametrize("ending", ["#x.parquet", "?x=1.parquet", "\n", "\t"])
def test_what_a_url_would_leave_out_is_part_of_a_path(tmp_path: Path, ending: str):
    # Given a file, and others whose paths are the same to whoever takes them for URLs
    needed = tmp_path / "needed.parquet"
    for name in ("needed.parquet", "needed.parquet" + ending):
        (tmp_path / name).write_bytes(b"x")
    paths = [f"file://{needed}{ending}", f"s3n-like://bucket/needed.parquet{ending}"]

    # When those are deleted
    done = delete_files(IO, paths)

    # Then that is not, and what no file system can be asked for is left
    assert [path.name for path in tmp_path.iterdir()] == ["needed.parquet"]
    assert (done.gone, done.missing) == (paths[:1], 0)
    assert [file.path for file in done.left] == paths[1:]


def test_want_of_permission_is_counted(tmp_path: Path, paths: list[str]):
    # Given a folder that may not be written to, by somebody who is not root
    tmp_path.chmod(0o500)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(NOBODY)
        done = delete_files(IO, paths)
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o700)

    # Then every file is told as forbidden, and is there
    assert done.forbidden == len(paths)
    assert accounted(done) == sorted(paths)
    assert len(list(tmp_path.iterdir())) == len(paths)


def test_stopped_between_batches_and_gone_on_with(tmp_path: Path, paths: list[str]):
    # Given that it is stopped after the first batch was begun
    asked: list[bool] = []

    def is_stopped() -> bool:
        asked.append(True)
        return len(asked) > 1

    # When it runs
    first = delete_files(IO, paths, is_stopped=is_stopped)

    # Then a part is gone, the rest untried, and nothing unaccounted for
    assert len(first.gone) == 50
    assert len(first.untried) == 80
    assert accounted(first) == sorted(paths)
    rest = delete_files(IO, first.untried)
    assert sorted(rest.gone) == sorted(first.untried)
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_delete_costs_nothing():
    assert delete_files(IO, []) == Deletion()
