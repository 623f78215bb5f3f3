"""Footers of files that are broken, hostile or of another kind; and what keeps files from being joined."""

from __future__ import annotations

import itertools
import random
import sys
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.io import FileIO

from app.domain.names import DatasetName
from app.errors import MissingFileError, UnreadableTableError
from app.lake.catalog import reading_files
from app.lake.compact.copying.footers import Footer, read_footer
from app.lake.compact.copying.joinable import find_obstacle
from app.lake.compact.copying.obstacles import Obstacle, ObstacleKind
from app.lake.compact.copying.survey import survey_row_groups
from app.lake.named_files import NamedFiles
from app.lake.parquet.fields import ChunkFields, ColumnFields, FileFields, RowGroupFields
from app.lake.parquet.row_groups import RowGroup, read_row_group, write_row_group
from app.lake.parquet.thrift import Struct, of_bytes, of_int, read_list, read_struct, write_list, write_struct
from app.lake.parquet.wire import I32, I64, STRUCT
from tests.unit.lake.compact.parquet_files import IO, footer_fields, join, read_with_arrow, with_footer, written

NAME = DatasetName.parse("sales.orders")
TABLE = pa.table({"id": range(1000), "name": [f"name {n % 7}" for n in range(1000)]})


def footer_of(path: Path, io: FileIO = IO) -> Footer:
    return read_footer(io, str(path))


def with_row_group(path: Path, change: Callable[[RowGroup], None]) -> Path:
    """The file with its row groups changed."""
    fields = footer_fields(path)
    groups = [read_row_group(raw) for raw in read_list(fields[FileFields.ROW_GROUPS])[1]]
    for group in groups:
        change(group)
    fields[FileFields.ROW_GROUPS] = write_list(STRUCT, [write_row_group(group) for group in groups])
    return with_footer(path, fields)


def obstacle_of(*paths: Path) -> Obstacle:
    found = find_obstacle([footer_of(path) for path in paths])
    assert found is not None
    assert found.location == str(paths[-1])
    return found


def test_a_footer_says_what_there_is(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", TABLE, row_group_size=300, write_page_index=True)
    metadata = pq.read_metadata(path)

    for size_bytes in (None, path.stat().st_size):
        footer = read_footer(IO, str(path), size_bytes)
        assert (footer.rows, len(footer.row_groups), footer.obstacle) == (1000, 4, None)
        sizes = [metadata.row_group(n).column(c).total_compressed_size for n in range(4) for c in range(2)]
        assert footer.average_row_group_bytes == sum(sizes) / 4
        assert sum(end - start for start, end in footer.data) == sum(sizes)
    assert find_obstacle([footer, footer]) is None


def test_a_footer_longer_than_what_is_read_at_first(tmp_path: Path) -> None:
    table = pa.table({f"column {n} {'x' * 100}": [1] for n in range(1000)})
    footer = footer_of(written(tmp_path / "a.parquet", table))

    assert footer.metadata_bytes > 200_000
    assert (footer.rows, footer.obstacle) == (1, None)


def footer_end(content: bytes, length: int | None = None, magic: bytes = b"PAR1") -> bytes:
    declared = content[-8:-4] if length is None else length.to_bytes(4, "little")
    return content[:-8] + declared + magic


@pytest.mark.parametrize(
    ("case", "broken", "reason"),
    [
        ("empty", lambda content: b"", "too little"),
        ("magic bytes alone", lambda content: b"PAR1PAR1", "too little"),
        ("cut off", lambda content: content[:-20], "does not end as"),
        ("another kind", lambda content: content[:-4] + b"ORC\n", "does not end as"),
        ("encrypted", lambda content: footer_end(content, magic=b"PARE"), "encrypted"),
        ("longer than the file", lambda content: footer_end(content, len(content)), "it says that its footer"),
        ("of four gigabytes", lambda content: footer_end(content, 2**32 - 1), "it says that its footer"),
        ("shorter than it is", lambda content: footer_end(content, 40), "cannot be read"),
        ("of no bytes", lambda content: footer_end(content, 0), "cannot be read"),
        ("zeros", lambda content: b"PAR1" + b"\0" * 100 + (100).to_bytes(4, "little") + b"PAR1", "has no field 3"),
        ("deep", lambda content: b"PAR1" + b"\x1c" * 90_000 + (90_000).to_bytes(4, "little") + b"PAR1", "deep"),
    ],
)
def test_what_is_no_parquet_file_is_told_by_its_name(
    case: str, broken: Callable[[bytes], bytes], reason: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "the file.parquet", TABLE)
    path.write_bytes(broken(path.read_bytes()))

    with pytest.raises(UnreadableTableError, match=reason) as told, reading_files(NAME):
        footer_of(path)
    assert "the file.parquet" in told.value.message


def test_files_that_are_gone_or_shorter_than_their_manifest_says(tmp_path: Path) -> None:
    location = f"{tmp_path}/gone.parquet"
    with pytest.raises(MissingFileError) as gone, reading_files(NAME):
        read_footer(NamedFiles(IO), location)
    assert gone.value.fields["file"] == location
    path = written(tmp_path / "short.parquet", TABLE)
    with pytest.raises(UnreadableTableError, match="short"), reading_files(NAME):
        read_footer(IO, str(path), path.stat().st_size + 1000)


def test_footers_with_changed_bytes_are_read_or_refused_and_nothing_else(tmp_path: Path) -> None:
    # Given footers with some bytes replaced
    path = written(tmp_path / "the file.parquet", TABLE, row_group_size=400, write_page_index=True)
    content = path.read_bytes()
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    chance = random.Random(7)
    refused = 0
    for _ in range(400):
        changed = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(start, len(content) - 8)] = chance.randrange(256)
        path.write_bytes(changed)
        tracemalloc.start()
        # When they are read, and joined where that can be
        try:
            with reading_files(NAME):
                footers = [footer_of(path)] * 2
                if find_obstacle(footers) is None:
                    join([path], tmp_path / "joined.parquet")
                    (tmp_path / "joined.parquet").unlink()
        except UnreadableTableError as error:
            refused += 1
            assert "the file.parquet" in error.message
        # Then memory was not theirs to take
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
        tracemalloc.stop()
    assert refused > 50


