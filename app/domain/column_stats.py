"""What two versions' statistics of a column differ in."""

from __future__ import annotations

from dataclasses import dataclass

from app.errors.base import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnStats:
    """What the manifests say of one leaf column.

    A count or bound is None where some file lacks it. Counts are of the data files as written: rows that delete files
    take away are still in them. Bounds hold for every row but need not be rows' values: writers may shorten text
    (Iceberg spec, "Scan Planning").
    """

    field_id: int
    path: str
    null_count: int | None
    value_count: int | None
    size_bytes: int | None
    lower: JsonValue
    upper: JsonValue

    @property
    def null_rate(self) -> float | None:
        """Share of nulls, 0 to 1; None where it is not known, or nothing is there."""
        return self.null_count / self.value_count if self.null_count is not None and self.value_count else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnStatsDelta:
    """The statistics of a column in two versions; a side is None where that version has not the column."""

    field_id: int
    path: str
    before: ColumnStats | None
    after: ColumnStats | None

    @property
    def null_rate_delta(self) -> float | None:
        """How much the share of nulls rose; None where it is not known on both sides."""
        if self.before is None or self.after is None:
            return None
        before, after = self.before.null_rate, self.after.null_rate
        return None if before is None or after is None else after - before

    @property
    def is_changed(self) -> bool:
        """Whether a count or a bound is another one, or one side has not the column; sizes are no matter."""
        if self.before is None or self.after is None:
            return True
        before, after = self.before, self.after
        return self.is_range_changed or (
            (before.null_count, before.value_count) != (after.null_count, after.value_count)
        )

    @property
    def is_range_changed(self) -> bool:
        """Whether a bound is another one, as far as bounds are known; of a column of one side only it is."""
        if self.before is None or self.after is None:
            return True
        return (self.before.lower, self.before.upper) != (self.after.lower, self.after.upper)


def pair_stats(before: list[ColumnStats], after: list[ColumnStats], *, by_id: bool = True) -> list[ColumnStatsDelta]:
    """The columns of both, in the order of `after`, then those that only `before` has.

    Matched by field id, or else by path, for two tables, whose ids have nothing to do with each other.
    """

    def key_of(stats: ColumnStats) -> int | str:
        return stats.field_id if by_id else stats.path

    old = {key_of(stats): stats for stats in before}
    found = [
        ColumnStatsDelta(field_id=stats.field_id, path=stats.path, before=old.pop(key_of(stats), None), after=stats)
        for stats in after
    ]
    found += [
        ColumnStatsDelta(field_id=stats.field_id, path=stats.path, before=stats, after=None) for stats in old.values()
    ]
    return found
