"""Whatever askers and workers do, in whatever order, an operation stands as a model says, and ends once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from app.domain.operations import OperationFailure, OperationStatus
from app.errors import OperationEndedError
from app.postgres.pool import open_pool
from app.registry.operation_leases import Lease, LeaseState, OperationLeases
from app.registry.operations import OperationStore
from app.registry.workers import Workers
from app.services.operations import Operations
from tests.integration.operations.jobs import HALF, KIND, KINDS, by

MAX_ATTEMPTS = 2
FAILURE = OperationFailure(code="X", message="x")
PLACES = st.integers(0, 20)
Answer = TypeVar("Answer")
QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED = OperationStatus


class Model:
    """An operation as it should be."""

    def __init__(self, operation_id: UUID) -> None:
        self.operation_id = operation_id
        self.status = QUEUED
        self.attempts = 0
        self.lease: Lease | None = None
        self.is_over = False
        self.is_cancel_requested = False
        self.result: object = None

    def end(self, status: OperationStatus) -> None:
        self.status, self.lease, self.is_over = status, None, False


class OperationMachine(RuleBasedStateMachine):
    """Operations in the order in which they were asked for, and all leases that ever were."""

    def __init__(self, runner: asyncio.Runner, pool: asyncpg.Pool) -> None:
        super().__init__()
        self.runner, self.pool = runner, pool
        self.store, self.leases = OperationStore(pool), OperationLeases(pool)
        self.operations = Operations(self.store, Workers(pool))
        self.models: list[Model] = []
        self.held: list[tuple[Lease, Model]] = []
        self.seen: dict[UUID, OperationStatus] = {}
        self.run(pool.execute("DELETE FROM operations"))

    def run(self, call: Coroutine[Any, Any, Answer]) -> Answer:
        return self.runner.run(call)

    @rule()
    def ask(self) -> None:
        self.models.append(Model(self.run(self.operations.start(KIND, {}, by())).operation_id))

    @rule()
    def claim(self) -> None:
        free = [
            model
            for model in self.models
            if model.status is QUEUED
            or (model.is_over and model.attempts < MAX_ATTEMPTS and not model.is_cancel_requested)
        ]
        claimed = self.run(self.leases.claim(KINDS, lease_s=600, worker="test", max_attempts=MAX_ATTEMPTS))
        if not free:
            assert claimed is None
            return
        model = free[0]
        assert claimed is not None and claimed.operation.operation_id == model.operation_id
        model.status, model.lease, model.is_over = RUNNING, claimed.lease, False
        model.attempts += 1
        self.held.append((claimed.lease, model))

    @rule(place=PLACES)
    def let_a_lease_run_out(self, place: int) -> None:
        running = [model for model in self.models if model.status is RUNNING]
        if running:
            model = running[place % len(running)]
            model.is_over = True
            self.run(
                self.pool.execute(
                    "UPDATE operations SET lease_until = now() - interval '1 s' WHERE operation_id = $1",
                    model.operation_id,
                )
            )

    @rule(place=PLACES)
    def renew(self, place: int) -> None:
        if not self.held:
            return
        lease, model = self.held[place % len(self.held)]
        state = self.run(self.leases.renew(lease, HALF, lease_s=600, timeout_s=10))
        if model.lease != lease:
            assert state is LeaseState.LOST
            return
        model.is_over = False
        assert state is (LeaseState.CANCEL_REQUESTED if model.is_cancel_requested else LeaseState.KEPT)

    @rule(place=PLACES, how=st.sampled_from([SUCCEEDED, FAILED, CANCELLED, QUEUED]))
    def end_or_give_back(self, place: int, how: OperationStatus) -> None:
        if not self.held:
            return
        lease, model = self.held[place % len(self.held)]
        value = f"result {place}"
        written = self.run(
            {
                SUCCEEDED: lambda: self.leases.succeed(lease, HALF, value),
                FAILED: lambda: self.leases.fail(lease, HALF, FAILURE),
                CANCELLED: lambda: self.leases.cancel(lease, HALF),
                QUEUED: lambda: self.leases.give_back(lease),
            }[how]()
        )
        assert written is (model.lease == lease)
        if not written:
            return
        if how is QUEUED:
            model.attempts -= 1
            how = CANCELLED if model.is_cancel_requested else QUEUED
        if how is SUCCEEDED:
            model.result = value
        model.end(how)

    @rule(place=PLACES)
    def cancel(self, place: int) -> None:
        if not self.models:
            return
        model = self.models[place % len(self.models)]
        try:
            answer = self.run(self.operations.cancel(model.operation_id, by()))
        except OperationEndedError:
            assert model.status in (SUCCEEDED, FAILED)
            return
        if model.status in (QUEUED, RUNNING):
            model.is_cancel_requested = True
            if model.status is QUEUED or model.is_over:
                model.end(CANCELLED)
        assert answer.status is model.status

    @rule()
    def give_up(self) -> None:
        dead = [
            model
            for model in self.models
            if model.is_over and (model.attempts >= MAX_ATTEMPTS or model.is_cancel_requested)
        ]
        found = self.run(self.leases.give_up(max_attempts=MAX_ATTEMPTS, failure=FAILURE))
        assert {operation.operation_id for operation in found} == {model.operation_id for model in dead}
        for model in dead:
            model.end(CANCELLED if model.is_cancel_requested else FAILED)

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        results = self.run(self.operations.find_results([model.operation_id for model in self.models]))
        for model in self.models:
            found = self.run(self.operations.get(model.operation_id))
            before = self.seen.get(model.operation_id, QUEUED)
            assert before is found.status or before.may_become(found.status)
            self.seen[model.operation_id] = found.status
            assert (found.status, found.attempts) == (model.status, model.attempts)
            assert found.is_cancel_requested is model.is_cancel_requested
            assert found.status.is_ended is (found.ended_at is not None)
            assert results.get(model.operation_id) == model.result


def test_operations_do_what_the_model_says(database_url: str) -> None:
    with asyncio.Runner() as runner:
        pool = runner.run(open_pool(database_url))
        try:
            run_state_machine_as_test(
                lambda: OperationMachine(runner, pool),
                settings=hypothesis_settings(
                    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
                ),
            )
        finally:
            runner.run(pool.close())
