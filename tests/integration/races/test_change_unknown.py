"""Outcomes that can no longer be known, because the table forgot them: said to be unknown, never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyiceberg.table import CommitTableResponse

from app.bootstrap import Services, open_services
from app.domain.changes import ChangeState
from app.errors import (
    CommitStateUnknownError,
)
from app.settings import Settings
from tests.integration.races.changing import (
    expire_leases,
    make_intent,
    operational_error,
    state_of,
    tag,
    wrap_commit,
)
from tests.integration.races.table import (
    NAME,
    append,
    change_rows,
    create_table,
    damage_metadata,
    make_settings,
    read_refs,
    stock_catalog,
)

pytestmark = pytest.mark.anyio


FORGETTING = {
    "log cut short": {"write.metadata.previous-versions-max": "1"},
    "files deleted": {
        "write.metadata.previous-versions-max": "1",
        "write.metadata.delete-after-commit.enabled": "true",
    },
}


@pytest.mark.parametrize("properties", FORGETTING.values(), ids=FORGETTING.keys())
@pytest.mark.parametrize("is_committed", [True, False], ids=["committed", "not committed"])
async def test_outcome_that_the_metadata_log_forgot_is_unknown(
    database_url: str, tmp_path: Path, properties: dict[str, str], is_committed: bool
) -> None:
    settings = make_settings(database_url, tmp_path / "home")
    create_table(settings, properties=properties)
    async with open_services(settings) as services:
        dead, table = await make_intent(services, "t", key="k")
        if is_committed:
            await services.lake.commit(table, dead.plan)
        with stock_catalog(settings) as catalog:
            for n in range(3):
                append(catalog.load_table(str(NAME)), "other", n)

        assert await services.repair.settle_overdue() == 1

        assert await state_of(services, dead) is ChangeState.UNKNOWN


@pytest.mark.parametrize("damage", ["deleted", "broken", "empty"])
async def test_old_metadata_file_that_is_gone_or_broken_makes_the_outcome_unknown(
    settings: Settings, snapshots: list[int], damage: str
) -> None:
    async with open_services(settings) as services:
        dead, table = await make_intent(services, "t")
    with stock_catalog(settings) as catalog:
        append(catalog.load_table(str(NAME)), "other", 1)
    damage_metadata(table.state.metadata_location, damage)

    async with open_services(settings) as services:  # with a cache that has not seen that file
        assert await services.repair.settle_overdue() == 1

        assert await state_of(services, dead) is ChangeState.UNKNOWN
        assert (await tag(services, "u")).change_id is not None, "the table goes on"


async def test_change_still_seen_in_a_log_that_lost_its_base_is_done(database_url: str, tmp_path: Path) -> None:
    settings = make_settings(database_url, tmp_path / "home")
    create_table(settings, properties={"write.metadata.previous-versions-max": "2"})
    async with open_services(settings) as services:
        dead, _ = await make_intent(services, "t")
        with stock_catalog(settings) as catalog:
            for n in range(3):
                append(catalog.load_table(str(NAME)), "other", n)
        await services.lake.commit(await services.datasets.load(NAME), dead.plan)

        await services.repair.settle_overdue()

        assert await state_of(services, dead) is ChangeState.DONE


async def test_change_of_a_table_that_was_dropped_is_unknown(services: Services, settings: Settings) -> None:
    dead, _ = await make_intent(services, "t", key="k")
    with stock_catalog(settings) as catalog:
        catalog.drop_table(str(NAME))

    assert await services.repair.settle_overdue() == 1

    assert await state_of(services, dead) is ChangeState.UNKNOWN


async def test_unknown_outcome_is_told_to_whoever_asks_with_its_key(services: Services, settings: Settings) -> None:
    def lose(original: object, *arguments: object) -> CommitTableResponse:
        raise operational_error()

    wrap_commit(services, lose)
    with pytest.raises(CommitStateUnknownError):
        await tag(services, "t", key="k")
    (row,) = await change_rows(settings.database_url or "")
    with stock_catalog(settings) as catalog:
        append(catalog.load_table(str(NAME)), "other", 1)
    damage_metadata(row["base_metadata"], "deleted")
    await expire_leases(settings)

    async with open_services(settings) as fresh:
        with pytest.raises(CommitStateUnknownError) as caught:
            await tag(fresh, "t", key="k")

    (row,) = await change_rows(settings.database_url or "")
    assert caught.value.fields["changeId"] == str(row["change_id"])
    assert row["state"] == "UNKNOWN"
    assert "t" not in read_refs(settings)
