"""Spark and we on the same tables: through the embedded SQL catalog (JDBC to Spark) and through a REST catalog."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from pyiceberg.catalog import Catalog, load_catalog

from app.bootstrap import Services, open_services
from app.domain.names import DatasetName
from app.lake.catalog import EMBEDDED_CATALOG
from app.settings import Settings
from tests.conftest import _temporary_database
from tests.contract.lakes import CATALOG, variables
from tests.lake_tables import open_catalog
from tests.servers.rest_catalog import rest_catalog
from tests.servers.spark import INTERPRETED, add_catalog, rest_catalog_settings, spark_session, sql_catalog_settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedLake:
    """One lake that Spark, stock pyiceberg and our settings lead to."""

    spark: SparkSession
    spark_catalog: str
    settings: Settings
    foreign: Catalog
    namespace: str

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows that Spark answers; `{t}` stands for the table `events`, `{c}` for the catalog."""
        table = f"{self.spark_catalog}.{self.namespace}.events"
        text = statement.format(t=table, c=self.spark_catalog, n=f"{self.namespace}.events")
        return [tuple(row) for row in self.spark.sql(text).collect()]

    @property
    def name(self) -> DatasetName:
        return DatasetName(namespace=self.namespace, name="events")

    def head(self, branch: str = "main") -> int:
        return int(self.foreign.load_table(str(self.name)).metadata.refs[branch].snapshot_id)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    with spark_session(tmp_path_factory.mktemp("spark"), INTERPRETED) as session:
        yield session


@pytest.fixture(scope="session")
def sql_lake(
    spark: SparkSession, postgres_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Settings, Catalog]]:
    """The embedded default; a catalog is loaded once in a session of Spark, so that all tests share its database."""
    databases = _temporary_database(postgres_url, template=template_database)
    with contextlib.closing(databases):
        settings = Settings(home=tmp_path_factory.mktemp("home"), database_url=next(databases))
        with open_catalog(settings) as catalog:
            url = settings.database_url or ""
            add_catalog(spark, EMBEDDED_CATALOG, sql_catalog_settings(url, settings.warehouse.as_uri()))
            yield settings, catalog


@pytest.fixture(scope="session")
def rest_url(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with rest_catalog(tmp_path_factory.mktemp("spark-rest")) as url:
        add_catalog(spark, CATALOG, rest_catalog_settings(url))
        yield url


@pytest.fixture(params=["sql", pytest.param("rest", marks=pytest.mark.rest_catalog)])
def lake(
    request: pytest.FixtureRequest,
    spark: SparkSession,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[SharedLake]:
    """A namespace of this test alone, on each of the two."""
    namespace = f"spark_{uuid4().hex[:10]}"
    if request.param == "sql":
        settings, catalog = request.getfixturevalue("sql_lake")
        yield _shared(spark, EMBEDDED_CATALOG, settings, catalog, namespace)
        return
    properties = {"type": "rest", "uri": request.getfixturevalue("rest_url")}
    for name, value in variables(properties).items():
        monkeypatch.setenv(name, value)
    settings = Settings(home=tmp_path / "home", database_url=database_url, catalog=CATALOG)
    catalog = load_catalog(CATALOG, **properties)
    yield _shared(spark, CATALOG, settings, catalog, namespace)
    catalog.close()


def _shared(
    spark: SparkSession, spark_catalog: str, settings: Settings, catalog: Catalog, namespace: str
) -> SharedLake:
    catalog.create_namespace(namespace)
    return SharedLake(spark=spark, spark_catalog=spark_catalog, settings=settings, foreign=catalog, namespace=namespace)


@pytest.fixture
async def services(lake: SharedLake) -> AsyncIterator[Services]:
    async with open_services(lake.settings) as opened:
        yield opened
