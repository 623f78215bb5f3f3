"""The plan of a joined file: which bytes of which file come where, and the footer that says so.

All data first, in the order of the files; then all column indexes, all offset indexes, and the footer. Readers get page
indexes with one request from the first to the last of them (parquet-rs), so that they must not lie among the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pyiceberg.io import FileIO

from app.lake.compact.copying.errors import JoinStoppedError
from app.lake.compact.copying.footers import MAGIC, Footer
from app.lake.compact.copying.key_values import merge_key_values
from app.lake.compact.copying.page_indexes import OffsetIndexes, shift_offset_index
from app.lake.compact.copying.pieces import Extent, IsStopped, Piece
from app.lake.compact.copying.placing import Placement
from app.lake.compact.copying.survey import COLUMN_INDEX, OFFSET_INDEX, Span, index_span
from app.lake.deleted_positions import naming_file
from app.lake.parquet.fields import ChunkFields, ColumnFields, FileFields, RowGroupFields
from app.lake.parquet.row_groups import Chunk, RowGroup, find_int, read_row_group, write_row_group
from app.lake.parquet.thrift import Struct, of_int, write_list, write_struct
from app.lake.parquet.wire import I16, I32, I64, STRUCT

_PAGE_FIELDS = (
    ColumnFields.DATA_PAGE_OFFSET,
    ColumnFields.INDEX_PAGE_OFFSET,
    ColumnFields.DICTIONARY_PAGE_OFFSET,
    ColumnFields.BLOOM_FILTER_OFFSET,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinPlan:
    """How a file is put together, and what is known of it then."""

    pieces: list[Piece]
    size_bytes: int
    rows: int
    split_offsets: tuple[int, ...]
    dropped_keys: tuple[str, ...]


def plan_join(io: FileIO, footers: Sequence[Footer], is_stopped: IsStopped) -> JoinPlan:
    """How these files are joined, of which `find_obstacle` found that they can be.

    Costs about 60 µs a column chunk, and reading the offset indexes. Memory: these and the footers, about twice.

    Raises:
        AbsentFileError: a file is not there.
        OSError: it is broken; its name is in the message.
        JoinStoppedError: `is_stopped`, asked for each file, says so.
    """
    pieces: list[Piece] = [MAGIC]
    position = len(MAGIC)
    data, column_indexes = [], []
    for footer in footers:
        data.append(Placement(footer.data, position))
        pieces += _extents(footer.location, footer.data)
        position = data[-1].end
    for footer in footers:
        column_indexes.append(Placement(footer.column_indexes, position))
        pieces += _extents(footer.location, footer.column_indexes)
        position = column_indexes[-1].end
    tail = _Tail(position, keeps_ordinals=all(footer.has_ordinals for footer in footers), keeps_order=len(footers) == 1)
    for footer, pages, indexes in zip(footers, data, column_indexes, strict=True):
        if is_stopped():
            raise JoinStoppedError
        with naming_file(footer.location):
            tail.add(footer, pages, indexes, OffsetIndexes(io, footer))
    key_values = merge_key_values(footers)
    version = {FileFields.VERSION: of_int(I32, max(footer.version for footer in footers))}
    raw = write_struct(footers[0].fields | version | key_values.fields | tail.fields())
    end = b"".join([bytes(tail.offset_indexes), raw, len(raw).to_bytes(4, "little"), MAGIC])
    return JoinPlan(
        pieces=[*pieces, end],
        size_bytes=position + len(end),
        rows=tail.rows,
        split_offsets=tuple(tail.split_offsets),
        dropped_keys=key_values.dropped,
    )


class _Tail:
    """What comes after the data and the column indexes, as row groups are added."""

    def __init__(self, position: int, *, keeps_ordinals: bool, keeps_order: bool) -> None:
        self.offset_indexes = bytearray()
        self.split_offsets: list[int] = []
        self.rows = 0
        self._position = position
        self._row_groups: list[bytes] = []
        self._keeps_ordinals = keeps_ordinals
        self._keeps_order = keeps_order

    def fields(self) -> Struct:
        return {
            FileFields.NUM_ROWS: of_int(I64, self.rows),
            FileFields.ROW_GROUPS: write_list(STRUCT, self._row_groups),
        }

    def add(self, footer: Footer, data: Placement, column_indexes: Placement, offset_indexes: OffsetIndexes) -> None:
        for raw in footer.row_groups:
            group = read_row_group(raw)
            for chunk in group.chunks:
                self._move(chunk, data, column_indexes, offset_indexes)
            self._renumber(group)
            self.rows += group.rows
            self._row_groups.append(write_row_group(group))

    def _move(self, chunk: Chunk, data: Placement, column_indexes: Placement, offset_indexes: OffsetIndexes) -> None:
        offset_index, column_index = index_span(chunk, OFFSET_INDEX), index_span(chunk, COLUMN_INDEX)
        for field_id in (*OFFSET_INDEX, *COLUMN_INDEX):
            chunk.fields.pop(field_id, None)
        if offset_index is not None:
            pages = (chunk.start, chunk.end)
            shifted = shift_offset_index(offset_indexes.get(offset_index), pages, data.get(pages[0]) - pages[0])
            place = self._position + len(self.offset_indexes)
            chunk.fields |= _index_fields(OFFSET_INDEX, place, len(shifted))
            self.offset_indexes += shifted
        if column_index is not None:
            place, length = column_indexes.get(column_index[0]), column_index[1] - column_index[0]
            chunk.fields |= _index_fields(COLUMN_INDEX, place, length)
        for field_id in _PAGE_FIELDS:
            # Some writers say 0 for what is not there.
            if offset := find_int(chunk.column, field_id):
                chunk.column[field_id] = of_int(I64, data.get(offset))
        # Where a copy of the metadata was, or the first page: nobody reads it, and the format asks for 0 where neither.
        place_of_copy = data.find(find_int(chunk.fields, ChunkFields.FILE_OFFSET) or 0)
        chunk.fields[ChunkFields.FILE_OFFSET] = of_int(I64, place_of_copy or 0)

    def _renumber(self, group: RowGroup) -> None:
        start = group.chunks[0].start
        self.split_offsets.append(start)
        if RowGroupFields.FILE_OFFSET in group.fields:
            group.fields[RowGroupFields.FILE_OFFSET] = of_int(I64, start)
        # In all row groups or in none, as parquet-rs has it.
        group.fields.pop(RowGroupFields.ORDINAL, None)
        if self._keeps_ordinals:
            group.fields[RowGroupFields.ORDINAL] = of_int(I16, len(self._row_groups))
        if not self._keeps_order:
            group.fields.pop(RowGroupFields.SORTING_COLUMNS, None)


def _index_fields(fields: tuple[int, int], offset: int, length: int) -> Struct:
    return {fields[0]: of_int(I64, offset), fields[1]: of_int(I32, length)}


def _extents(location: str, spans: Sequence[Span]) -> Iterator[Extent]:
    return (Extent(location, start, end - start) for start, end in spans)
