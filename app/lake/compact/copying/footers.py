"""Footers of Parquet files: reading one, and what it says of its file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from pyiceberg.io import FileIO, InputStream

from app.lake.compact.copying.errors import BrokenParquetError
from app.lake.compact.copying.obstacles import Obstacle, ObstacleKind
from app.lake.compact.copying.survey import Span, Survey, UncopyableError, refuse_positions, survey_row_groups
from app.lake.deleted_positions import naming_file
from app.lake.parquet.fields import FileFields, KeyValueFields
from app.lake.parquet.row_groups import RowGroup, get_int
from app.lake.parquet.thrift import Struct, read_list, read_struct, read_structs, to_bytes
from app.lake.parquet.wire import STRUCT, element_end

MAGIC = b"PAR1"
# Its length and the magic bytes come after a footer.
TRAILER_BYTES = 8
MAX_FOOTER_BYTES = 64 * 2**20
_FIRST_READ_BYTES = 64 * 2**10
_KEPT_SCHEMA_BYTES = 2**20
_PHYSICAL_TYPE = 1
_NAMED = frozenset({FileFields.VERSION, FileFields.NUM_ROWS, FileFields.KEY_VALUE_METADATA, FileFields.CREATED_BY})


@dataclass(frozen=True, slots=True)
class Note:
    """A key of a file's key-value metadata, its value, and both as they are in the file."""

    key: bytes
    value: bytes
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Footer:
    """What the footer of a Parquet file says.

    `fields` are those of FileMetaData but for what has a name here; `row_groups` are as they are in the file, without
    those that have no rows. `obstacle` says why the file cannot be joined with any other. Where there is none, it is
    known where things are: `data` of column chunks and Bloom filters, and the page index. `decoded` are the row groups
    once more, where that was asked for.
    """

    location: str
    size_bytes: int
    fields: Struct
    rows: int
    version: int
    created_by: bytes | None
    notes: tuple[Note, ...]
    row_groups: tuple[bytes, ...] = ()
    row_group_bytes: int = 0
    data: tuple[Span, ...] = ()
    column_indexes: tuple[Span, ...] = ()
    offset_indexes: tuple[Span, ...] = ()
    metadata_bytes: int = 0
    has_ordinals: bool = True
    with_statistics: frozenset[int] = frozenset()
    without_statistics: frozenset[int] = frozenset()
    decoded: tuple[RowGroup, ...] = ()
    obstacle: Obstacle | None = None

    @property
    def average_row_group_bytes(self) -> float:
        """Bytes of a row group in the file, on average; 0 where there is none."""
        return self.row_group_bytes / len(self.row_groups) if self.row_groups else 0.0


def read_footer(io: FileIO, location: str, size_bytes: int | None = None) -> Footer:
    """The footer of a Parquet file, of a size that is known or else asked for.

    Costs a read of 64 KiB, a second one where the footer is longer, and about 60 µs a column chunk. Memory: about twice
    the footer, which has at most 64 MiB.

    Raises:
        AbsentFileError: the file is not there.
        OSError: it is no Parquet file, or broken; its name is in the message.
    """
    with naming_file(location):
        file = io.new_input(location)
        with file.open() as stream:
            return read_open_footer(stream, location, len(file) if size_bytes is None else size_bytes)


def read_open_footer(stream: InputStream, location: str, size: int, *, keeps_decoded: bool = False) -> Footer:
    """As `read_footer`, of a file of this size that is open, or in memory.

    With `keeps_decoded` it has its row groups decoded too, which take some ten times as much memory.

    Raises:
        BrokenParquetError: it is no Parquet file, or broken.
    """
    raw = _read_raw(stream, location, size)
    end = size - TRAILER_BYTES - len(raw)
    fields, groups = _read_file_metadata(raw)
    rows = get_int(fields, FileFields.NUM_ROWS)
    survey, obstacle = Survey(), None
    try:
        _refuse_whole(fields)
        survey = survey_row_groups(
            groups,
            end,
            lambda start, length: read_exactly(stream, location, start, length),
            leaves=_count_leaves(fields.get(FileFields.SCHEMA)),
            keeps_decoded=keeps_decoded,
        )
    except UncopyableError as error:
        obstacle = Obstacle(kind=error.kind, location=location, detail=str(error))
    if obstacle is None and survey.rows != rows:
        reason = f"it says that it has {rows} rows, and its row groups have {survey.rows}"
        raise BrokenParquetError(location, reason)
    return Footer(
        location=location,
        size_bytes=size,
        rows=rows,
        version=get_int(fields, FileFields.VERSION),
        created_by=_find_bytes(fields, FileFields.CREATED_BY),
        notes=notes_of(fields),
        fields=_without_named(fields),
        row_groups=tuple(survey.row_groups),
        row_group_bytes=survey.row_group_bytes,
        data=tuple(survey.data),
        column_indexes=tuple(survey.column_indexes),
        offset_indexes=tuple(survey.offset_indexes),
        metadata_bytes=0 if obstacle else len(raw) + survey.offset_index_bytes,
        has_ordinals=survey.has_ordinals,
        with_statistics=frozenset(survey.with_statistics),
        without_statistics=frozenset(survey.without_statistics),
        decoded=tuple(survey.decoded),
        obstacle=obstacle,
    )


