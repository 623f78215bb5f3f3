"""The same request twice: done once, answered twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import CommitTableResponse

from app.bootstrap import Services, open_services
from app.domain.names import DatasetName
from app.errors import (
    IdempotencyKeyReusedError,
    TagExistsError,
)
from app.settings import Settings
from tests.integration.races.changing import (
    ANNA,
    BERT,
    command,
    states,
    tag,
    wrap_commit,
)
from tests.integration.races.table import (
    MAIN,
    NAME,
    append,
    metadata_location,
    read_metadata,
    read_refs,
    stock_catalog,
)
from tests.integration.races.workers import CONTEXT

pytestmark = pytest.mark.anyio


async def test_same_key_and_input_is_answered_again_and_done_once(services: Services, settings: Settings) -> None:
    first = await tag(services, "t", key="k")
    location = metadata_location(settings)

    second = await tag(services, "t", key="k")

    assert metadata_location(settings) == location
    assert (second.tag, second.change_id, second.is_unchanged) == (first.tag, first.change_id, False)
    assert await states(settings) == ["DONE"]


async def test_repeated_rollback_is_answered_as_the_first_was(services: Services, snapshots: list[int]) -> None:
    first = await services.versioning.roll_back(NAME, "main~1", command("k"))
    # Since then the world has moved on: `main~1` is another snapshot, and the branch is elsewhere.
    await services.versioning.undo_rollback(NAME, first.undo_tag.name if first.undo_tag else "", command())

    second = await services.versioning.roll_back(NAME, "main~1", command("k"))

    assert (second.previous_id, second.current_id, second.undo_tag, second.change_id) == (
        first.previous_id,
        first.current_id,
        first.undo_tag,
        first.change_id,
    )
    assert (await services.datasets.load(NAME)).state.history.refs[MAIN].snapshot_id == snapshots[-1]


async def test_repeated_removal_is_answered_though_the_tag_is_gone(services: Services, settings: Settings) -> None:
    await tag(services, "t")
    first = await services.versioning.delete_tag(NAME, "t", command("k"))

    second = await services.versioning.delete_tag(NAME, "t", command("k"))

    assert (second.name, second.snapshot_id, second.change_id) == (first.name, first.snapshot_id, first.change_id)
    assert await states(settings) == ["DONE", "DONE"]


@pytest.mark.parametrize("other", ["u", "t"], ids=["another tag", "another kind of change"])
async def test_key_with_another_input_is_refused(services: Services, settings: Settings, other: str) -> None:
    await tag(services, "t", key="k")
    location = metadata_location(settings)

    with pytest.raises(IdempotencyKeyReusedError):
        if other == "t":
            await services.versioning.delete_tag(NAME, "t", command("k"))
        else:
            await tag(services, other, key="k")

    assert metadata_location(settings) == location


async def test_key_used_on_another_table_is_refused(services: Services, settings: Settings) -> None:
    with stock_catalog(settings) as catalog:
        schema = catalog.load_table(str(NAME)).schema()
        append(catalog.create_table("race.other", schema), "other", 1)
    await tag(services, "t", key="k")

    with pytest.raises(IdempotencyKeyReusedError):
        await services.versioning.create_tag(DatasetName.parse("race.other"), "t", MAIN, command("k"))

    with stock_catalog(settings) as catalog:
        assert catalog.load_table("race.other").metadata.refs.keys() == {MAIN}


async def test_keys_are_each_actors_own(services: Services, settings: Settings) -> None:
    await tag(services, "t", key="k", actor=ANNA)
    await tag(services, "u", key="k", actor=BERT)

    assert {"t", "u"} <= read_refs(settings).keys()


async def test_failed_attempt_frees_its_key(services: Services, settings: Settings) -> None:
    def refuse(original: object, *arguments: object) -> CommitTableResponse:
        with stock_catalog(settings) as catalog:
            catalog.load_table(str(NAME)).manage_snapshots().create_tag(other, "t").commit()
        raise CommitFailedException("lost")

    other = (await services.datasets.load(NAME)).state.history.log[0].snapshot_id
    wrap_commit(services, refuse)
    with pytest.raises(TagExistsError):
        await tag(services, "t", key="k")
    assert await states(settings) == ["FAILED"]

    await services.versioning.delete_tag(NAME, "t", command())
    done = await tag(services, "t", key="k")

    assert await states(settings) == ["FAILED", "DONE", "DONE"]
    assert read_refs(settings)["t"]["snapshot-id"] == done.tag.snapshot_id


async def test_eight_tasks_with_one_key_make_one_commit(
    services: Services, settings: Settings, snapshots: list[int]
) -> None:
    async with open_services(settings) as others:
        location = metadata_location(settings)

        answers = await asyncio.gather(*(tag(s, "t", key="k") for s in (services, others) for _ in range(4)))

    assert len({(answer.change_id, answer.tag) for answer in answers}) == 1
    assert read_metadata(metadata_location(settings))["metadata-log"][-1]["metadata-file"] == location
    assert await states(settings) == ["DONE"]


def tag_from_process(settings: Settings, answers: Any) -> None:
    async def run() -> None:
        async with open_services(settings) as services:
            answers.put(str((await tag(services, "t", key="k")).change_id))

    asyncio.run(run())


async def test_processes_with_one_key_make_one_commit(settings: Settings, snapshots: list[int]) -> None:
    location = metadata_location(settings)
    answers = CONTEXT.Queue()
    processes = [CONTEXT.Process(target=tag_from_process, args=(settings, answers), daemon=True) for _ in range(4)]
    for process in processes:
        process.start()

    found = [await asyncio.to_thread(answers.get, timeout=120) for _ in processes]
    for process in processes:
        await asyncio.to_thread(process.join)

    assert len(set(found)) == 1
    assert read_metadata(metadata_location(settings))["metadata-log"][-1]["metadata-file"] == location
    assert await states(settings) == ["DONE"]
