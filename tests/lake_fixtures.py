"""Fixtures of the small lake, for the conftest of each face to import."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import _temporary_database
from tests.lake_tables import SmallLake, small_lake


@pytest.fixture(scope="session")
def shared_lake(
    postgres_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SmallLake]:
    """One lake for all tests that change nothing."""
    databases = _temporary_database(postgres_url, template=template_database)
    with contextlib.closing(databases), small_lake(next(databases), tmp_path_factory.mktemp("home")) as lake:
        yield lake


@pytest.fixture(scope="module")
def module_lake(
    postgres_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SmallLake]:
    """A lake of the tests of one module, which change it once."""
    databases = _temporary_database(postgres_url, template=template_database)
    with contextlib.closing(databases), small_lake(next(databases), tmp_path_factory.mktemp("home")) as lake:
        yield lake


@pytest.fixture
def own_lake(database_url: str, tmp_path: Path) -> Iterator[SmallLake]:
    """A lake of this test alone."""
    with small_lake(database_url, tmp_path / "home") as lake:
        yield lake
