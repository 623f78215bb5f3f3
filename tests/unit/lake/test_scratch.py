"""Folders for what is put on disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from app.lake.scratch import make_scratch


def test_what_a_dead_process_left_is_removed_and_all_else_stays(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f"row-diff-{dead.pid}-1-x"
    foreign = tmp_path / "row-diff-of-somebody"
    other = tmp_path / f"sort-{dead.pid}-1-x"
    for folder in (left, foreign, other):
        folder.mkdir()
        (folder / "file").write_text("x")
    own = make_scratch(tmp_path, "row-diff")

    again = make_scratch(tmp_path, "row-diff")

    assert sorted(tmp_path.iterdir()) == sorted([foreign, other, own, again])
