"""Comparing two versions in Spark: the questions are those of `app.lake.row_diff.joining`, asked of all rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from pyiceberg.schema import Schema

from app.domain.row_diffs import KeyFault
from app.domain.version_relation import DiffSide
from app.lake.file_schemas import to_arrow_schema
from app.lake.row_diff.joining import KeyFinding, Outcome
from app.lake.row_diff.spark.columns import is_float, is_nested
from app.lake.row_diff.spark.values import to_engine_table

# The view in which a session may keep rows; they are given back in the end.
KEPT_ROWS = "stratigraph_differing_rows"


class SparkJoiner:
    """Both sides as queries that have the columns of `app.lake.row_diff.spark.columns`."""

    def __init__(self, session: Any, schema: Schema, from_query: str, to_query: str) -> None:
        self._session = session
        self._schema = to_arrow_schema(schema)
        self._places = range(len(schema.fields))
        self._floats = [place for place, field in enumerate(schema.fields) if is_float(field.field_type)]
        self._nested = [place for place, field in enumerate(schema.fields) if is_nested(field.field_type)]
        self._queries = {DiffSide.FROM: from_query, DiffSide.TO: to_query}

    def find_key_fault(self, keys: Sequence[int], side: DiffSide) -> KeyFinding | None:
        """A null in the keys of a side, or else a key that is on several of its rows: the first in their order."""
        key = ", ".join(self._columns(keys))
        null = " OR ".join(f"c{place} IS NULL" for place in keys)
        found = self._table(
            f"SELECT *, {null} AS has_null FROM (SELECT {key}, count(*) AS copies FROM ({self._queries[side]}) "
            f"GROUP BY {key}) WHERE copies > 1 OR {null} ORDER BY has_null DESC, {self._order(self._columns(keys))} "
            "LIMIT 1"
        )
        if not found.num_rows:
            return None
        fault = KeyFault.HAS_NULL if found.column("has_null")[0].as_py() else KeyFault.NOT_UNIQUE
        return KeyFinding(fault=fault, side=side, example=found.drop_columns(["copies", "has_null"]))

    def compare_keys(self, keys: Sequence[int], sample_size: int) -> Outcome:
        """Join by key; keys have no nulls and are unique on each side."""
        same_key = " AND ".join(f"f.{name} = t.{name}" for name in self._columns(keys))
        values = [name for name in self._compared() if name not in self._columns(keys)]
        differs = " OR ".join(f"NOT (f.{name} <=> t.{name})" for name in values) or "false"
        shown = ", ".join(
            f"{side}.{name} AS {side}{name}" for side in ("f", "t") for name in self._columns(self._places)
        )
        first = keys[0]
        query = (
            f"SELECT {shown} FROM ({self._queries[DiffSide.FROM]}) f "
            f"FULL OUTER JOIN ({self._queries[DiffSide.TO]}) t ON {same_key} "
            f"WHERE f.c{first} IS NULL OR t.c{first} IS NULL OR {differs}"
        )
        self._keep(query)
        removed, added, total = self._one(
            f"count_if(tc{first} IS NULL), count_if(fc{first} IS NULL), count(*)",
        )
        order = self._order([f"f{name}" for name in self._columns(keys)])
        changed = f"WHERE fc{first} IS NOT NULL AND tc{first} IS NOT NULL ORDER BY {order} LIMIT {sample_size}"
        return Outcome(
            added=added,
            removed=removed,
            changed=total - added - removed,
            added_rows=self._sample("t", f"fc{first} IS NULL", keys, sample_size),
            removed_rows=self._sample("f", f"tc{first} IS NULL", keys, sample_size),
            changed_rows=self._table(f"SELECT * FROM {KEPT_ROWS} {changed}"),
        )

    def compare_multisets(self, sample_size: int) -> Outcome:
        """Count each distinct row on both sides."""
        grouped = self._compared()
        # Which of several equal ones, only maps show, whose entries have no order.
        held = [f"any_value(c{place}) AS c{place}" for place in self._nested]
        query = (
            f"SELECT {', '.join([*grouped, *held])}, sum(w) AS w FROM ("
            f"SELECT *, -1L AS w FROM ({self._queries[DiffSide.FROM]}) "
            f"UNION ALL SELECT *, 1L AS w FROM ({self._queries[DiffSide.TO]})"
            f") GROUP BY {', '.join(grouped)} HAVING sum(w) <> 0"
        )
        shown = ", ".join(self._columns(self._places))
        self._keep(query)
        added, removed = self._one(
            "coalesce(sum(w) FILTER (WHERE w > 0), 0), coalesce(-sum(w) FILTER (WHERE w < 0), 0)"
        )
        added_rows, removed_rows = (
            self._table(
                f"SELECT {shown}, abs(w) AS copies FROM {KEPT_ROWS} WHERE {which} ORDER BY {self._order(grouped)} "
                f"LIMIT {sample_size}"
            )
            for which in ("w > 0", "w < 0")
        )
        return Outcome(
            added=added, removed=removed, changed=0, added_rows=added_rows, removed_rows=removed_rows, changed_rows=None
        )

    def _sample(self, side: str, which: str, keys: Sequence[int], size: int) -> pa.Table:
        shown = ", ".join(f"{side}{name} AS {name}" for name in self._columns(self._places))
        order = self._order([f"{side}{name}" for name in self._columns(keys)])
        return self._table(f"SELECT {shown} FROM {KEPT_ROWS} WHERE {which} ORDER BY {order} LIMIT {size}")

    def _columns(self, places: Sequence[int]) -> list[str]:
        return [f"c{place}" for place in places] + [f"z{place}" for place in places if place in self._floats]

    def _compared(self) -> list[str]:
        """Columns by which rows are equal."""
        values = [f"n{place}" if place in self._nested else f"c{place}" for place in self._places]
        return values + [f"z{place}" for place in self._floats]

    def _order(self, names: Sequence[str]) -> str:
        # Nulls come last in the other engine.
        return ", ".join(f"{name} ASC NULLS LAST" for name in names)

    def _keep(self, query: str) -> None:
        """Make the rows of a query once: they are counted, and shown thrice."""
        self._session.sql(f"CACHE TABLE {KEPT_ROWS} AS {query}").collect()

    def _one(self, columns: str) -> tuple[int, ...]:
        (row,) = self._session.sql(f"SELECT {columns} FROM {KEPT_ROWS}").collect()
        return tuple(row)

    def _table(self, query: str) -> pa.Table:
        return to_engine_table(self._session.sql(query).toArrow(), self._schema)
