"""Fixtures of the tests of compaction."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.lake.internals import CachingSqlCatalog
from app.lake.metadata_cache import MetadataCache
from tests.unit.lake.local_tables import NAME


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
    opened.create_namespace(NAME.namespace)
    yield opened
    opened.close()
