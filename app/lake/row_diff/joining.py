"""Comparing two sets of rows by their keys, or as multisets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from app.domain.row_diffs import KeyFault
from app.domain.version_relation import DiffSide
from app.lake.row_diff.engine import Engine, Rows, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFinding:
    """A key that identifies no row, as one row of an Arrow table."""

    fault: KeyFault
    side: DiffSide
    example: pa.Table


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCounts:
    """Numbers of rows of each kind: those that there are, or those that are still to be shown."""

    added: int
    removed: int
    changed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What two sets of rows differ in.

    Tables have columns `c0`… and, of floats, `z0`… for the sign of a zero; `changed` has those of the row before as
    `f…` and of the row after as `t…`. `copies` says for each row of a multiset how often it is there more.
    """

    added: int
    removed: int
    changed: int
    added_rows: pa.Table
    removed_rows: pa.Table
    changed_rows: pa.Table | None


def find_key_fault(
    engine: Engine, source: Source, keys: Sequence[int], side: DiffSide, *, is_unique: bool
) -> KeyFinding | None:
    """A null in the keys of these rows, or with `is_unique` a key that is on several; reads the keys alone."""
    key = ", ".join(engine.columns(keys))
    null = " OR ".join(f"c{place} IS NULL" for place in keys)
    distinct = f"count(DISTINCT ({key}))" if is_unique else "0"
    counts = f"SELECT count(*), count(*) FILTER ({null}), {distinct} FROM ({engine.select('rows', keys)})"
    rows, nulls, keys_found = engine.one(counts, rows=source(keys))
    if nulls:
        example = f"SELECT {key} FROM ({engine.select('rows', keys)}) WHERE {null} ORDER BY {key} LIMIT 1"
        return KeyFinding(fault=KeyFault.HAS_NULL, side=side, example=engine.table(example, rows=source(keys)))
    return _find_double(engine, source, keys, side) if is_unique and keys_found < rows else None


def compare_keys(
    engine: Engine, from_rows: Source, to_rows: Source, keys: Sequence[int], counts: tuple[int, int], room: RowCounts
) -> Outcome | KeyFinding:
    """Join by key. `counts` are the numbers of rows; the keys have no nulls, and those of `to_rows` are unique."""
    values = engine.columns([place for place in engine.places if place not in keys])
    join_by_keys(
        engine,
        (engine.select("f"), engine.select("t")),
        keys,
        differs=" OR ".join(f"f.{name} IS DISTINCT FROM t.{name}" for name in values) or "false",
        kept=engine.columns(engine.places),
        rows=(from_rows(engine.places), to_rows(engine.places)),
    )
    counted = count_joined(engine, from_rows, keys, counts)
    if isinstance(counted, KeyFinding):
        return counted

    def sample(side: str, which: str, size: int) -> pa.Table:
        shown = ", ".join(f"{side}{name} AS {name}" for name in engine.columns(engine.places))
        return engine.table(f"SELECT {shown} FROM d WHERE {which} ORDER BY {_order(engine, keys, side)} LIMIT {size}")

    order = _order(engine, keys, "f")
    return Outcome(
        added=counted.added,
        removed=counted.removed,
        changed=counted.changed,
        added_rows=sample("t", "fp IS NULL", room.added),
        removed_rows=sample("f", "tp IS NULL", room.removed),
        changed_rows=engine.table(
            f"SELECT * EXCLUDE (fp, tp) FROM d WHERE fp AND tp ORDER BY {order} LIMIT {room.changed}"
        ),
    )


def compare_multisets(engine: Engine, from_rows: Source, to_rows: Source, room: RowCounts) -> Outcome:
    """Count each distinct row on both sides."""
    names = ", ".join(engine.columns(engine.places))
    engine.run(
        f"CREATE OR REPLACE TEMP TABLE d AS SELECT {names}, sum(w)::BIGINT AS w FROM ("
        f"SELECT *, -1 AS w FROM ({engine.select('f')}) UNION ALL SELECT *, 1 AS w FROM ({engine.select('t')})"
        f") GROUP BY {names} HAVING sum(w) <> 0",
        f=from_rows(engine.places),
        t=to_rows(engine.places),
    )
    added, removed = count_copies(engine)
    added_rows, removed_rows = (
        engine.table(f"SELECT * EXCLUDE w, abs(w) AS copies FROM d WHERE {which} ORDER BY {names} LIMIT {size}")
        for which, size in (("w > 0", room.added), ("w < 0", room.removed))
    )
    return Outcome(
        added=added, removed=removed, changed=0, added_rows=added_rows, removed_rows=removed_rows, changed_rows=None
    )


def join_by_keys(
    engine: Engine,
    queries: tuple[str, str],
    keys: Sequence[int],
    *,
    differs: str,
    kept: Sequence[str],
    rows: tuple[Rows, Rows],
) -> None:
    """Make the table `d` of what differs: `fp` and `tp` say on which sides a key is, columns are as in an outcome."""
    shown = ", ".join(f"{side}.{name} AS {side}{name}" for side in ("f", "t") for name in kept)
    same_key = " AND ".join(f"f.{name} = t.{name}" for name in engine.columns(keys))
    engine.run(
        f"CREATE OR REPLACE TEMP TABLE d AS SELECT f.p AS fp, t.p AS tp, {shown} "
        f"FROM (SELECT true AS p, * FROM ({queries[0]})) f FULL OUTER JOIN (SELECT true AS p, * FROM ({queries[1]})) t "
        f"ON {same_key} WHERE f.p IS NULL OR t.p IS NULL OR {differs}",
        f=rows[0],
        t=rows[1],
    )


def count_joined(
    engine: Engine, from_rows: Source, keys: Sequence[int], counts: tuple[int, int]
) -> RowCounts | KeyFinding:
    """How many rows of each kind are in the table `d`, or a key that is on several rows of the earlier side."""
    key = ", ".join(f"f{name}" for name in engine.columns(keys))
    removed, added, total, kinds = engine.one(
        "SELECT count(*) FILTER (tp IS NULL), count(*) FILTER (fp IS NULL), count(*), "
        f"count(DISTINCT ({key})) FILTER (tp IS NULL) FROM d"
    )
    # Keys of one side being unique, one that is twice on the other shows in the number of rows that found no match.
    if counts[0] - removed != counts[1] - added or kinds < removed:
        found = _find_double(engine, from_rows, keys, DiffSide.FROM)
        if found is None:
            raise RuntimeError(f"the join does not add up: {counts}, {removed} removed, {added} added")
        return found
    return RowCounts(added=added, removed=removed, changed=total - added - removed)


def count_copies(engine: Engine) -> tuple[int, int]:
    """How many rows are in the table `d` of multisets on the later side more, and on the earlier one."""
    added, removed = engine.one(
        "SELECT coalesce(sum(w) FILTER (w > 0), 0)::BIGINT, coalesce(-sum(w) FILTER (w < 0), 0)::BIGINT FROM d"
    )
    return added, removed


def _find_double(engine: Engine, source: Source, keys: Sequence[int], side: DiffSide) -> KeyFinding | None:
    key = ", ".join(engine.columns(keys))
    found = engine.table(
        f"SELECT {key} FROM ({engine.select('rows', keys)}) GROUP BY {key} HAVING count(*) > 1 ORDER BY {key} LIMIT 1",
        rows=source(keys),
    )
    return KeyFinding(fault=KeyFault.NOT_UNIQUE, side=side, example=found) if found.num_rows else None


def _order(engine: Engine, keys: Sequence[int], side: str) -> str:
    return ", ".join(side + name for name in engine.columns(keys))
