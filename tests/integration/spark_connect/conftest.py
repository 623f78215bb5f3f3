"""A Spark Connect server that shares the embedded catalog's tables."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest
from pyiceberg.catalog import Catalog

from app.lake.catalog import EMBEDDED_CATALOG
from app.lake.spark.session import SparkAddress
from app.settings import Settings
from tests.conftest import _temporary_database
from tests.lake_tables import open_catalog
from tests.servers.spark import sql_catalog_settings
from tests.servers.spark_connect import spark_connect


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkLake:
    """A lake, and the Spark that has its catalog by the same name."""

    settings: Settings
    catalog: Catalog
    url: str
    namespace: str

    @property
    def address(self) -> SparkAddress:
        return SparkAddress(remote=self.url, catalog=EMBEDDED_CATALOG)

    def name(self, table: str) -> str:
        return f"{self.namespace}.{table}"


@pytest.fixture(scope="session")
def shared_lake(
    postgres_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Settings, Catalog, str]]:
    databases = _temporary_database(postgres_url, template=template_database)
    with contextlib.closing(databases):
        settings = Settings(home=tmp_path_factory.mktemp("home"), database_url=next(databases))
        own = sql_catalog_settings(settings.database_url or "", settings.warehouse.as_uri())
        with (
            open_catalog(settings) as catalog,
            spark_connect(tmp_path_factory.mktemp("spark-connect"), {EMBEDDED_CATALOG: own}) as url,
        ):
            yield settings, catalog, url


@pytest.fixture
def lake(shared_lake: tuple[Settings, Catalog, str]) -> SparkLake:
    """A namespace of this test alone."""
    settings, catalog, url = shared_lake
    namespace = f"spark_{uuid4().hex[:10]}"
    catalog.create_namespace(namespace)
    return SparkLake(settings=settings, catalog=catalog, url=url, namespace=namespace)
