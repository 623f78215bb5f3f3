"""A lake with an evolved table, for the conftest or the tests of each face to import."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.conftest import _temporary_database
from tests.lake_tables import SmallLake, small_lake
from tests.schema_evolutions import Evolving, create_evolving


@dataclass(frozen=True, slots=True, kw_only=True)
class EvolvingLake:
    """The small lake with `sales.evolving` in it."""

    lake: SmallLake
    evolving: Evolving


@pytest.fixture(scope="session")
def evolving_lake(
    postgres_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EvolvingLake]:
    """One lake for all tests that change nothing."""
    databases = _temporary_database(postgres_url, template=template_database)
    with contextlib.closing(databases), small_lake(next(databases), tmp_path_factory.mktemp("home")) as lake:
        yield EvolvingLake(lake=lake, evolving=create_evolving(lake.catalog))
