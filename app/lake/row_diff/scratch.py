"""Folders for what a comparison puts on disk; those of processes that were killed are removed by later ones."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from tempfile import mkdtemp

import psutil

_NAME = re.compile(r"row-diff-([0-9]+)-[0-9]+-.*")


def make_scratch(folder: Path) -> Path:
    """A new folder in this one, named after this process; what dead processes of this machine left goes.

    Raises:
        OSError: it cannot be made.
    """
    sweep_scratch(folder)
    process = psutil.Process()
    return Path(mkdtemp(prefix=f"row-diff-{process.pid}-{int(process.create_time())}-", dir=folder))


def sweep_scratch(folder: Path) -> None:
    """Remove the folders of processes that are no more."""
    for found in folder.glob("row-diff-*"):
        match = _NAME.fullmatch(found.name)
        if match and not psutil.pid_exists(int(match[1])):
            shutil.rmtree(found, ignore_errors=True)
