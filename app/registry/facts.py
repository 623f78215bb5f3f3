"""What is done to models and pipelines: recorded in one transaction with the fact itself, under its idempotency key."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg

from app.domain.changes import (
    Actor,
    Change,
    ChangeKind,
    ChangeState,
    Command,
    DatasetSubject,
    ModelSubject,
    RegistrySubject,
)
from app.errors import JsonValue
from app.postgres.pool import AdvisoryLocks, advisory_key, translated
from app.registry.change_rows import COLUMNS, IdempotencyKeyTakenError, to_change

# A connection in a transaction. What a store writes on it counts once the transaction has ended.
Transaction: TypeAlias = Any

MAX_FAILURE_CHARS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What is done, to be recorded."""

    change_id: UUID
    kind: ChangeKind
    subject: RegistrySubject
    command: Command
    request_hash: bytes
    details: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFact:
    """A recorded change, and the hash of the request that made it."""

    change: Change
    request_hash: bytes | None


class Facts:
    """Facts about models and pipelines, one transaction each: the fact, its record, and the events of it."""

    def __init__(self, pool: asyncpg.Pool, locks: AdvisoryLocks) -> None:
        self._pool = pool
        self._locks = locks

    def lock(self, subject: RegistrySubject, timeout_s: float) -> AbstractAsyncContextManager[None]:
        """Keep every other change of this model or pipeline that takes long, from whatever process of ours, out.

        Raises:
            LockTimeoutError: another one is still under way.
        """
        return self._locks.held(f"{subject_kind(subject).lower()} {subject}", timeout_s=timeout_s)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction on a connection of its own. Raises BackendUnavailableError."""
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            yield connection

    async def fail(self, change_id: UUID, failure: str, *, by: str) -> None:
        """Settle an intention as failed, and let the pins go that were to keep what it needs."""
        async with self.transaction() as connection:
            await connection.execute(
                """
                UPDATE changes SET state = 'FAILED', settled_at = now(), settled_by = $2, failure = $3
                WHERE change_id = $1 AND state = 'INTENDED'
                """,
                change_id,
                by,
                failure.replace("\x00", "\ufffd")[:MAX_FAILURE_CHARS],
            )
            await connection.execute(
                "UPDATE pins SET state = 'RELEASING' WHERE change_id = $1 AND state = 'WANTED'", change_id
            )


async def insert_fact(connection: Transaction, fact: Fact, state: ChangeState, *, by: str, lease_s: float = 0) -> None:
    """Write a change of a model or pipeline. One that is INTENDED is settled later; all others are as they say.

    Raises:
        IdempotencyKeyTakenError: this actor used the key before, and that attempt has not failed.
    """
    is_settled = state is not ChangeState.INTENDED
    try:
        # In a transaction of its own, so that a refusal does not end the outer one.
        async with connection.transaction():
            await connection.execute(
                """
                INSERT INTO changes (change_id, kind, state, subject_kind, subject_name, actor, reason, details,
                                     idempotency_key, request_hash, lease_until, settled_at, settled_by)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, now() + make_interval(secs => $11),
                        CASE WHEN $12 THEN now() END, CASE WHEN $12 THEN $13 END)
                """,
                fact.change_id,
                fact.kind.value,
                state.value,
                subject_kind(fact.subject),
                str(fact.subject),
                fact.command.actor.subject,
                fact.command.reason,
                dict(fact.details),
                fact.command.idempotency_key,
                fact.request_hash,
                lease_s,
                is_settled,
                by,
            )
    except asyncpg.UniqueViolationError as error:
        raise IdempotencyKeyTakenError from error


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFact:
    """What is done to a dataset without a commit to its table."""

    kind: ChangeKind
    subject: DatasetSubject
    command: Command
    base_metadata: str
    details: Mapping[str, JsonValue] = field(default_factory=dict)


async def insert_dataset_fact(connection: Transaction, fact: DatasetFact, *, by: str) -> None:
    """Write what was done to a dataset, done as soon as the transaction ends."""
    await connection.execute(
        """
        INSERT INTO changes (change_id, kind, state, table_uuid, namespace, table_name, actor, reason, plan, details,
                             base_metadata, lease_until, settled_at, settled_by)
        VALUES (gen_random_uuid(), $1, 'DONE', $2, $3, $4, $5, $6, $7, $8, $9, now(), now(), $10)
        """,
        fact.kind.value,
        fact.subject.table_uuid,
        fact.subject.dataset.namespace,
        fact.subject.dataset.name,
        fact.command.actor.subject,
        fact.command.reason,
        {"updates": [], "schema": None},
        dict(fact.details),
        fact.base_metadata,
        by,
    )


async def hold_key(connection: Transaction, key: str) -> None:
    """Keep every other transaction that holds this key waiting until this one ends."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", advisory_key(key))


async def settle_fact(
    connection: Transaction, change_id: UUID, state: ChangeState, *, by: str, details: Mapping[str, JsonValue]
) -> bool:
    """Settle an intention; whether it was open still, because one that was given up cannot come true any more."""
    done = await connection.execute(
        """
        UPDATE changes SET state = $2, settled_at = now(), settled_by = $3, details = details || $4
        WHERE change_id = $1 AND state = 'INTENDED'
        """,
        change_id,
        state.value,
        by,
        dict(details),
    )
    return bool(done == "UPDATE 1")


async def find_fact_by_key(connection: Transaction, actor: Actor, idempotency_key: str) -> StoredFact | None:
    """The change that holds this key, of whatever it is; None where there is none or it failed."""
    row = await connection.fetchrow(
        f"SELECT {COLUMNS} FROM changes WHERE actor = $1 AND idempotency_key = $2 AND state <> 'FAILED'",
        actor.subject,
        idempotency_key,
    )
    return StoredFact(change=to_change(row), request_hash=row["request_hash"]) if row else None


def subject_kind(subject: RegistrySubject) -> str:
    """How the kind of a subject is written in Postgres."""
    return "MODEL" if isinstance(subject, ModelSubject) else "PIPELINE"
