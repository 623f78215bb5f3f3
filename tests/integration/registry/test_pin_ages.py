"""Pins and holds have an age of their own that never ends, and those that lack it get it."""

from __future__ import annotations

import asyncio

import pytest
from pyiceberg.catalog import Catalog

from app.bootstrap import Services
from app.domain.changes import ChangeKind
from app.domain.history import ENDLESS_AGE_MS
from app.domain.names import DatasetName
from app.domain.pages import PageRequest
from app.services.listings import TagEntry, tag_entries
from tests.integration.registry.lake import CUSTOMERS, SALES, by_ada, churn, refs_of, trained_on
from tests.lake_tables import Orders, age_of, set_tag

pytestmark = pytest.mark.anyio

PIN = "model_training_churn_v1"
NAME = DatasetName.parse(SALES)
DAY_MS = 24 * 60 * 60 * 1000


async def listed(services: Services, tag: str) -> TagEntry:
    """What is told of a tag."""
    state = (await services.datasets.load(NAME)).state
    records = await services.datasets.tag_records([(state.table_uuid, ref.name) for ref in state.history.tags])
    (entry,) = (entry for entry in tag_entries(state, records) if entry["name"] == tag)
    return entry


async def tag_changes(services: Services) -> list[tuple[str, str | None, object]]:
    """Who set which tag, or its age, and why; newest first."""
    page = await services.datasets.changes_page(PageRequest(first=20), kind=ChangeKind.TAG_CREATED)
    return [(change.actor.subject, change.reason, change.details.get("ageOnly")) for change in page.items]


async def test_pins_and_holds_are_endless_and_other_tags_are_as_they_were(
    services: Services, catalog: Catalog, sales: Orders
) -> None:
    await services.registration.register(churn(), [trained_on(SALES, sales.second)], by_ada())
    hold = await services.holding.place(NAME, str(sales.first), by_ada())
    await services.versioning.create_tag(NAME, "mine", str(sales.first), by_ada(), protected=True)

    assert {tag: age_of(catalog, tag, name=SALES) for tag in await refs_of(services, SALES)} == {
        PIN: ENDLESS_AGE_MS,
        hold.tag: ENDLESS_AGE_MS,
        "mine": None,
        "production_2026_02_15": None,
    }


@pytest.mark.parametrize("age_ms", [None, 1, 36_500 * DAY_MS])
async def test_a_pin_that_may_end_is_made_endless_and_stays_ours(
    services: Services, catalog: Catalog, sales: Orders, age_ms: int | None
) -> None:
    # given a pin as earlier releases set it, or as somebody else has changed it
    await services.registration.register(churn(), [trained_on(SALES, sales.second)], by_ada())
    before = await listed(services, PIN)
    set_tag(catalog, PIN, sales.second, age_ms, name=SALES)

    # when live pins are looked at
    restored = await services.pinning.restore()

    # then it has its age, which is recorded, and nothing else of it is news
    assert [(pin.tag, pin.snapshot_id) for pin in restored] == [(PIN, sales.second)]
    assert age_of(catalog, PIN, name=SALES) == ENDLESS_AGE_MS
    assert await listed(services, PIN) == before
    assert await tag_changes(services) == [
        ("stratigraph upkeep", "training data of churn v1", True),
        ("ada", "training data of churn v1", None),
    ]
    assert await services.pinning.restore() == []
    # and it goes with the model
    await services.registration.archive("churn", 1, by_ada())
    assert PIN not in await refs_of(services, SALES)


async def test_two_who_mend_a_pin_at_once_leave_it_ours(services: Services, catalog: Catalog, sales: Orders) -> None:
    await services.registration.register(churn(), [trained_on(SALES, sales.second)], by_ada())
    set_tag(catalog, PIN, sales.second, None, name=SALES)

    restored = await asyncio.gather(*(services.pinning.restore() for _ in range(4)))

    assert sum(map(len, restored)) >= 1
    assert age_of(catalog, PIN, name=SALES) == ENDLESS_AGE_MS
    assert len(await tag_changes(services)) == 2
    await services.registration.archive("churn", 1, by_ada())
    assert PIN not in await refs_of(services, SALES)


async def test_a_tag_that_is_adopted_is_made_endless_and_stays_its_owners(
    services: Services, catalog: Catalog, sales: Orders
) -> None:
    # given a tag on the very snapshot, without an age
    await services.versioning.create_tag(NAME, PIN, str(sales.second), by_ada("by hand"))
    before = await listed(services, PIN)

    # when a model adopts it, and lets it go again
    await services.registration.register(churn(), [trained_on(SALES, sales.second)], by_ada())
    adopted = await listed(services, PIN)
    await services.registration.archive("churn", 1, by_ada())

    # then it is kept from every engine meanwhile, and it is theirs all the time
    assert (adopted["max_ref_age_ms"], adopted["endless"]) == (ENDLESS_AGE_MS, True)
    told = ("created_at", "created_by", "reason")
    assert [adopted[key] for key in told] == [before[key] for key in told]
    assert (await refs_of(services, SALES))[PIN] == sales.second


