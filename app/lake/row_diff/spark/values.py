"""Rows as Spark answers them in the form that samples are made of (see `app.lake.row_diff.engine_values`)."""

from __future__ import annotations

import re
from uuid import UUID

import pyarrow as pa

from app.lake.row_diff.engine_values import engine_schema, to_engine

_COLUMN = re.compile(r"[ft]?c(\d+)")


def to_engine_table(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table of Spark's with columns `c0`… of `schema`, before them `f` or `t` or nothing; others stay as they are."""
    wanted = engine_schema(schema)
    arrays, fields = [], []
    for name in table.column_names:
        array = table.column(name).combine_chunks() if table.num_rows else pa.array([], table.schema.field(name).type)
        found = _COLUMN.fullmatch(name)
        kind = array.type
        if found is not None:
            place = int(found[1])
            kind = wanted.field(place).type
            if isinstance(schema.field(place).type, pa.UuidType):
                array = _uuid_bytes(array)
        arrays.append(array)
        fields.append(pa.field(name, kind))
    shown = pa.schema(fields)
    batch = pa.RecordBatch.from_arrays(arrays, names=table.column_names)
    return pa.Table.from_batches([to_engine(batch, shown)], shown)


def _uuid_bytes(array: pa.Array) -> pa.Array:
    return pa.array([None if text is None else UUID(text).bytes for text in array.to_pylist()], pa.binary())
