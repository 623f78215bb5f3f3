"""Processes killed while they register or archive: a version is there with its pins, or neither is, in the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.bootstrap import Services, open_services
from app.domain.pages import PageRequest
from app.settings import Settings
from tests.integration.registry.dying import ARCHIVING, KEY, REGISTERING, kill_archiving, kill_registering
from tests.integration.registry.lake import CUSTOMERS, SALES, by_ada, churn, refs_of, trained_on
from tests.lake_tables import Orders

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=database_url, lease_s=0.5, lock_timeout_s=2)


@pytest.fixture
async def fresh(settings: Settings, sales: Orders, customers: Orders) -> AsyncIterator[Services]:
    """Services that were opened after what a test did before it asked for anything."""
    async with open_services(settings) as opened:
        yield opened


async def pinned(services: Services) -> set[tuple[str, str, int]]:
    return {
        (dataset, tag, snapshot_id)
        for dataset in (SALES, CUSTOMERS)
        for tag, snapshot_id in (await refs_of(services, dataset)).items()
        if tag.startswith("model_training_")
    }


@pytest.mark.parametrize("point", REGISTERING)
async def test_a_killed_registration_leaves_a_version_with_its_pins_or_neither(
    settings: Settings, fresh: Services, sales: Orders, customers: Orders, point: str
) -> None:
    # when
    kill_registering(settings, point, (sales.second, customers.third))

    # then it is registered or not, never half
    is_done = point == "after the record"
    wanted = {
        (SALES, "model_training_churn_v1", sales.second),
        (CUSTOMERS, "model_training_churn_v1", customers.third),
    }
    total = (await fresh.models.page_versions("churn", PageRequest(first=5))).total
    assert total == int(is_done)
    if is_done:
        assert await pinned(fresh) == wanted

    # and what it left is gone once its lease is over, and nobody else's is
    async with asyncio.timeout(30):
        while await pinned(fresh) != (wanted if is_done else set()):
            await asyncio.sleep(0.3)
            await fresh.pinning.settle()
    # and the same request is done once, whichever of the two has done it
    training = [trained_on(SALES, sales.second), trained_on(CUSTOMERS, customers.third)]
    done = await fresh.registration.register(churn(), training, by_ada(key=KEY))
    assert done.version.number == 1
    assert await pinned(fresh) == wanted


@pytest.mark.parametrize("point", ["after the tag", "after the last tag"])
async def test_the_next_registration_need_not_wait_for_the_lease_of_a_dead_one(
    settings: Settings, fresh: Services, sales: Orders, customers: Orders, point: str
) -> None:
    kill_registering(settings, point, (sales.second, customers.third))

    done = await fresh.registration.register(churn(), [trained_on(SALES, sales.first)], by_ada())

    assert done.version.number == 1
    assert await pinned(fresh) == {(SALES, "model_training_churn_v1", sales.first)}


@pytest.mark.parametrize("point", ARCHIVING)
async def test_a_killed_archiving_is_done_with_all_that_follows_or_not_at_all(
    settings: Settings, fresh: Services, sales: Orders, customers: Orders, point: str
) -> None:
    # given
    training = [trained_on(SALES, sales.second), trained_on(CUSTOMERS, customers.third)]
    await fresh.registration.register(churn(), training, by_ada())
    await fresh.registration.register(churn(), training, by_ada())
    before = await pinned(fresh)

    # when
    kill_archiving(settings, point)

    # then
    version = await fresh.models.get_version("churn", "1")
    assert version.is_archived is (point != "in the transaction")
    await fresh.pinning.settle()
    if version.is_archived:
        assert {(dataset, tag) for dataset, tag, _ in before - await pinned(fresh)} == {
            (SALES, "model_training_churn_v1"),
            (CUSTOMERS, "model_training_churn_v1"),
        }
    else:
        assert await pinned(fresh) == before
    done = await fresh.registration.archive("churn", 1, by_ada(key=KEY))
    assert done.version.is_archived
    assert {tag for _, tag, _ in await pinned(fresh)} == {"model_training_churn_v2"}
