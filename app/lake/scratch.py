"""Folders for what does not fit into memory; those of processes that were killed are removed by later ones."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from tempfile import mkdtemp

import psutil


def make_scratch(folder: Path, purpose: str) -> Path:
    """A new folder in this one, named after its purpose and this process.

    What dead processes of this machine left of the same purpose goes.

    Raises:
        OSError: it cannot be made.
    """
    _sweep(folder, purpose)
    process = psutil.Process()
    return Path(mkdtemp(prefix=f"{purpose}-{process.pid}-{int(process.create_time())}-", dir=folder))


def _sweep(folder: Path, purpose: str) -> None:
    for found in folder.glob(f"{purpose}-*"):
        match = re.fullmatch(rf"{re.escape(purpose)}-([0-9]+)-[0-9]+-.*", found.name)
        if match and not psutil.pid_exists(int(match[1])):
            shutil.rmtree(found, ignore_errors=True)
