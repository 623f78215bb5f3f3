"""Repair: what others left open is settled once, truly, and not while they are still at work."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from pyiceberg.table import CommitTableResponse

from app.bootstrap import Services, open_services
from app.domain.changes import ChangeState
from app.domain.history import RefKind
from app.domain.ref_changes import plan_tag
from app.errors import (
    AppError,
    CommitStateUnknownError,
    IdempotencyKeyInUseError,
    LockTimeoutError,
)
from app.settings import Settings
from tests.integration.races.changing import (
    BERT,
    FINISHED,
    Gate,
    command,
    connected,
    expire_leases,
    log_of,
    make_intent,
    operational_error,
    state_of,
    states,
    tag,
    wrap_commit,
)
from tests.integration.races.table import (
    MAIN,
    NAME,
    damage_metadata,
    stock_catalog,
)

pytestmark = pytest.mark.anyio


async def test_slow_worker_whose_lease_is_over_is_left_to_end(
    impatient: Services, services: Services, settings: Settings
) -> None:
    # given a worker in its commit, under its lock, whose lease has run out
    gate = Gate(impatient)
    task = asyncio.create_task(tag(impatient, "t"))
    await asyncio.to_thread(gate.entered.wait)

    # when repair comes by, in another process and in the worker's own
    assert await services.repair.settle_overdue() == 0
    assert await impatient.repair.settle_overdue() == 0

    # then it judges nothing
    assert await states(settings) == ["INTENDED"]
    gate.open.set()
    await task
    assert await states(settings) == ["DONE"]


async def test_change_of_a_busy_table_waits_its_turn_with_a_typed_error(
    impatient: Services, services: Services, settings: Settings
) -> None:
    gate = Gate(services)
    task = asyncio.create_task(tag(services, "t"))
    await asyncio.to_thread(gate.entered.wait)

    with pytest.raises(LockTimeoutError):
        await tag(impatient, "u")

    gate.open.set()
    await task
    assert await states(settings) == ["DONE"]


async def test_repair_judges_by_the_plan_that_is_recorded_when_it_has_the_lock(services: Services) -> None:
    # given a worker that plans anew, commits and dies while repair, which has seen its first plan, waits for the lock
    intent, table = await make_intent(services, "first")
    seen = await log_of(services).list_overdue()
    assert [stored.change.change_id for stored in seen] == [intent.change_id]
    second = plan_tag(table.state, "second", table.state.history.refs[MAIN].snapshot_id)
    assert second is not None

    async def list_overdue(*_: object, **__: object) -> object:
        await log_of(services).replan(intent, second, table.state.metadata_location, {})
        await services.lake.commit(table, second)
        return seen

    log_of(services).list_overdue = list_overdue  # type: ignore[method-assign]
    assert await services.repair.settle_overdue() == 1

    assert await state_of(services, intent) is ChangeState.DONE


async def test_same_change_made_by_somebody_else_since_is_not_claimed(services: Services, settings: Settings) -> None:
    # given one who died before his commit, and another who did the same before the lease was over
    dead, _ = await make_intent(services, "t", lease_s=60)
    done = await tag(services, "t", actor=BERT)
    assert done.is_unchanged is False
    await expire_leases(settings)

    await services.repair.settle_overdue()

    assert await state_of(services, dead) is ChangeState.FAILED


async def test_of_two_that_look_alike_the_one_that_committed_is_done(services: Services) -> None:
    dead, _ = await make_intent(services, "t")
    committed, table = await make_intent(services, "t", actor=BERT)
    await services.lake.commit(table, committed.plan)

    assert await services.repair.settle_overdue() == 2

    assert await state_of(services, dead) is ChangeState.FAILED
    assert await state_of(services, committed) is ChangeState.DONE


async def test_committed_change_is_settled_by_the_next_one_before_its_lease_ends(services: Services) -> None:
    dead, table = await make_intent(services, "t", lease_s=600)
    await services.lake.commit(table, dead.plan)

    await tag(services, "u")

    assert await state_of(services, dead) is ChangeState.DONE


async def test_change_that_is_not_seen_stays_open_until_its_lease_ends(services: Services, settings: Settings) -> None:
    dead, _ = await make_intent(services, "t", lease_s=600, key="k")
    await tag(services, "u")
    assert await services.repair.settle_overdue() == 0
    assert await state_of(services, dead) is ChangeState.INTENDED

    await expire_leases(settings)
    await tag(services, "v")

    assert await state_of(services, dead) is ChangeState.FAILED


async def test_replay_before_the_lease_ends_is_told_to_wait(services: Services, settings: Settings) -> None:
    def lose(original: object, *arguments: object) -> CommitTableResponse:
        raise operational_error()

    wrap_commit(services, lose)
    with pytest.raises(CommitStateUnknownError):
        await tag(services, "t", key="k")

    with pytest.raises(IdempotencyKeyInUseError):
        await tag(services, "t", key="k")

    await expire_leases(settings)
    await tag(services, "t", key="k")
    assert await states(settings) == ["FAILED", "DONE"]


async def test_late_worker_whose_key_was_given_away_still_records_its_commit(
    services: Services, settings: Settings
) -> None:
    # given a worker that lost its lock with Postgres, was given up, and whose client tried again
    late, _ = await make_intent(services, "t", key="k")
    await services.repair.settle_overdue()
    assert await state_of(services, late) is ChangeState.FAILED
    again = await tag(services, "u", key="k")

    # when it comes through after all
    fresh = await services.datasets.load(NAME)
    committed = await services.lake.commit(fresh, late.plan)
    location = committed.state.metadata_location
    await log_of(services).settle(late.change_id, ChangeState.DONE, by="late", metadata=location)

    assert await state_of(services, late) is ChangeState.DONE
    assert (await tag(services, "u", key="k")).change_id == again.change_id


async def test_table_that_cannot_be_read_does_not_keep_others_from_repair(
    services: Services, settings: Settings
) -> None:
    with stock_catalog(settings) as catalog:
        broken = catalog.create_table("race.broken", catalog.load_table(str(NAME)).schema())
    await make_intent(services, "t")
    waiting, _ = await make_intent(services, "u")
    async with connected(settings) as connection:
        # The older one is about the table that is broken.
        await connection.execute(
            "UPDATE changes SET table_uuid = $1, table_name = 'broken' WHERE change_id <> $2",
            broken.metadata.table_uuid,
            waiting.change_id,
        )
    damage_metadata(broken.metadata_location, "deleted")

    assert await services.repair.settle_overdue() == 1

    assert await states(settings) == ["INTENDED", "FAILED"]


async def test_several_repairers_settle_each_change_once_and_alike(services: Services, settings: Settings) -> None:
    committed, table = await make_intent(services, "t")
    await services.lake.commit(table, committed.plan)
    others = [await make_intent(services, f"u{n}") for n in range(3)]
    async with AsyncExitStack() as stack:
        crews = [await stack.enter_async_context(open_services(settings)) for _ in range(3)]

        settled = await asyncio.gather(*(crew.repair.settle_overdue() for crew in [services, *crews]))

    assert sum(settled) == 4
    assert await state_of(services, committed) is ChangeState.DONE
    assert {await state_of(services, intent) for intent, _ in others} == {ChangeState.FAILED}


async def test_refused_rollback_raises_only_typed_errors_and_leaves_only_settled_changes(
    services: Services, settings: Settings
) -> None:
    # given two who roll back and two who tag, at once, through two processes' services
    async with open_services(settings) as others:
        answers = await asyncio.gather(
            *(s.versioning.roll_back(NAME, "main~1", command()) for s in (services, others)),
            *(tag(s, "t", at) for s, at in ((services, MAIN), (others, "main~1"))),
            return_exceptions=True,
        )

    assert all(isinstance(answer, AppError) for answer in answers if isinstance(answer, BaseException))
    assert set(await states(settings)) <= FINISHED
    history = (await services.datasets.load(NAME)).state.history
    done = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert len([ref for ref in history.refs.values() if ref.kind is RefKind.TAG]) == len(done)
