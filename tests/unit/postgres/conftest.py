from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def open_home() -> Iterator[Path]:
    """A home that every user can search; pytest's own directories are private to their user."""
    with tempfile.TemporaryDirectory(prefix="stratigraph-tests-") as home:
        Path(home).chmod(0o755)
        yield Path(home)