async def test_a_tag_that_is_to_end_is_left_to_end(services: Services, catalog: Catalog, sales: Orders) -> None:
    set_tag(catalog, PIN, sales.second, DAY_MS, name=SALES)

    await services.registration.register(churn(), [trained_on(SALES, sales.second)], by_ada())

    assert age_of(catalog, PIN, name=SALES) == DAY_MS
    assert age_of(catalog, f"{PIN}_training", name=SALES) == ENDLESS_AGE_MS


async def test_a_pin_whose_name_was_taken_for_something_else_gets_another(
    services: Services, catalog: Catalog, sales: Orders
) -> None:
    # given a pin whose tag somebody has moved by force, and a further name that is taken too
    await services.registration.register(churn(), [trained_on(SALES, sales.second)], by_ada())
    await services.versioning.move_tag(NAME, PIN, str(sales.third), by_ada(), force=True)
    await services.versioning.create_tag(NAME, f"{PIN}_2", str(sales.first), by_ada())

    # when live pins are looked at, by several
    restored = await asyncio.gather(*(services.pinning.restore() for _ in range(3)))

    # then the data is kept by one tag more, which is the pin's, and the others stay where they are
    assert {pin.tag for found in restored for pin in found} == {f"{PIN}_3"}
    assert await refs_of(services, SALES) == {
        "production_2026_02_15": sales.first,
        PIN: sales.third,
        f"{PIN}_2": sales.first,
        f"{PIN}_3": sales.second,
    }
    assert age_of(catalog, f"{PIN}_3", name=SALES) == ENDLESS_AGE_MS
    version = await services.models.get_version("churn", None)
    assert [pin.tag for pin in await services.models.list_pins(version)] == [f"{PIN}_3"]
    assert await services.pinning.restore() == []
    # and it goes with the model, without them
    await services.registration.archive("churn", 1, by_ada())
    assert (await refs_of(services, SALES)).keys() == {"production_2026_02_15", PIN, f"{PIN}_2"}


async def test_another_name_that_was_written_down_is_set_by_the_next(
    services: Services, sales: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given somebody who dies between the pin's new name and its tag
    await services.registration.register(churn(), [trained_on(SALES, sales.second)], by_ada())
    await services.versioning.move_tag(NAME, PIN, str(sales.third), by_ada(), force=True)

    async def die(*arguments: object, **named: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(services.pinning._versioning, "create_tag", die)
        with pytest.raises(RuntimeError, match="killed"):
            await services.pinning.restore()

    # when somebody else looks, then it has that name and no other
    assert [pin.tag for pin in await services.pinning.restore()] == [f"{PIN}_2"]
    assert (await refs_of(services, SALES)).keys() == {"production_2026_02_15", PIN, f"{PIN}_2"}


async def test_a_pin_whose_name_is_a_branch_by_now_gets_another(
    services: Services, catalog: Catalog, sales: Orders
) -> None:
    await services.registration.register(churn(), [trained_on(SALES, sales.second)], by_ada())
    await services.versioning.delete_tag(NAME, PIN, by_ada(), force=True)
    await services.versioning.create_branch(NAME, PIN, str(sales.second), by_ada())

    restored = await services.pinning.restore()

    assert [pin.tag for pin in restored] == [f"{PIN}_2"]
    assert age_of(catalog, f"{PIN}_2", name=SALES) == ENDLESS_AGE_MS


async def test_upkeep_mends_pins_and_holds_of_all_tables(
    services: Services, catalog: Catalog, sales: Orders, customers: Orders
) -> None:
    # given a pin and holds without an age, one of which is lost, and one on a snapshot that is gone
    await services.registration.register(churn(), [trained_on(CUSTOMERS, customers.second)], by_ada())
    holds = [await services.holding.place(NAME, str(number), by_ada(f"case {number}")) for number in sales.ids]
    set_tag(catalog, PIN, customers.second, None, name=CUSTOMERS)
    for hold in holds:
        set_tag(catalog, hold.tag, hold.snapshot_id, None, name=SALES)
    catalog.load_table(SALES).manage_snapshots().remove_tag(holds[1].tag).commit()

    # when
    await services.model_upkeep.settle()

    # then
    assert age_of(catalog, PIN, name=CUSTOMERS) == ENDLESS_AGE_MS
    assert [age_of(catalog, hold.tag, name=SALES) for hold in holds] == [ENDLESS_AGE_MS] * 3
    assert await services.holding.restore() == []
