"""Fixtures of the tests of compaction."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from app.lake.internals import CachingSqlCatalog
from app.lake.metadata_cache import MetadataCache
from tests.servers.s3 import s3_server
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


@pytest.fixture(scope="module")
def store() -> Iterator[Mapping[str, str]]:
    with s3_server() as properties:
        yield properties


@pytest.fixture
def client(store: Mapping[str, str]) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=store["s3.endpoint"],
        region_name=store["s3.region"],
        aws_access_key_id=store["s3.access-key-id"],
        aws_secret_access_key=store["s3.secret-access-key"],
    )
