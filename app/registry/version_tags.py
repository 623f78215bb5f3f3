"""Tags on versions of models and pipelines. Those of datasets are Iceberg refs, and not here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from app.domain.changes import Actor, ModelSubject, PipelineSubject, RegistrySubject
from app.domain.names import is_storable
from app.domain.pages import Page, PageRequest
from app.postgres.pool import translated
from app.registry.facts import Transaction, subject_kind
from app.registry.paging import Listing, find_pages
from app.telemetry.tracing import span

_COLUMNS = "subject_kind, subject_name, tag, number, is_protected, set_by, reason, set_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionTag:
    """A name for one version of a model or pipeline."""

    subject: RegistrySubject
    name: str
    number: int
    is_protection_requested: bool
    set_by: Actor
    reason: str | None
    set_at: datetime


class VersionTags:
    """Tags by what they are on."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def of_subjects(self, subjects: Sequence[RegistrySubject]) -> dict[RegistrySubject, list[VersionTag]]:
        """All tags of each of these, by name; one statement."""
        found: dict[RegistrySubject, list[VersionTag]] = {subject: [] for subject in subjects}
        known = [subject for subject in found if is_storable(str(subject))]
        with span("postgres.find_version_tags", count=len(known)):
            async with translated():
                rows = await self._pool.fetch(
                    f"""
                    SELECT {_COLUMNS} FROM unnest($1::text[], $2::text[]) AS wanted (subject_kind, subject_name)
                    JOIN version_tags USING (subject_kind, subject_name) ORDER BY tag
                    """,
                    [subject_kind(subject) for subject in known],
                    [str(subject) for subject in known],
                )
        for row in rows:
            tag = _to_tag(row)
            found[tag.subject].append(tag)
        return found

    async def page(self, subject: RegistrySubject, request: PageRequest) -> Page[VersionTag]:
        """The tags of one model or pipeline, by name. Raises InvalidPageError."""
        return (await self.pages([subject], request))[subject]

    async def pages(
        self, subjects: Sequence[RegistrySubject], request: PageRequest
    ) -> dict[RegistrySubject, Page[VersionTag]]:
        """The tags of each of these models and pipelines, by name; two statements for all. Raises InvalidPageError."""
        owners = {subject: (subject_kind(subject), str(subject)) for subject in subjects}
        with span("postgres.list_version_tags", count=len(owners)):
            pages = await find_pages(self._pool, _TAGS, list(owners.values()), request)
        return {subject: pages[owner] for subject, owner in owners.items()}


async def lock_tags(connection: Transaction, subject: RegistrySubject) -> dict[str, VersionTag]:
    """The tags of one model or pipeline, which nobody else changes until the transaction ends."""
    # The row of the owner is what is locked: a tag that is not there has none.
    if isinstance(subject, ModelSubject):
        await connection.execute("SELECT FROM models WHERE name = $1 FOR UPDATE", subject.name)
    else:
        await connection.execute("SELECT FROM pipelines WHERE pipeline_id = $1 FOR UPDATE", subject.pipeline_id)
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM version_tags WHERE subject_kind = $1 AND subject_name = $2",
        subject_kind(subject),
        str(subject),
    )
    return {row["tag"]: _to_tag(row) for row in rows}


async def put_tag(
    connection: Transaction,
    subject: RegistrySubject,
    tag: str,
    number: int,
    *,
    is_protected: bool,
    by: Actor,
    reason: str | None,
) -> VersionTag:
    """Set a tag, or point it elsewhere; answers how it is then."""
    row = await connection.fetchrow(
        f"""
        INSERT INTO version_tags (subject_kind, subject_name, tag, number, is_protected, set_by, reason)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (subject_kind, subject_name, tag) DO UPDATE
        SET number = excluded.number, is_protected = excluded.is_protected, set_by = excluded.set_by,
            reason = excluded.reason, set_at = now()
        RETURNING {_COLUMNS}
        """,
        subject_kind(subject),
        str(subject),
        tag,
        number,
        is_protected,
        by.subject,
        reason,
    )
    return _to_tag(row)


async def protect_tag(connection: Transaction, subject: RegistrySubject, tag: str) -> None:
    """Protect a tag that is there; who set it stays who set it."""
    await connection.execute(
        "UPDATE version_tags SET is_protected = true WHERE subject_kind = $1 AND subject_name = $2 AND tag = $3",
        subject_kind(subject),
        str(subject),
        tag,
    )


async def remove_tag(connection: Transaction, subject: RegistrySubject, tag: str) -> None:
    """Remove a tag."""
    await connection.execute(
        "DELETE FROM version_tags WHERE subject_kind = $1 AND subject_name = $2 AND tag = $3",
        subject_kind(subject),
        str(subject),
        tag,
    )


def _to_tag(row: asyncpg.Record) -> VersionTag:
    name = row["subject_name"]
    is_model = row["subject_kind"] == "MODEL"
    return VersionTag(
        subject=ModelSubject(name=name) if is_model else PipelineSubject(pipeline_id=name),
        name=row["tag"],
        number=row["number"],
        is_protection_requested=row["is_protected"],
        set_by=Actor(subject=row["set_by"]),
        reason=row["reason"],
        set_at=row["set_at"],
    )


_TAGS = Listing(
    cursor_kind="version-tags",
    columns=_COLUMNS,
    table="version_tags",
    owner=("subject_kind", "subject_name"),
    key="tag",
    to_item=_to_tag,
)
