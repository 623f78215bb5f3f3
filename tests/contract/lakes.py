"""The catalogs and stores that the behaviour suite runs on, each as a user would configure it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from pyiceberg.catalog import Catalog, load_catalog

from app.settings import Settings, env_name
from tests.lake_tables import Orders, create_broken, create_orders, open_catalog

CATALOG = "contract"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractLake:
    """Settings that lead to one lake, and the same lake as another program opens it.

    `orders` is a table of `tests.lake_tables.create_orders`, `namespace.orders`, beside a `namespace.broken` whose
    metadata file is gone. The namespace is this test's own: some of the servers are shared.
    """

    settings: Settings
    foreign: Catalog
    namespace: str
    orders: Orders

    @property
    def orders_name(self) -> str:
        return f"{self.namespace}.orders"

    def metadata_location(self) -> str:
        """The same as before means that nothing was changed."""
        return self.foreign.load_table(self.orders_name).metadata_location


@contextmanager
def embedded(database_url: str, home: Path) -> Iterator[ContractLake]:
    """The default: an SQL catalog in our Postgres, a warehouse folder."""
    settings = Settings(home=home, database_url=database_url)
    with open_catalog(settings) as catalog:
        yield _with_tables(settings, catalog)


@contextmanager
def configured(database_url: str, home: Path, properties: Mapping[str, str]) -> Iterator[ContractLake]:
    """A catalog of pyiceberg's own configuration; the caller has set `variables(…)` in the environment."""
    settings = Settings(home=home, database_url=database_url, catalog=CATALOG)
    catalog = load_catalog(CATALOG, **properties)
    try:
        yield _with_tables(settings, catalog)
    finally:
        catalog.close()


def sql_properties(database_url: str, store: Mapping[str, str]) -> dict[str, str]:
    """An SQL catalog in the same Postgres as the records, over the given store."""
    uri = database_url.replace("postgresql://", "postgresql+psycopg2://", 1)
    return {"type": "sql", "uri": uri, **store}


def variables(properties: Mapping[str, str], settings: Settings | None = None) -> dict[str, str]:
    """Environment variables that configure the catalog, and with `settings` those that select it."""
    prefix = f"PYICEBERG_CATALOG__{CATALOG.upper()}__"
    found = {prefix + key.upper().replace(".", "__").replace("-", "_"): value for key, value in properties.items()}
    if settings is not None:
        chosen = {"home": str(settings.home), "database_url": str(settings.database_url), "catalog": CATALOG}
        found |= {env_name(field): value for field, value in chosen.items()}
    return found


def _with_tables(settings: Settings, catalog: Catalog) -> ContractLake:
    namespace = f"contract_{uuid4().hex[:12]}"
    orders = create_orders(catalog, f"{namespace}.orders")
    create_broken(catalog, f"{namespace}.broken")
    return ContractLake(settings=settings, foreign=catalog, namespace=namespace, orders=orders)
