"""Which versions the uses of datasets were bound to, kept for as long as the events that told of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

import asyncpg

from app.domain.events import DatasetId
from app.domain.lineage import EntityKind, Vertex
from app.domain.run_projection import Binding
from app.postgres.pool import translated
from app.telemetry.tracing import span

BindingKey = tuple[DatasetId, str | None, datetime | None]


class Bindings:
    """Bindings by what is bound: a dataset as its producer calls it, with its version, or else the time it was used."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def find(self, keys: Sequence[BindingKey]) -> dict[BindingKey, Binding]:
        """Those that are known, in one statement."""
        if not keys:
            return {}
        by_hash = {_hash(key): key for key in keys}
        with span("postgres.find_bindings", count=len(keys)):
            async with translated():
                rows = await self._pool.fetch(
                    """
                    SELECT binding_key, entity, version, shown_name, is_inferred FROM lineage_bindings
                    WHERE binding_key = ANY($1::bytea[])
                    """,
                    list(by_hash),
                )
        return {
            by_hash[row["binding_key"]]: Binding(
                vertex=Vertex(
                    entity=row["entity"], version=row["version"], kind=EntityKind.DATASET, name=row["shown_name"]
                ),
                is_inferred=row["is_inferred"],
            )
            for row in rows
        }

    async def keep(self, found: Mapping[BindingKey, Binding]) -> dict[BindingKey, Binding]:
        """Write down what is new; answers what holds now, which for a key bound by someone else meanwhile is theirs."""
        if not found:
            return {}
        with span("postgres.keep_bindings", count=len(found)):
            async with translated():
                await self._pool.executemany(
                    """
                    INSERT INTO lineage_bindings
                        (binding_key, dataset_name, entity, version, shown_name, is_inferred)
                    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (binding_key) DO NOTHING
                    """,
                    sorted(
                        (
                            _hash(key),
                            f"{key[0].namespace}/{key[0].name}",
                            binding.vertex.entity,
                            binding.vertex.version or "",
                            binding.vertex.name,
                            binding.is_inferred,
                        )
                        for key, binding in found.items()
                    ),
                )
        return await self.find(list(found))


def _hash(key: BindingKey) -> bytes:
    dataset, version, at = key
    parts = (dataset.namespace, dataset.name, version, at.isoformat() if at else None)
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()
