"""Row groups of a Parquet footer: their fields, and where their column chunks begin and end."""

from __future__ import annotations

from dataclasses import dataclass

from app.lake.parquet.fields import ChunkFields, ColumnFields, RowGroupFields, StatisticsFields
from app.lake.parquet.thrift import (
    Struct,
    find_number,
    read_numbers,
    read_struct,
    read_structs,
    to_int,
    write_list,
    write_struct,
)
from app.lake.parquet.wire import STRUCT, MalformedThriftError


@dataclass(slots=True)
class Chunk:
    """A column chunk: its fields but for the metadata of the column, and these."""

    fields: Struct
    column: Struct

    @property
    def start(self) -> int:
        """Where its first page begins, of dictionary or data."""
        return min(self.pages())

    @property
    def end(self) -> int:
        """Where its last page ends."""
        return self.start + get_int(self.column, ColumnFields.TOTAL_COMPRESSED_SIZE)

    def pages(self) -> list[int]:
        """Where its first data page and, if it has them, those of its dictionary and of its index begin.

        Some writers say 0 for pages that are not there.
        """
        optional = (ColumnFields.DICTIONARY_PAGE_OFFSET, ColumnFields.INDEX_PAGE_OFFSET)
        others = [offset for field_id in optional if (offset := find_int(self.column, field_id))]
        return [get_int(self.column, ColumnFields.DATA_PAGE_OFFSET), *others]

    def has_statistics(self) -> bool | None:
        """Whether it tells its least and greatest value and its nulls; None where it has nulls alone."""
        statistics, _ = read_numbers(self.column.get(ColumnFields.STATISTICS, (STRUCT, b"\0"))[1])
        nulls = find_number(statistics, StatisticsFields.NULL_COUNT)
        if nulls is None:
            return False
        if StatisticsFields.MIN_VALUE in statistics and StatisticsFields.MAX_VALUE in statistics:
            return True
        return None if nulls == find_int(self.column, ColumnFields.NUM_VALUES) else False


@dataclass(slots=True)
class RowGroup:
    """A row group: its fields but for its column chunks, and these."""

    fields: Struct
    chunks: list[Chunk]

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return get_int(self.fields, RowGroupFields.NUM_ROWS)


def read_row_group(raw: bytes) -> RowGroup:
    """A row group as a footer has it. About 40 µs a column chunk.

    Raises:
        MalformedThriftError: it is none.
    """
    chunks: list[Chunk] = []

    def read_chunk(data: bytes, position: int) -> int:
        columns: list[Struct] = []

        def read_column(data: bytes, position: int, kind: int) -> int:
            if kind != STRUCT:
                raise MalformedThriftError("the metadata of a column chunk is no struct")
            column, position = read_struct(data, position)
            columns.append(column)
            return position

        fields, position = read_struct(data, position, {ChunkFields.META_DATA: read_column})
        chunks.append(Chunk(fields, columns[0] if columns else {}))
        return position

    fields, _ = read_struct(raw, 0, {RowGroupFields.COLUMNS: read_structs(read_chunk)})
    return RowGroup(fields, chunks)


def write_row_group(group: RowGroup) -> bytes:
    """The row group as a footer has it."""
    chunks = [
        write_struct(chunk.fields | {ChunkFields.META_DATA: (STRUCT, write_struct(chunk.column))})
        for chunk in group.chunks
    ]
    return write_struct(group.fields | {RowGroupFields.COLUMNS: write_list(STRUCT, chunks)})


def get_int(struct: Struct, field_id: int) -> int:
    """A number that has to be there.

    Raises:
        MalformedThriftError: it is not.
    """
    number = find_int(struct, field_id)
    if number is None:
        raise MalformedThriftError(f"a struct has no field {field_id}")
    return number


def find_int(struct: Struct, field_id: int) -> int | None:
    """A number that may be there.

    Raises:
        MalformedThriftError: it is something else.
    """
    value = struct.get(field_id)
    return None if value is None else to_int(value)
