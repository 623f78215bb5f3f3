"""The rows that are shown of a difference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa

from app.domain.row_diffs import Row, RowChange, RowSample
from app.errors import JsonValue
from app.lake.file_schemas import to_arrow_schema
from app.lake.row_diff.columns import ComparedColumns
from app.lake.row_diff.engine_values import from_engine
from app.lake.row_diff.joining import Outcome, RowCounts


class SampleMaker:
    """Collects the first rows of each kind, up to `size`."""

    def __init__(self, columns: ComparedColumns, size: int) -> None:
        self._names = columns.names
        self._keys = columns.keys
        self._kinds = [field.type for field in to_arrow_schema(columns.to_schema)]
        self._size = size
        self._added: list[Row] = []
        self._removed: list[Row] = []
        self._changed: list[RowChange] = []

    def missing(self, *, is_added: bool) -> int:
        """How many rows may still be shown."""
        return self._size - len(self._added if is_added else self._removed)

    @property
    def room(self) -> RowCounts:
        """How many rows of each kind may still be shown."""
        return RowCounts(
            added=self.missing(is_added=True),
            removed=self.missing(is_added=False),
            changed=self._size - len(self._changed),
        )

    def take(self, outcome: Outcome) -> None:
        """Add what a comparison showed."""
        self.show(self._copies(outcome.added_rows), is_added=True)
        self.show(self._copies(outcome.removed_rows), is_added=False)
        if outcome.changed_rows is not None:
            self._changed += self._changes(outcome.changed_rows)

    def show(self, rows: Sequence[Row], *, is_added: bool) -> None:
        """Add rows that are on one side only."""
        shown = self._added if is_added else self._removed
        shown += rows[: self._size - len(shown)]

    def sample(self, *, added: int, removed: int, changed: int) -> RowSample:
        """All that was collected, of so many rows."""
        return RowSample(
            added=tuple(self._added),
            removed=tuple(self._removed),
            changed=tuple(self._changed),
            is_truncated=added > len(self._added) or removed > len(self._removed) or changed > len(self._changed),
        )

    def key_rows(self, table: pa.Table) -> list[Row]:
        """Rows of key columns alone."""
        return self._rows(table, "", self._keys)

    def _copies(self, table: pa.Table) -> list[Row]:
        rows = self._rows(table, "", range(len(self._names)))
        if "copies" not in table.column_names:
            return rows
        copies = table.column("copies").to_pylist()
        return [row for row, count in zip(rows, copies, strict=True) for _ in range(min(count, self._size))]

    def _changes(self, table: pa.Table) -> list[RowChange]:
        places = range(len(self._names))
        before, after = self._rows(table, "f", places), self._rows(table, "t", places)
        return [
            RowChange(
                key={self._names[place]: was[self._names[place]] for place in self._keys},
                before=was,
                after=now,
                columns=tuple(name for name in self._names if _text(was[name]) != _text(now[name])),
            )
            for was, now in zip(before, after, strict=True)
        ]

    def _rows(self, table: pa.Table, prefix: str, places: Iterable[int]) -> list[Row]:
        # By name only once: of a thousand columns each look-up goes through them all.
        arrays = dict(zip(table.column_names, table.columns, strict=True))
        columns: dict[str, list[JsonValue]] = {}
        for place in places:
            zeros = arrays.get(f"{prefix}z{place}")
            columns[self._names[place]] = from_engine(
                _whole(arrays[f"{prefix}c{place}"]), self._kinds[place], None if zeros is None else _whole(zeros)
            )
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if len(column) else pa.array([], column.type)


def _text(value: JsonValue) -> str:
    # Python takes 1 for true, 1 for 1.0 and -0.0 for 0.0.
    return repr(value)
