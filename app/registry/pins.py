"""Which tag keeps which snapshot for which model version: written before the tag is set, and until it is gone."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from app.domain.names import DatasetName
from app.domain.pins import Pin, PinState
from app.postgres.pool import translated
from app.registry.facts import Transaction
from app.telemetry.tracing import span

_COLUMNS = "pin_id, model, number, namespace, table_name, table_uuid, snapshot_id, tag, state, is_adopted"
MAX_FAILURE_CHARS = 1000


class PinTakenError(Exception):
    """Another pin has this tag of this table; choose another name."""


class PinStore:
    """Pins, in Postgres."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def want(self, change_id: UUID, pin: Pin) -> None:
        """Write down that a tag is about to be set for a registration.

        Raises:
            PinTakenError: another pin has the tag.
        """
        with span("postgres.want_pin"):
            async with translated():
                try:
                    await self._pool.execute(
                        f"""
                        INSERT INTO pins ({_COLUMNS}, change_id)
                        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
                        """,
                        pin.pin_id,
                        pin.model,
                        pin.number,
                        pin.dataset.namespace,
                        pin.dataset.name,
                        pin.table_uuid,
                        pin.snapshot_id,
                        pin.tag,
                        pin.state.value,
                        pin.is_adopted,
                        change_id,
                    )
                except asyncpg.UniqueViolationError as error:
                    raise PinTakenError from error

    async def taken_tags(self, table_uuid: UUID) -> set[str]:
        """The tags of a table that pins have."""
        async with translated():
            rows = await self._pool.fetch(
                "SELECT tag FROM pins WHERE table_uuid = $1 AND state <> 'RELEASED'", table_uuid
            )
        return {row["tag"] for row in rows}

    async def list_of(self, model: str, number: int) -> list[Pin]:
        """The pins of a version that keep something, by table and tag."""
        async with translated():
            rows = await self._pool.fetch(
                f"""
                SELECT {_COLUMNS} FROM pins WHERE model = $1 AND number = $2 AND state <> 'RELEASED'
                ORDER BY namespace, table_name, tag
                """,
                model,
                number,
            )
        return [_to_pin(row) for row in rows]

    async def list_of_table(self, table_uuid: UUID) -> list[Pin]:
        """The pins of live model versions on a table, by tag: what any expiry has to leave alone."""
        async with translated():
            rows = await self._pool.fetch(
                f"SELECT {_COLUMNS} FROM pins WHERE table_uuid = $1 AND state IN ('WANTED', 'LIVE') ORDER BY tag",
                table_uuid,
            )
        return [_to_pin(row) for row in rows]

    async def list_of_tables(self, table_uuids: Sequence[UUID]) -> dict[UUID, list[Pin]]:
        """The same of several tables, of those that have any; one statement."""
        async with translated():
            rows = await self._pool.fetch(
                f"SELECT {_COLUMNS} FROM pins WHERE table_uuid = ANY($1) AND state IN ('WANTED', 'LIVE') ORDER BY tag",
                list(table_uuids),
            )
        found: dict[UUID, list[Pin]] = {}
        for pin in map(_to_pin, rows):
            found.setdefault(pin.table_uuid, []).append(pin)
        return found

    async def list_live(self, after: UUID | None, *, limit: int) -> list[Pin]:
        """Live pins in the order of their ids, from the one after `after` on."""
        async with translated():
            rows = await self._pool.fetch(
                f"""
                SELECT {_COLUMNS} FROM pins WHERE state = 'LIVE' AND ($1::uuid IS NULL OR pin_id > $1)
                ORDER BY pin_id LIMIT $2
                """,
                after,
                limit,
            )
        return [_to_pin(row) for row in rows]

    async def list_releasing(self, model: str | None = None, *, limit: int = 1000) -> list[Pin]:
        """Pins whose tags are to go, of one model or of all."""
        async with translated():
            rows = await self._pool.fetch(
                f"""
                SELECT {_COLUMNS} FROM pins WHERE state = 'RELEASING' AND ($1::text IS NULL OR model = $1)
                -- Those that failed before come last, so that they keep no others from their turn.
                ORDER BY failure IS NOT NULL, random() LIMIT $2
                """,
                model,
                limit,
            )
        return [_to_pin(row) for row in rows]

    async def release_done(self, pin_id: UUID) -> None:
        """The tag of a pin is gone, or is not ours."""
        async with translated():
            await self._pool.execute(
                "UPDATE pins SET state = 'RELEASED', failure = NULL WHERE pin_id = $1 AND state = 'RELEASING'", pin_id
            )

    async def abandon(self, pin_id: UUID) -> None:
        """The tag of a wanted pin was never set: it keeps nothing."""
        async with translated():
            await self._pool.execute("UPDATE pins SET state = 'RELEASED' WHERE pin_id = $1", pin_id)

    async def release_failed(self, pin_id: UUID, reason: str) -> None:
        """The tag of a pin could not be removed; it stays to be."""
        async with translated():
            await self._pool.execute(
                "UPDATE pins SET failure = $2 WHERE pin_id = $1",
                pin_id,
                reason.replace("\x00", "\ufffd")[:MAX_FAILURE_CHARS],
            )

    async def adopt(self, pin_id: UUID) -> None:
        """The tag of a pin was there before: it is somebody else's, and stays when the pin goes."""
        async with translated():
            await self._pool.execute("UPDATE pins SET is_adopted = true WHERE pin_id = $1", pin_id)

    async def rename(self, pin: Pin, renamed: Pin) -> bool:
        """A live pin is to have another tag; answers False where it is live no more, or has another one already.

        Raises:
            PinTakenError: another pin has the tag.
        """
        async with translated():
            try:
                done = await self._pool.execute(
                    "UPDATE pins SET tag = $3, is_adopted = $4 WHERE pin_id = $1 AND tag = $2 AND state = 'LIVE'",
                    pin.pin_id,
                    pin.tag,
                    renamed.tag,
                    renamed.is_adopted,
                )
            except asyncpg.UniqueViolationError as error:
                raise PinTakenError from error
        return done == "UPDATE 1"

    async def give_up_dead(self, *, model: str | None = None, by: str) -> int:
        """Fail the registrations that nobody is at any more, and let their pins go; answers how many there were.

        Of one `model` all that are open, because whoever calls holds the lock of the model; else those whose lease has
        run out.
        """
        with span("postgres.give_up_registrations"):
            async with translated():
                failed = await self._pool.fetch(
                    """
                    WITH dead AS (
                        UPDATE changes SET state = 'FAILED', settled_at = now(), settled_by = $2,
                                           failure = 'its process is gone'
                        WHERE state = 'INTENDED' AND kind = 'MODEL_REGISTERED'
                          AND CASE WHEN $1::text IS NULL THEN lease_until < now() ELSE subject_name = $1 END
                        RETURNING change_id
                    ), released AS (
                        UPDATE pins SET state = 'RELEASING' FROM dead
                        WHERE pins.change_id = dead.change_id AND pins.state = 'WANTED'
                    )
                    SELECT change_id FROM dead
                    """,
                    model,
                    by,
                )
                # Those of a registration that failed while its process lived, and died before it said so.
                await self._pool.execute(
                    """
                    UPDATE pins SET state = 'RELEASING' FROM changes
                    WHERE pins.change_id = changes.change_id AND pins.state = 'WANTED' AND changes.state = 'FAILED'
                    """
                )
        return len(failed)


async def make_live(connection: Transaction, change_id: UUID) -> None:
    """The fact that needs the pins of a registration is recorded."""
    await connection.execute("UPDATE pins SET state = 'LIVE' WHERE change_id = $1 AND state = 'WANTED'", change_id)


async def start_release(connection: Transaction, model: str, number: int) -> int:
    """The pins of a version are to go; answers how many."""
    done = await connection.execute(
        "UPDATE pins SET state = 'RELEASING' WHERE model = $1 AND number = $2 AND state = 'LIVE'", model, number
    )
    return int(done.rpartition(" ")[2])


def _to_pin(row: asyncpg.Record) -> Pin:
    return Pin(
        pin_id=row["pin_id"],
        model=row["model"],
        number=row["number"],
        dataset=DatasetName(namespace=row["namespace"], name=row["table_name"]),
        table_uuid=row["table_uuid"],
        snapshot_id=row["snapshot_id"],
        tag=row["tag"],
        state=PinState(row["state"]),
        is_adopted=row["is_adopted"],
    )
