"""Comparing rows of many columns: by digests, because the engine holds every column several times over.

Columns cost it about a quarter of a megabyte each, whether there are twenty rows or millions. So the values of a row
are one SHA-256 to it, of a text in which two rows are equal just when their values are; the rows that are to be shown
are then looked up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from app.lake.row_diff.engine import Engine, Source
from app.lake.row_diff.engine_values import is_float
from app.lake.row_diff.joining import (
    KeyFinding,
    Outcome,
    RowCounts,
    count_copies,
    count_joined,
    join_by_keys,
)

MANY_COLUMNS = 100


def compare_keys(
    engine: Engine, from_rows: Source, to_rows: Source, keys: Sequence[int], counts: tuple[int, int], room: RowCounts
) -> Outcome | KeyFinding:
    """As `joining.compare_keys`. Where streams have rows to be shown, they are read once more."""
    names = engine.columns(keys)
    digest = _digest(engine, [place for place in engine.places if place not in keys])
    f, t = (f"SELECT {', '.join(names)}, {digest} AS v FROM ({engine.select(side)})" for side in ("f", "t"))
    join_by_keys(
        engine,
        (f, t),
        keys,
        differs="f.v <> t.v",
        kept=names,
        rows=(from_rows(engine.places), to_rows(engine.places)),
    )
    counted = count_joined(engine, from_rows, keys, counts)
    if isinstance(counted, KeyFinding):
        return counted

    def wanted(side: str, which: str, size: int) -> pa.Table:
        shown = ", ".join(f"{side}{name} AS {name}" for name in names)
        order = ", ".join(side + name for name in names)
        return engine.table(f"SELECT {shown} FROM d WHERE {which} ORDER BY {order} LIMIT {size}")

    added = wanted("t", "fp IS NULL", room.added)
    removed = wanted("f", "tp IS NULL", room.removed)
    changed = wanted("f", "fp AND tp", room.changed)
    before = _found_by_keys(engine, from_rows, names, pa.concat_tables([removed, changed]))
    after = _found_by_keys(engine, to_rows, names, pa.concat_tables([added, changed]))
    both = [
        _renamed(rows.slice(start), side)
        for rows, start, side in ((before, removed.num_rows, "f"), (after, added.num_rows, "t"))
    ]
    changed_rows = pa.table([*both[0].columns, *both[1].columns], [*both[0].column_names, *both[1].column_names])
    return Outcome(
        added=counted.added,
        removed=counted.removed,
        changed=counted.changed,
        added_rows=after.slice(0, added.num_rows),
        removed_rows=before.slice(0, removed.num_rows),
        changed_rows=changed_rows,
    )


def compare_multisets(engine: Engine, from_rows: Source, to_rows: Source, room: RowCounts) -> Outcome:
    """As `joining.compare_multisets`, but that the rows shown are in the order of their digests."""
    digest = _digest(engine, engine.places)
    engine.run(
        "CREATE OR REPLACE TEMP TABLE d AS SELECT v, sum(w)::BIGINT AS w FROM ("
        f"SELECT {digest} AS v, -1 AS w FROM ({engine.select('f')}) "
        f"UNION ALL SELECT {digest} AS v, 1 AS w FROM ({engine.select('t')})"
        ") GROUP BY v HAVING sum(w) <> 0",
        f=from_rows(engine.places),
        t=to_rows(engine.places),
    )
    added, removed = count_copies(engine)
    added_rows, removed_rows = (
        _found_by_digest(
            engine, source, engine.table(f"SELECT v, abs(w) AS copies FROM d WHERE {which} ORDER BY v LIMIT {size}")
        )
        for source, which, size in ((to_rows, "w > 0", room.added), (from_rows, "w < 0", room.removed))
    )
    return Outcome(
        added=added, removed=removed, changed=0, added_rows=added_rows, removed_rows=removed_rows, changed_rows=None
    )


def _found_by_keys(engine: Engine, source: Source, names: Sequence[str], wanted: pa.Table) -> pa.Table:
    """The rows with these keys, in their order."""
    places = [int(name[1:]) for name in names if name.startswith("c")]
    rows = f"SELECT k.*, i FROM ({engine.select('r', places)}) k POSITIONAL JOIN (SELECT i FROM r)"
    same = " AND ".join(f"r.{name} = wanted.{name}" for name in names)
    return _found(engine, source, rows, wanted, same)


def _found_by_digest(engine: Engine, source: Source, wanted: pa.Table) -> pa.Table:
    """One of the rows with each of these digests, in their order, with its copies."""
    rows = f"SELECT {_digest(engine, engine.places)} AS v, i FROM r"
    found = _found(engine, source, rows, wanted, "r.v = wanted.v")
    return found.append_column("copies", wanted.column("copies"))


def _found(engine: Engine, source: Source, rows: str, wanted: pa.Table, same: str) -> pa.Table:
    """Batch by batch, for the engine is to hold no rows whole."""
    left = wanted.append_column("n", pa.arange(0, wanted.num_rows))
    found = [engine.schema.empty_table().append_column("n", pa.array([], pa.int64()))]
    for batch in _opened(source, engine.places) if wanted.num_rows else ():
        table = pa.Table.from_batches([batch])
        query = f"SELECT min(i) AS i, n FROM ({rows}) r JOIN wanted ON {same} GROUP BY n"
        hits = engine.table(query, r=table.append_column("i", pa.arange(0, table.num_rows)), wanted=left)
        if hits.num_rows:
            found.append(table.take(hits.column("i")).append_column("n", hits.column("n")))
            left = left.filter(pc.invert(pc.is_in(left.column("n"), value_set=hits.column("n").combine_chunks())))
        if not left.num_rows:
            break
    if left.num_rows:
        raise RuntimeError(f"{left.num_rows} rows were compared, and are not there to be shown")
    rows_found = pa.concat_tables(found)
    return _with_signs(rows_found.take(pc.sort_indices(rows_found.column("n"))).drop_columns("n"))


def _opened(source: Source, places: Sequence[int]) -> Iterator[pa.RecordBatch]:
    rows = source(places)
    if isinstance(rows, pa.Table):
        yield from rows.to_batches()
        return
    with rows:
        yield from rows


def _with_signs(rows: pa.Table) -> pa.Table:
    for name in rows.column_names:
        column = rows.column(name)
        if is_float(column.type):
            is_negative = pc.less(pc.divide(pa.scalar(1.0, column.type), column), 0)
            rows = rows.append_column(f"z{name[1:]}", pc.and_(pc.equal(column, 0), is_negative))
    return rows


def _renamed(rows: pa.Table, side: str) -> pa.Table:
    return rows.rename_columns([side + name for name in rows.column_names])


def _digest(engine: Engine, places: Sequence[int]) -> str:
    parts = [_text(f"c{place}", engine.schema.field(place).type) for place in places]
    return f"sha256(concat_ws(',', '', {', '.join(parts)}))" if parts else "''"


def _text(name: str, kind: pa.DataType) -> str:
    if pa.types.is_string(kind):
        # With its length before it, as it may have any character in it.
        return f"coalesce(strlen({name})::VARCHAR, '-'), coalesce({name}, '')"
    if pa.types.is_binary(kind):
        return f"coalesce(hex({name}), '-')"
    if is_float(kind):
        # NaN has a sign, which the engine writes, and which is no part of its value: 0/0 has one, Python's has none.
        return f"CASE WHEN isnan({name}) THEN 'nan' ELSE coalesce({name}::VARCHAR, '-') END"
    return f"coalesce({name}::VARCHAR, '-')"