def test_one_schema(tmp_path: Path) -> None:
    ids = [{"PARQUET:field_id": "1"}, {"PARQUET:field_id": "2"}]
    first = written(
        tmp_path / "a.parquet", pa.table({"a": [1]}, pa.schema([pa.field("a", pa.int64(), metadata=ids[0])]))
    )
    for case, field, detail in [
        ("field id", pa.field("a", pa.int64(), metadata=ids[1]), "'a' has another field id than"),
        ("no field id", pa.field("a", pa.int64()), "'a' has another field id than"),
        ("type", pa.field("a", pa.int32(), metadata=ids[0]), "'a' has another physical type than"),
        ("logical type", pa.field("a", pa.uint64(), metadata=ids[0]), "converted type, logical type"),
        ("name", pa.field("b", pa.int64(), metadata=ids[0]), "'b' is where"),
        ("repetition", pa.field("a", pa.int64(), nullable=False, metadata=ids[0]), "'a' has another repetition than"),
    ]:
        other = written(tmp_path / f"{case}.parquet", pa.table({field.name: [1]}, pa.schema([field])))
        found = obstacle_of(first, other)
        assert (found.kind, detail in found.detail) == (ObstacleKind.SCHEMA, True), str(found)


def test_encrypted_columns_and_signed_footers(tmp_path: Path) -> None:
    def encrypted(group: RowGroup) -> None:
        group.chunks[0].fields[ChunkFields.CRYPTO_METADATA] = (STRUCT, b"\x1c\0\0")

    paths = [written(tmp_path / f"{n}.parquet", TABLE) for n in range(3)]
    with_row_group(paths[1], encrypted)
    fields = footer_fields(paths[2])
    with_footer(paths[2], fields | {FileFields.ENCRYPTION_ALGORITHM: (STRUCT, b"\x1c\0\0")})

    assert obstacle_of(paths[0], paths[1]).kind is ObstacleKind.ENCRYPTED
    assert obstacle_of(paths[0], paths[2]).kind is ObstacleKind.ENCRYPTED


def moved(field_id: int, by: int) -> Callable[[RowGroup], None]:
    def change(group: RowGroup) -> None:
        for struct in (group.chunks[-1].fields, group.chunks[-1].column):
            if field_id in struct and field_id not in (1, 2, 3):
                struct[field_id] = of_int(I64, by)

    return change


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("before the data", moved(ColumnFields.DATA_PAGE_OFFSET, 0)),
        ("negative", moved(ColumnFields.DATA_PAGE_OFFSET, -(2**62))),
        ("far behind the data", moved(ColumnFields.DATA_PAGE_OFFSET, 2**62)),
        ("too long", moved(ColumnFields.TOTAL_COMPRESSED_SIZE, 2**40)),
        ("empty", moved(ColumnFields.TOTAL_COMPRESSED_SIZE, 0)),
        ("of a negative length", moved(ColumnFields.TOTAL_COMPRESSED_SIZE, -5)),
        ("a dictionary elsewhere", moved(ColumnFields.DICTIONARY_PAGE_OFFSET, 2**40)),
        ("a column index in the footer", moved(ChunkFields.COLUMN_INDEX_OFFSET, 2**30)),
        ("an offset index in the footer", moved(ChunkFields.OFFSET_INDEX_OFFSET, 2**30)),
        ("a Bloom filter in the footer", moved(ColumnFields.BLOOM_FILTER_OFFSET, 2**30)),
    ],
)
def test_column_chunks_outside_of_the_file(case: str, change: Callable[[RowGroup], None], tmp_path: Path) -> None:
    options = {"write_page_index": True, "bloom_filter_options": {"name": {"ndv": 10}}}
    path = with_row_group(written(tmp_path / "a.parquet", TABLE, **options), change)

    assert obstacle_of(path).kind is ObstacleKind.OUT_OF_BOUNDS, case


