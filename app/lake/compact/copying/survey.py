"""What there is in a Parquet file to be copied, and whether it can be copied at all, from its row groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from app.lake.compact.copying.obstacles import ObstacleKind
from app.lake.parquet.fields import BloomFilterFields, ChunkFields, ColumnFields, RowGroupFields
from app.lake.parquet.row_groups import Chunk, RowGroup, find_int, get_int, read_row_group
from app.lake.parquet.thrift import Struct, holds_i64, read_struct
from app.lake.parquet.wire import MalformedThriftError

# From where (included) to where (not included) in a file, in bytes.
Span = tuple[int, int]
ReadAt = Callable[[int, int], bytes]
_MAGIC_BYTES = 4
_BLOOM_FILTER_HEADER_BYTES = 256
_HOLE_BYTES = 4096


class UncopyableError(Exception):
    """A row group cannot be copied as it is."""

    def __init__(self, kind: ObstacleKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class _Where(NamedTuple):
    """A column chunk, by its place in a row group; in words only where it is told."""

    place: int
    group: int

    def __str__(self) -> str:
        return f"column chunk {self.place} of row group {self.group}"


@dataclass(slots=True)
class Survey:
    """What the row groups of a file take, in few spans and in order.

    `data` are column chunks and Bloom filters; columns with and without statistics are told by their place, and those
    of nulls alone are neither.
    """

    rows: int = 0
    row_groups: list[bytes] = field(default_factory=list)
    decoded: list[RowGroup] = field(default_factory=list)
    row_group_bytes: int = 0
    data: list[Span] = field(default_factory=list)
    column_indexes: list[Span] = field(default_factory=list)
    offset_indexes: list[Span] = field(default_factory=list)
    offset_index_bytes: int = 0
    has_ordinals: bool = True
    with_statistics: set[int] = field(default_factory=set)
    without_statistics: set[int] = field(default_factory=set)


def survey_row_groups(
    raws: Sequence[bytes], end: int, read_at: ReadAt, *, leaves: int, keeps_decoded: bool = False
) -> Survey:
    """What the row groups of a file take, of which `end` bytes come before the footer. Those without rows are left out.

    `leaves` is how many columns the schema has, at any depth. Costs decoding each, and a small read for each Bloom
    filter of a writer that does not tell its length.

    Raises:
        UncopyableError: one cannot be copied.
        MalformedThriftError: one is none.
    """
    survey = Survey()
    for number, raw in enumerate(raws):
        group = read_row_group(raw)
        if group.rows == 0:
            continue
        survey.rows += group.rows
        survey.row_groups.append(raw)
        if keeps_decoded:
            survey.decoded.append(group)
        survey.has_ordinals = survey.has_ordinals and RowGroupFields.ORDINAL in group.fields
        if len(group.chunks) != leaves:
            raise MalformedThriftError(f"row group {number} has {len(group.chunks)} columns, and the schema {leaves}")
        if not group.chunks or group.rows < 0:
            raise MalformedThriftError(f"row group {number} has {group.rows} rows in {leaves} columns")
        _refuse_unknown(group)
        for place, chunk in enumerate(group.chunks):
            where = _Where(place, number)
            _refuse_elsewhere(chunk, where)
            if (has_statistics := chunk.has_statistics()) is not None:
                (survey.with_statistics if has_statistics else survey.without_statistics).add(place)
            pages = _page_span(chunk, end, where)
            survey.data.append(pages)
            survey.row_group_bytes += pages[1] - pages[0]
            if (bloom_filter := _bloom_filter_span(chunk, end, where, read_at)) is not None:
                survey.data.append(bloom_filter)
            if (span := _index(chunk, COLUMN_INDEX, end, where)) is not None:
                survey.column_indexes.append(span)
            if (span := _index(chunk, OFFSET_INDEX, end, where)) is not None:
                survey.offset_indexes.append(span)
    survey.offset_index_bytes = sum(last - first for first, last in survey.offset_indexes)
    survey.data = united(survey.data)
    survey.column_indexes = united(survey.column_indexes)
    survey.offset_indexes = united(survey.offset_indexes)
    return survey


def united(spans: Sequence[Span]) -> list[Span]:
    """The same bytes in few spans, in order, with holes of up to 4 KiB between them: each span costs a request or two.

    Writers leave such holes: Arrow's once put the metadata of each column chunk behind it.
    """
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1] + _HOLE_BYTES:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


COLUMN_INDEX = (ChunkFields.COLUMN_INDEX_OFFSET, ChunkFields.COLUMN_INDEX_LENGTH)
OFFSET_INDEX = (ChunkFields.OFFSET_INDEX_OFFSET, ChunkFields.OFFSET_INDEX_LENGTH)


def index_span(chunk: Chunk, fields: tuple[int, int]) -> Span | None:
    """Where a column index or an offset index is; None where the chunk has none."""
    offset, length = find_int(chunk.fields, fields[0]), find_int(chunk.fields, fields[1])
    return (offset, offset + length) if offset and length and length > 0 else None


def _index(chunk: Chunk, fields: tuple[int, int], end: int, where: _Where) -> Span | None:
    span = index_span(chunk, fields)
    if span is not None and _is_outside(span, end):
        raise _outside(span, end, f"the page index of {where}")
    return span


def _page_span(chunk: Chunk, end: int, where: _Where) -> Span:
    pages = chunk.pages()
    start = min(pages)
    span = (start, start + get_int(chunk.column, ColumnFields.TOTAL_COMPRESSED_SIZE))
    if _is_outside(span, end):
        raise _outside(span, end, str(where))
    for page in pages:
        if page >= span[1]:
            raise UncopyableError(ObstacleKind.OUT_OF_BOUNDS, f"{where} has a page outside of its bytes, at {page}")
    return span


def _bloom_filter_span(chunk: Chunk, end: int, where: _Where, read_at: ReadAt) -> Span | None:
    if not (offset := find_int(chunk.column, ColumnFields.BLOOM_FILTER_OFFSET)):
        return None
    what = f"the Bloom filter of {where}"
    length = find_int(chunk.column, ColumnFields.BLOOM_FILTER_LENGTH)
    if length is None:
        if _is_outside((offset, offset + 1), end):
            raise _outside((offset, offset + 1), end, what)
        header, header_bytes = read_struct(read_at(offset, min(_BLOOM_FILTER_HEADER_BYTES, end - offset)))
        length = header_bytes + get_int(header, BloomFilterFields.NUM_BYTES)
    span = (offset, offset + length)
    if _is_outside(span, end):
        raise _outside(span, end, what)
    return span


def _is_outside(span: Span, end: int) -> bool:
    return not _MAGIC_BYTES <= span[0] < span[1] <= end


def _outside(span: Span, end: int, what: str) -> UncopyableError:
    detail = f"{what} is said to be from byte {span[0]} to {span[1]}, and there is data from {_MAGIC_BYTES} to {end}"
    return UncopyableError(ObstacleKind.OUT_OF_BOUNDS, detail)


def _refuse_elsewhere(chunk: Chunk, where: _Where) -> None:
    if chunk.fields.get(ChunkFields.FILE_PATH, (0, b"\0"))[1] != b"\0":
        raise UncopyableError(ObstacleKind.IN_OTHER_FILES, f"{where} is in another file")
    if ChunkFields.CRYPTO_METADATA in chunk.fields or ChunkFields.ENCRYPTED_COLUMN_METADATA in chunk.fields:
        raise UncopyableError(ObstacleKind.ENCRYPTED, f"{where} is encrypted")


def _refuse_unknown(group: RowGroup) -> None:
    refuse_positions(group.fields, RowGroupFields.LAST, "RowGroup")
    for chunk in group.chunks:
        refuse_positions(chunk.fields, ChunkFields.LAST, "ColumnChunk")
        refuse_positions(chunk.column, ColumnFields.LAST, "ColumnMetaData")


def refuse_positions(struct: Struct, last: int, name: str) -> None:
    """Refuse a struct with a field of a later version of Parquet that may be a position in the file.

    Others go along: a name, a codec, a statistic say the same of the same bytes elsewhere.

    Raises:
        UncopyableError: it has one.
    """
    for field_id in struct:
        if field_id > last and holds_i64(*struct[field_id]):
            detail = f"field {field_id} of {name} is not known, and may be a position in the file"
            raise UncopyableError(ObstacleKind.UNKNOWN_FIELDS, detail)