def read_exactly(stream: InputStream, location: str, start: int, length: int) -> bytes:
    """Bytes of an open file.

    Raises:
        BrokenParquetError: it ends before.
    """
    stream.seek(start)
    parts: list[bytes] = []
    missing = length
    while missing:
        part = stream.read(missing)
        if not part:
            raise BrokenParquetError(location, f"it ends at byte {start + length - missing}, which is too early")
        parts.append(bytes(part))
        missing -= len(part)
    return b"".join(parts)


def _read_raw(stream: InputStream, location: str, size: int) -> bytes:
    if size < len(MAGIC) + TRAILER_BYTES:
        raise BrokenParquetError(location, f"it has {size} bytes, which is too little for a Parquet file")
    start = max(0, size - _FIRST_READ_BYTES)
    tail = read_exactly(stream, location, start, size - start)
    magic = tail[-len(MAGIC) :]
    if magic == b"PARE":
        raise BrokenParquetError(location, "its footer is encrypted, and there is no key")
    if magic != MAGIC:
        raise BrokenParquetError(location, f"it does not end as a Parquet file does, but with {magic!r}")
    length = int.from_bytes(tail[-TRAILER_BYTES : -len(MAGIC)], "little")
    if length > size - TRAILER_BYTES - len(MAGIC):
        raise BrokenParquetError(location, f"it says that its footer has {length} bytes, and has {size} itself")
    if length > MAX_FOOTER_BYTES:
        raise BrokenParquetError(location, f"its footer has {length} bytes, more than the {MAX_FOOTER_BYTES} taken")
    if length + TRAILER_BYTES > len(tail):
        return read_exactly(stream, location, size - TRAILER_BYTES - length, length)
    return tail[len(tail) - TRAILER_BYTES - length : -TRAILER_BYTES]


def _refuse_whole(fields: Struct) -> None:
    if FileFields.ENCRYPTION_ALGORITHM in fields or FileFields.FOOTER_SIGNING_KEY_METADATA in fields:
        raise UncopyableError(ObstacleKind.ENCRYPTED, "columns are encrypted, or its footer is signed")
    refuse_positions(fields, FileFields.LAST, "FileMetaData")


def _read_file_metadata(raw: bytes) -> tuple[Struct, list[bytes]]:
    """FileMetaData but for its row groups, and these."""
    groups: list[bytes] = []

    def read_group(data: bytes, position: int) -> int:
        end = element_end(data, position, STRUCT, 1)
        groups.append(data[position:end])
        return end

    return read_struct(raw, 0, {FileFields.ROW_GROUPS: read_structs(read_group)})[0], groups


def notes_of(fields: Struct) -> tuple[Note, ...]:
    """The key-value metadata among the fields of FileMetaData."""
    raws = read_list(fields.get(FileFields.KEY_VALUE_METADATA))[1]
    pairs = ((read_struct(raw)[0], raw) for raw in raws)
    return tuple(
        Note(_find_bytes(pair, KeyValueFields.KEY) or b"", _find_bytes(pair, KeyValueFields.VALUE) or b"", raw)
        for pair, raw in pairs
    )


def _find_bytes(struct: Struct, field_id: int) -> bytes | None:
    value = struct.get(field_id)
    return None if value is None else to_bytes(value)


def _without_named(fields: Struct) -> Struct:
    return {field_id: value for field_id, value in fields.items() if field_id not in _NAMED}


def _count_leaves(schema: tuple[int, bytes] | None) -> int:
    is_kept = schema is not None and len(schema[1]) <= _KEPT_SCHEMA_BYTES
    return _leaves_again(schema) if is_kept else _leaves_of(schema)


def _leaves_of(schema: tuple[int, bytes] | None) -> int:
    return sum(_PHYSICAL_TYPE in read_struct(element)[0] for element in read_list(schema)[1])


# Most files of a table have the same schema.
_leaves_again = lru_cache(maxsize=16)(_leaves_of)
