"""Data files whose columns are already what they are to be read as, which nearly all are.

pyiceberg's projection walks the schema in Python for each batch. While it does, no other thread decodes: of two threads
that read files of eight columns it took a third of the time.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from pyiceberg.schema import Schema


def plain_columns(
    read: Schema, read_schema: pa.Schema, file_schema: Schema, batch_schema: pa.Schema
) -> Sequence[int] | None:
    """Where in batches of a file each column of `read` is; None where one has to be made, promoted or converted.

    `read_schema` is `read` in Arrow's types, and `file_schema` the file's, with field ids. A column without a type of
    its own (nested, of another type, of another unit or zone, or not in the file) is not plain. That a text or bytes
    are kept with offsets of another width, or in views, makes no difference to what they are.
    """
    in_file = {column.field_id: column for column in file_schema.columns}
    places = []
    for column, target in zip(read.fields, read_schema, strict=True):
        found = in_file.get(column.field_id)
        if found is None or not column.field_type.is_primitive or found.field_type != column.field_type:
            return None
        place = batch_schema.get_field_index(found.name)
        if place < 0 or not _is_same(batch_schema.field(place).type, target.type):
            return None
        places.append(place)
    return places


def take_plain(batch: pa.RecordBatch, places: Sequence[int], read_schema: pa.Schema) -> pa.RecordBatch:
    """The columns at these places, in this schema. Costs nothing but for offsets of another width."""
    columns = [
        column if column.type.equals(target.type) else column.cast(target.type)
        for column, target in zip(map(batch.column, places), read_schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=read_schema)


def _is_same(kind: pa.DataType, target: pa.DataType) -> bool:
    if kind.equals(target):
        return True
    return (_is_text(kind) and _is_text(target)) or (_is_bytes(kind) and _is_bytes(target))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))
