"""The table, and services on it, for the tests of single changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.bootstrap import Services, open_services
from app.settings import Settings
from tests.integration.races.table import (
    create_table,
    make_settings,
)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return make_settings(database_url, tmp_path / "home", lock_timeout_s=30)


@pytest.fixture
def snapshots(settings: Settings) -> list[int]:
    return create_table(settings)


@pytest.fixture
async def services(settings: Settings, snapshots: list[int]) -> AsyncIterator[Services]:
    async with open_services(settings) as opened:
        yield opened


@pytest.fixture
async def impatient(settings: Settings, snapshots: list[int]) -> AsyncIterator[Services]:
    """As another process has them, whose own leases have run out when they are written."""
    async with open_services(settings.model_copy(update={"lease_s": 0.001, "lock_timeout_s": 0.2})) as opened:
        yield opened