def test_column_chunks_in_other_files(tmp_path: Path) -> None:
    def elsewhere(group: RowGroup) -> None:
        group.chunks[0].fields[ChunkFields.FILE_PATH] = of_bytes(b"b.parquet")

    path = with_row_group(written(tmp_path / "a.parquet", TABLE), elsewhere)
    assert obstacle_of(path).kind is ObstacleKind.IN_OTHER_FILES


def test_an_offset_index_that_leads_elsewhere_breaks_its_file(tmp_path: Path) -> None:
    path = written(tmp_path / "the file.parquet", TABLE, write_page_index=True)
    footer = footer_of(path)
    content = bytearray(path.read_bytes())
    start, _ = footer.offset_indexes[0]
    content[start : start + 16] = write_struct({1: write_list(STRUCT, [write_struct({1: of_int(I64, 2**40)})])}).ljust(
        16, b"\0"
    )
    path.write_bytes(content)

    with pytest.raises(UnreadableTableError, match=r"the file.*offset index"), reading_files(NAME):
        join([path], tmp_path / "joined.parquet")
    assert not (tmp_path / "joined.parquet").exists()


@pytest.mark.parametrize(
    ("writer", "is_old"),
    [
        (b"parquet-mr version 1.8.1 (build 4aba4dae7bb0d4edbcf7923ae1339f28fd3f7fcf)", True),
        (b"parquet-mr version 1.10.0 (build 031a6654009e3b82020012a18434c582bd74c73a)", False),
        (b"parquet-mr version 1.16.0 (build 1)", False),
        (b"parquet-cpp-arrow version 3.0.0", True),
        (b"parquet-cpp-arrow version 26.0.1", False),
        (b"parquet-cpp version 1.3.1-SNAPSHOT", True),
        (b"DuckDB version v2.0.0 (build 1)", False),
        (b"somebody", False),
        (None, True),
    ],
)
def test_writers_whose_files_readers_take_care_with(writer: bytes | None, is_old: bool, tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", TABLE)
    fields = footer_fields(path)
    fields.pop(FileFields.CREATED_BY)
    with_footer(path, fields if writer is None else fields | {FileFields.CREATED_BY: of_bytes(writer)})

    found = find_obstacle([footer_of(path)])
    assert (found is not None and found.kind is ObstacleKind.OLD_WRITER) == is_old


def test_statistics_of_different_orders_are_not_mixed(tmp_path: Path) -> None:
    paths = [written(tmp_path / f"{n}.parquet", TABLE) for n in range(2)]
    fields = footer_fields(paths[1])
    fields.pop(FileFields.COLUMN_ORDERS)
    with_footer(paths[1], fields)

    assert obstacle_of(*paths).kind is ObstacleKind.COLUMN_ORDERS


def test_row_groups_with_statistics_and_without_are_kept_apart(tmp_path: Path) -> None:
    # Given two files with them, one of them of nulls alone, and one without
    nulls = pa.table({"id": [None] * 5, "name": ["a"] * 5}, TABLE.schema)
    told, empty = written(tmp_path / "told.parquet", TABLE), written(tmp_path / "empty.parquet", nulls)
    untold = written(tmp_path / "untold.parquet", TABLE, write_statistics=False)

    assert obstacle_of(told, empty, untold).kind is ObstacleKind.STATISTICS
    assert find_obstacle([footer_of(told), footer_of(empty)]) is None
    assert find_obstacle([footer_of(untold)] * 2) is None


def later(field_id: int, value: tuple[int, bytes]) -> Callable[[RowGroup], None]:
    """A field of a later version of Parquet, in each struct of a row group."""

    def change(group: RowGroup) -> None:
        structs: list[Struct] = [group.fields, *(s for chunk in group.chunks for s in (chunk.fields, chunk.column))]
        for struct in structs:
            struct[field_id] = value

    return change


def test_fields_of_later_versions_go_along(tmp_path: Path) -> None:
    # Given files with fields that nobody knows, at every level
    note = (STRUCT, write_struct({1: of_bytes(b"later"), 2: of_int(I32, 7), 3: write_list(I32, [b"\2", b"\4"])}))
    paths = [with_row_group(written(tmp_path / f"{n}.parquet", TABLE), later(40, note)) for n in range(2)]
    for path in paths:
        with_footer(path, footer_fields(path) | {41: note})

    # When they are joined
    joined = tmp_path / "joined.parquet"
    join(paths, joined)

    # Then they are there
    fields = footer_fields(joined)
    assert fields[41] == note
    for raw in read_list(fields[FileFields.ROW_GROUPS])[1]:
        group = read_row_group(raw)
        assert group.fields[40] == note
        assert all(chunk.fields[40] == chunk.column[40] == note for chunk in group.chunks)
    assert read_with_arrow(joined).equals(pa.concat_tables([TABLE, TABLE]))


@pytest.mark.parametrize("struct", ["RowGroup", "ColumnChunk", "ColumnMetaData", "FileMetaData"])
def test_fields_of_later_versions_that_may_be_positions_keep_files_apart(struct: str, tmp_path: Path) -> None:
    def change(group: RowGroup) -> None:
        places = {
            "RowGroup": group.fields,
            "ColumnChunk": group.chunks[0].fields,
            "ColumnMetaData": group.chunks[0].column,
            "FileMetaData": {},
        }
        places[struct][50] = write_list(STRUCT, [write_struct({1: of_int(I64, 4)})])

    path = with_row_group(written(tmp_path / "a.parquet", TABLE), change)
    if struct == "FileMetaData":
        with_footer(path, footer_fields(path) | {50: of_int(I64, 4)})

    found = obstacle_of(path)
    assert (found.kind, found.detail) == (
        ObstacleKind.UNKNOWN_FIELDS,
        f"field 50 of {struct} is not known, and may be a position in the file",
    )


def test_files_that_say_different_things_of_later_versions_are_kept_apart(tmp_path: Path) -> None:
    paths = [written(tmp_path / f"{n}.parquet", TABLE) for n in range(2)]
    for number, path in enumerate(paths):
        with_footer(path, footer_fields(path) | {30: of_int(I32, number)})

    assert obstacle_of(*paths).kind is ObstacleKind.UNKNOWN_FIELDS


def test_more_row_groups_than_a_file_can_number(tmp_path: Path) -> None:
    footer = footer_of(written(tmp_path / "a.parquet", TABLE, row_group_size=1))
    found = find_obstacle([footer] * 33)

    assert found is not None
    assert (found.kind, found.detail) == (ObstacleKind.TOO_LARGE, "there are 33000 row groups in all of them")


def test_row_groups_that_contradict_the_file(tmp_path: Path) -> None:
    def fewer(group: RowGroup) -> None:
        group.fields[RowGroupFields.NUM_ROWS] = of_int(I64, 999)

    def narrower(group: RowGroup) -> None:
        group.chunks.pop()

    for number, (change, reason) in enumerate([(fewer, "says that it has 1000"), (narrower, "1 columns")]):
        path = with_row_group(written(tmp_path / f"{number}.parquet", TABLE), change)
        with pytest.raises(UnreadableTableError, match=reason) as told, reading_files(NAME):
            footer_of(path)
        assert path.name in told.value.message


def test_other_threads_have_their_turn_while_row_groups_are_read(tmp_path: Path) -> None:
    # Given a footer of thousands of column chunks, and a thread that asks for a turn, as a worker's does that says
    # that it lives; signals are looked after at the same places
    content = written(tmp_path / "a.parquet", pa.table({f"column {n}": [n] for n in range(50)})).read_bytes()
    raw = content[-8 - int.from_bytes(content[-8:-4], "little") : -8]
    (group,) = read_list(read_struct(raw)[0][FileFields.ROW_GROUPS])[1]
    turns, ended, began = itertools.count(), threading.Event(), threading.Event()

    def take_turns() -> None:
        while not ended.wait(0.0001):
            next(turns)
            began.set()

    interval = sys.getswitchinterval()
    beside = threading.Thread(target=take_turns)
    beside.start()
    try:
        sys.setswitchinterval(0.0001)
        began.wait()
        # When they are read
        before = next(turns)
        survey_row_groups([group] * 400, len(content), lambda start, length: content[start : start + length], leaves=50)
        turned = next(turns) - before
    finally:
        sys.setswitchinterval(interval)
        ended.set()
        beside.join()

    # Then it had more than those before and after
    assert turned > 5
