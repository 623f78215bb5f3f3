"""Fixtures of the tests that need a table."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from tests.unit.lake.local_tables import open_catalog


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqlCatalog]:
    """A catalog of this test alone, on SQLite."""
    opened = open_catalog(tmp_path)
    yield opened
    opened.close()
