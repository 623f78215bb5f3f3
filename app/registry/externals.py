"""What is known of datasets that are in no catalog of ours, in Postgres."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg
import orjson

from app.domain.events import DatasetId, EventField, Owner
from app.domain.external import (
    Aspect,
    Counts,
    ExternalDataset,
    ExternalFact,
    ExternalState,
    FactValue,
    StateChange,
    assemble,
    latest,
)
from app.postgres.pool import translated
from app.telemetry.tracing import span


class Externals:
    """Facts about external datasets; of each the last word stays, in whatever order they are told."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def tell(self, facts: Iterable[ExternalFact]) -> None:
        """Keep those that are later than what is known. One statement, none where there is nothing to tell."""
        # Sorted by their keys, so that two that tell of the same datasets wait for each other and never in a circle.
        told = sorted(
            ((_key(fact.dataset), fact) for fact in latest(facts)), key=lambda pair: (pair[0], pair[1].aspect)
        )
        if not told:
            return
        with span("postgres.tell_externals", count=len(told)):
            async with translated():
                await self._pool.execute(
                    """
                    INSERT INTO external_facts AS known (dataset_key, aspect, namespace, name, told_at, told_by, value)
                    SELECT dataset_key, aspect, namespace, name, told_at, told_by, value::jsonb
                    FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bytea[],
                                $7::text[])
                        AS told (dataset_key, aspect, namespace, name, told_at, told_by, value)
                    ON CONFLICT (dataset_key, aspect) DO UPDATE
                    SET told_at = excluded.told_at, told_by = excluded.told_by, value = excluded.value
                    WHERE (excluded.told_at, excluded.told_by) > (known.told_at, known.told_by)
                    """,
                    [key for key, _ in told],
                    [fact.aspect.value for _, fact in told],
                    [fact.dataset.namespace for _, fact in told],
                    [fact.dataset.name for _, fact in told],
                    [fact.told_at for _, fact in told],
                    [fact.told_by for _, fact in told],
                    [_to_json(fact.value) for _, fact in told],
                )

    async def find(self, datasets: Sequence[DatasetId]) -> dict[DatasetId, ExternalDataset]:
        """What is known of these, without those of which nothing is. One statement."""
        wanted = {_key(dataset): dataset for dataset in datasets}
        with span("postgres.find_externals", count=len(wanted)):
            async with translated():
                rows = await self._pool.fetch(
                    """
                    SELECT dataset_key, aspect, told_at, told_by, value FROM external_facts
                    WHERE dataset_key = ANY($1::bytea[])
                    """,
                    list(wanted),
                )
        facts: dict[DatasetId, list[ExternalFact]] = {}
        for row in rows:
            dataset, aspect = wanted[row["dataset_key"]], Aspect(row["aspect"])
            fact = ExternalFact(
                dataset=dataset,
                aspect=aspect,
                told_at=row["told_at"],
                told_by=row["told_by"],
                value=_from_json(aspect, row["value"]),
            )
            facts.setdefault(dataset, []).append(fact)
        return {dataset: assemble(dataset, told) for dataset, told in facts.items()}


def _key(dataset: DatasetId) -> bytes:
    parts = repr((dataset.namespace, dataset.name))
    return hashlib.blake2b(parts.encode(), digest_size=16).digest()


def _to_json(value: FactValue) -> str:
    # As text: lists of lists would be taken for an array of two dimensions.
    return orjson.dumps(value).decode()


def _from_json(aspect: Aspect, value: Any) -> FactValue:
    match aspect:
        case Aspect.SEEN:
            return None
        case Aspect.FIELDS:
            return tuple(_to_field(each) for each in value)
        case Aspect.OWNERS:
            return tuple(Owner(**each) for each in value)
        case Aspect.COUNTS:
            return Counts(**value)
        case Aspect.STATE:
            renamed_to = value["renamed_to"]
            return StateChange(
                state=ExternalState(value["state"]),
                renamed_to=None if renamed_to is None else DatasetId(**renamed_to),
            )


def _to_field(value: dict[str, Any]) -> EventField:
    return EventField(**{**value, "fields": tuple(_to_field(each) for each in value["fields"])})
