"""Folders for what is put on disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from app.lake.row_diff.scratch import make_scratch


def test_what_a_dead_process_left_is_removed_and_all_else_stays(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f"row-diff-{dead.pid}-1-x"
    foreign = tmp_path / "row-diff-of-somebody"
    for folder in (left, foreign):
        folder.mkdir()
        (folder / "file").write_text("x")
    own = make_scratch(tmp_path)

    again = make_scratch(tmp_path)

    assert sorted(tmp_path.iterdir()) == sorted([foreign, own, again])
