"""Fixtures of the tests of expiry."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.lake.internals import CachingSqlCatalog
from app.lake.metadata_cache import MetadataCache


@pytest.fixture
def cache() -> MetadataCache:
    return MetadataCache(64_000_000)


@pytest.fixture
def catalog(tmp_path: Path, cache: MetadataCache) -> Iterator[CachingSqlCatalog]:
    """This project's SQL catalog, of this test alone, on SQLite."""
    opened = CachingSqlCatalog(
        "local", cache, uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse"
    )
    opened.create_tables()
    yield opened
    opened.close()
