"""What a compaction of many tables tells while it goes on."""

from __future__ import annotations

import pytest
from pyiceberg.catalog import Catalog

from app.bootstrap import Services
from app.domain.compaction.planning import CompactionPlan
from app.domain.compaction.policy import CompactionPolicy
from app.domain.names import DatasetName
from app.errors import DatasetNotFoundError
from app.services.compaction.sweeps import Limits
from tests.integration.compaction.tables import COMMAND, NAME, create

pytestmark = pytest.mark.anyio

ORDERS, ITEMS = DatasetName(namespace="gold", name="orders"), DatasetName(namespace="silver", name="items")


async def test_a_sweep_says_what_it_is_at(services: Services, catalog: Catalog) -> None:
    # Given two tables to be done, of which the first has most of the bytes, and one with nothing to do
    create(catalog, files=30)
    create(catalog, ITEMS, files=2)
    create(catalog, ORDERS, files=1)
    told: list[tuple[float, str]] = []

    # When all are chosen
    sweep = services.compaction_sweeps.sweep(
        [NAME, ITEMS, ORDERS],
        CompactionPolicy(),
        Limits(),
        COMMAND,
        lambda fraction, message: told.append((fraction, message)),
        is_dry_run=False,
        on_begin=lambda name, plan: told.append((-1.0, f"{name} begins with {plan.counts.files} files")),
    )
    assert len([entry async for entry in sweep]) == 3

    # Then each is looked at first, and what is done is told when it is begun
    messages = [message for _, message in told]
    assert messages[:4] == [
        *(f"{name}: looking at its files" for name in (NAME, ITEMS, ORDERS)),
        f"{NAME} begins with 30 files",
    ]
    assert messages.index(f"{ITEMS} begins with 2 files") == messages.index(f"{NAME}: done") + 1
    # And the larger one is most of the way
    far = [fraction for fraction, _ in told if fraction >= 0]
    assert far == sorted(far)
    assert dict(reversed([(message, fraction) for fraction, message in told]))[f"{NAME}: done"] > 0.8
    assert told[-1] == (1.0, f"{ITEMS}: done")


async def test_a_table_that_is_dropped_before_its_turn_is_told_and_the_others_are_done(
    services: Services, catalog: Catalog
) -> None:
    # Given a table that somebody drops once it was chosen
    create(catalog)
    create(catalog, ORDERS)

    def drop(name: DatasetName, _: CompactionPlan) -> None:
        if name == NAME:
            catalog.drop_table(str(NAME))

    sweep = services.compaction_sweeps.sweep(
        [NAME, ORDERS], CompactionPolicy(), Limits(), COMMAND, lambda *_: None, is_dry_run=False, on_begin=drop
    )
    told = {entry["table"]: entry async for entry in sweep}

    error = told["events"]["error"]
    assert error is not None
    assert error["code"] == DatasetNotFoundError.code
    assert (told["orders"]["files_after"], told["orders"]["error"]) == (1, None)
