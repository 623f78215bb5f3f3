"""How much the values of a row group are once they are decoded, as far as its footer tells.

How large a column chunk is does not tell: a value that all rows have is in it once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import pyarrow.parquet as pq
from pyiceberg.io import InputStream

from app.lake.parquet.fields import ColumnFields, FileFields, SizeStatisticsFields
from app.lake.parquet.row_groups import RowGroup, find_int, read_row_group
from app.lake.parquet.thrift import read_list, read_struct
from app.lake.parquet.wire import MalformedThriftError

# What Arrow has of each value of Parquet's types, decimals but for one that are wider; of texts and bytes their ends.
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 8, "BYTE_ARRAY": 8}
_LONG = "BYTE_ARRAY"
_DECIMAL_BYTES = 16
# Of a list, which may have one value, where it ends; and of any value, whether it is null.
_LIST_BYTES, _NULL_BYTES = 8, 1
# Of others Arrow's writer tells sizes that are not those of the values: of DELTA_BYTE_ARRAY, of what differs.
_TRUSTED_ENCODINGS = frozenset({"PLAIN", "RLE", "RLE_DICTIONARY", "PLAIN_DICTIONARY", "BIT_PACKED"})
# No column chunk has as many.
_MOST_BYTES = 2**40
# Footers of more take longer than what is gained by knowing.
_MOST_CHUNKS = 1_000
# Behind the metadata in a file; and where it is signed, the signature before them.
_END_BYTES, _SIGNATURE_BYTES = 8, 28
_MAGIC = b"PAR1"


def decoded_row_bytes(
    stream: InputStream, metadata: pq.FileMetaData, groups: Sequence[int], columns: Sequence[int]
) -> float | None:
    """The bytes of a row of these columns in Arrow's form, on average in that row group where they are most.

    None where there are texts or bytes of which the footer does not say how long they are, as files of older writers
    have them (`SizeStatistics` in parquet.thrift, of 2023), and encrypted ones. Costs one read of the file's end and
    40 µs a column chunk of these row groups where there are any, and a microsecond a chunk where not.
    """
    schema = [metadata.schema.column(number) for number in columns]
    told: list[RowGroup] | None = []
    if any(column.physical_type == _LONG for column in schema):
        told = _row_groups(stream, metadata, groups)
    if told is None:
        return None
    most = 0.0
    for place, group in enumerate(groups):
        size = 0
        for number, column in zip(columns, schema, strict=True):
            chunk = metadata.row_group(group).column(number)
            size += chunk.num_values * _width(column)
            if column.physical_type == _LONG:
                long = _unencoded_bytes(told[place], number) if _TRUSTED_ENCODINGS.issuperset(chunk.encodings) else None
                if long is None:
                    return None
                size += long
        most = max(most, size / max(1, metadata.row_group(group).num_rows))
    return most


def _width(column: pq.ColumnSchema) -> int:
    width = column.length if column.physical_type == "FIXED_LEN_BYTE_ARRAY" else _WIDTHS[column.physical_type]
    if column.logical_type.type == "DECIMAL":
        width = max(width, _DECIMAL_BYTES)
    return width + _NULL_BYTES + (_LIST_BYTES if column.max_repetition_level else 0)


def _row_groups(stream: InputStream, metadata: pq.FileMetaData, groups: Sequence[int]) -> list[RowGroup] | None:
    """These row groups as the file's footer has them; None where it takes too long, or nobody may read it."""
    if metadata.num_row_groups * metadata.num_columns > _MOST_CHUNKS:
        return None
    # As it is in the file: writing encrypted metadata anew ends the process (pyarrow 26).
    size = metadata.serialized_size + _END_BYTES + _SIGNATURE_BYTES
    try:
        stream.seek(-size, os.SEEK_END)
    except (OSError, ValueError):
        # There is not so much before it.
        stream.seek(0)
    end = bytes(stream.read())
    length = int.from_bytes(end[-_END_BYTES : -len(_MAGIC)], "little")
    if not end.endswith(_MAGIC) or length > len(end) - _END_BYTES:
        return None
    try:
        footer, _ = read_struct(end, len(end) - _END_BYTES - length)
        if FileFields.ENCRYPTION_ALGORITHM in footer:
            return None
        found = read_list(footer.get(FileFields.ROW_GROUPS))[1]
        return [read_row_group(found[group]) for group in groups]
    except (MalformedThriftError, IndexError):
        # Of a hint nothing is to be made that Arrow understands otherwise.
        return None


def _unencoded_bytes(group: RowGroup, number: int) -> int | None:
    """The bytes of a column's values, without their lengths; None where it is not told, or cannot be."""
    column = group.chunks[number].column if number < len(group.chunks) else {}
    if ColumnFields.SIZE_STATISTICS not in column:
        return None
    try:
        told = find_int(read_struct(column[ColumnFields.SIZE_STATISTICS][1])[0], SizeStatisticsFields.UNENCODED_BYTES)
    except MalformedThriftError:
        return None
    return told if told is not None and 0 <= told < _MOST_BYTES else None
