"""Parquet files in memory, made of parts of others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.lake.compact.copying.footers import MAGIC, Footer
from app.lake.compact.rewriting.row_groups import Bytes
from app.lake.parquet.fields import ColumnFields, FileFields
from app.lake.parquet.row_groups import find_int
from app.lake.parquet.thrift import Struct, of_bytes, of_int, write_list, write_struct
from app.lake.parquet.wire import I32, I64, STRUCT

_OFFSETS = (
    ColumnFields.DATA_PAGE_OFFSET,
    ColumnFields.DICTIONARY_PAGE_OFFSET,
    ColumnFields.INDEX_PAGE_OFFSET,
)
_DROPPED = (ColumnFields.BLOOM_FILTER_OFFSET, ColumnFields.BLOOM_FILTER_LENGTH)


def moved(column: Struct, by: int) -> Struct:
    """The metadata of a chunk that comes to lie so many bytes further on, without its Bloom filter."""
    at = {field_id: value for field_id, value in column.items() if field_id not in _DROPPED}
    for field_id in _OFFSETS:
        if (offset := find_int(column, field_id)) is not None:
            at[field_id] = of_int(I64, offset + by)
    return at


def in_memory(parts: Iterable[Bytes], footer: Footer, row_groups: Sequence[bytes]) -> bytes:
    """A file with these parts, one behind the other, and these row groups in a footer that is else like this one."""
    said: Struct = footer.fields | {
        FileFields.VERSION: of_int(I32, footer.version),
        FileFields.NUM_ROWS: of_int(I64, footer.rows),
        FileFields.ROW_GROUPS: write_list(STRUCT, list(row_groups)),
        FileFields.KEY_VALUE_METADATA: write_list(STRUCT, [note.raw for note in footer.notes]),
    }
    if footer.created_by is not None:
        said[FileFields.CREATED_BY] = of_bytes(footer.created_by)
    raw = write_struct(said)
    return b"".join([MAGIC, *parts, raw, len(raw).to_bytes(4, "little"), MAGIC])
