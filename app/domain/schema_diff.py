"""How the schemas of two versions differ: by field id and by name, whom it breaks, and why.

The columns of either version fall into three parts each: those of the old one are removed, renamed or common, those of
the new one added, renamed or common. A rename is told by field id, and is no removal and addition; a column that was
dropped and added again under its old name is common, because by that name it is in both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from app.domain.layouts import Layout, ListChange, compare_orders, compare_partitions
from app.domain.schema_changes import Rules, SchemaChange, SchemaChangeKind, changes_of
from app.domain.schema_matching import match_schemas
from app.domain.schemas import SchemaVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionSchema:
    """What a version says of its rows: their schema, and as far as it is known, their layout."""

    schema: SchemaVersion
    layout: Layout = field(default_factory=Layout)
    format_version: int = 2


@dataclass(frozen=True, kw_only=True)
class SchemaDiff:
    """The schemas of two versions, and all that is different, parents ahead of what is nested in them.

    Nothing of a version that has the same fields is in `changes`; identifier fields, partition spec and sort order are
    beside them.
    """

    before: VersionSchema
    after: VersionSchema
    changes: tuple[SchemaChange, ...]
    common_columns: tuple[str, ...]
    identifier_fields: ListChange
    partition: ListChange
    sort: ListChange
    breaks_upserts: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known to differ."""
        lists = (self.identifier_fields, self.partition, self.sort)
        return not self.changes and not any(change.is_changed for change in lists)

    @cached_property
    def columns(self) -> tuple[SchemaChange, ...]:
        """Changes of columns; what is nested in one is in `nested`."""
        return tuple(change for change in self.changes if not change.is_nested)

    @cached_property
    def nested(self) -> tuple[SchemaChange, ...]:
        """Changes of what is nested in columns."""
        return tuple(change for change in self.changes if change.is_nested)

    def of_kind(self, *kinds: SchemaChangeKind) -> tuple[SchemaChange, ...]:
        """Changes of columns that are of these kinds."""
        return tuple(change for change in self.columns if change.kind in kinds)

    @property
    def added_columns(self) -> tuple[str, ...]:
        """Columns of the new version that the old one has not, in the new one's order."""
        return tuple(change.path for change in self.of_kind(SchemaChangeKind.ADDED))

    @property
    def removed_columns(self) -> tuple[str, ...]:
        """Columns of the old version that the new one has not, in the old one's order."""
        return tuple(change.path for change in self.of_kind(SchemaChangeKind.REMOVED))

    @cached_property
    def breaking_for_readers(self) -> tuple[str, ...]:
        """Why readers of the old version break."""
        return tuple(reason for change in self.changes if (reason := change.breakage.readers) is not None)

    @cached_property
    def breaking_for_writers(self) -> tuple[str, ...]:
        """Why writers of the old version break."""
        reasons = [reason for change in self.changes if (reason := change.breakage.writers) is not None]
        return (*reasons, self.breaks_upserts) if self.breaks_upserts is not None else tuple(reasons)

    @property
    def is_breaking(self) -> bool:
        """Whether readers or writers of the old version break."""
        return bool(self.breaking_for_readers or self.breaking_for_writers)

    @property
    def breaking_reasons(self) -> tuple[str, ...]:
        """Both lists of reasons in one, each told for whom."""
        return (
            *(f"readers: {reason}" for reason in self.breaking_for_readers),
            *(f"writers: {reason}" for reason in self.breaking_for_writers),
        )


def diff_schemas(before: VersionSchema, after: VersionSchema, *, by_id: bool = True) -> SchemaDiff:
    """What a program that knows `before` meets in `after`.

    `by_id` is for two versions of one table; without it, for two tables, fields are matched by name alone. Costs
    O(n log n) in the number of fields.
    """
    bars = before.layout.partition.promotion_bars if before.layout.partition is not None else {}
    rules = Rules(format_version=after.format_version, is_one_table=by_id, promotion_bars=bars if by_id else {})
    changes: list[SchemaChange] = []
    common: list[str] = []
    for pair in match_schemas(before.schema.fields, after.schema.fields, by_id=by_id):
        changes += changes_of(pair, rules)
        if not pair.is_nested and pair.is_same_name:
            common.append(pair.after_name)
    names = (before.schema.paths_by_id, after.schema.paths_by_id)
    identifiers = _compare_identifiers(before.schema, after.schema, by_id=by_id)
    return SchemaDiff(
        before=before,
        after=after,
        changes=tuple(changes),
        common_columns=tuple(common),
        identifier_fields=identifiers,
        partition=compare_partitions(before.layout.partition, after.layout.partition, names, by_id=by_id),
        sort=compare_orders(before.layout.sort, after.layout.sort, names, by_id=by_id),
        breaks_upserts=_judge_identifiers(identifiers),
    )


def _compare_identifiers(before: SchemaVersion, after: SchemaVersion, *, by_id: bool) -> ListChange:
    if by_id:
        is_changed = before.identifier_ids != after.identifier_ids
    else:
        is_changed = set(before.identifier_fields) != set(after.identifier_fields)
    return ListChange(
        before=tuple(sorted(before.identifier_fields)),
        after=tuple(sorted(after.identifier_fields)),
        is_changed=is_changed,
    )


def _judge_identifiers(change: ListChange) -> str | None:
    if not change.is_changed or not change.before:
        return None
    now = f"by ({', '.join(change.after)})" if change.after else "by nothing"
    return f"rows are identified {now}, and not by ({', '.join(change.before)}) any more"
