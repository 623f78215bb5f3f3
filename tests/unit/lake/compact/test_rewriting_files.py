"""Files that rewriting makes: where they are, how large, how written; and that nothing is left where it fails."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    Transform,
    TruncateTransform,
    VoidTransform,
    YearTransform,
)
from pyiceberg.types import (
    BinaryType,
    DateType,
    DecimalType,
    ListType,
    LongType,
    NestedField,
    PrimitiveType,
    StringType,
    StructType,
    TimestamptzType,
    UUIDType,
)

from app.errors import (
    AppError,
    BackendUnavailableError,
    InvalidTablePropertyError,
    MissingFileError,
    UnreadableTableError,
)
from app.lake.compact.rewriting.parquet_file import ParquetFile
from app.lake.compact.rewriting.stopping import RewriteStoppedError
from app.lake.internals import CachingSqlCatalog
from tests.properties.raw_values import to_array
from tests.unit.lake.compact.rewriting import read_files, rewrite, rows_of_files, tasks_of
from tests.unit.lake.local_tables import append, create_table, delete_rows

SCHEMA = Schema(NestedField(1, "id", LongType()), NestedField(2, "text", StringType()))
BLOBS = Schema(NestedField(1, "id", LongType()), NestedField(2, "blob", BinaryType()))


def path_of(location: str) -> Path:
    return Path(unquote(urlsplit(location).path)) if location.startswith("file:") else Path(location)


def files_of(table: Table) -> set[Path]:
    """All data files in the table's folder, of whatever snapshot or none."""
    return set(path_of(table.location()).joinpath("data").rglob("*.parquet"))


def with_set(table: Table, properties: dict[str, str]) -> Table:
    with table.transaction() as transaction:
        transaction.set_properties(properties)
    return table.refresh()


def with_properties(catalog: CachingSqlCatalog, properties: dict[str, str], rows: int = 4) -> Table:
    table = create_table(catalog, SCHEMA, [{"id": number, "text": f"text {number}"} for number in range(rows)])
    with table.transaction() as change:
        change.set_properties(properties)
    return table


def footer(file: DataFile) -> pq.FileMetaData:
    return pq.read_metadata(path_of(file.file_path))


# Where they are.


@pytest.mark.parametrize(
    ("case", "kind", "transform", "values"),
    [
        ("long", LongType(), IdentityTransform(), [1, None]),
        ("text", StringType(), IdentityTransform(), ["a/b=ü %", None, ""]),
        ("bucket", StringType(), BucketTransform(4), ["a", None]),
        ("truncated", StringType(), TruncateTransform(2), ["abc", None]),
        ("truncated decimal", DecimalType(9, 2), TruncateTransform(50), [None]),
        ("date", DateType(), IdentityTransform(), [19_000, None]),
        ("year", TimestamptzType(), YearTransform(), [10**15, -1]),
        ("month", TimestamptzType(), MonthTransform(), [10**15, None]),
        ("day", TimestamptzType(), DayTransform(), [10**15, -1]),
        ("hour", TimestamptzType(), HourTransform(), [10**15]),
        ("instant", TimestamptzType(), IdentityTransform(), [10**15 + 1]),
        ("bytes", BinaryType(), IdentityTransform(), [b"\xff\0"]),
    ],
)
def test_files_are_in_the_folder_that_pyiceberg_puts_them_in(
    catalog: CachingSqlCatalog, case: str, kind: PrimitiveType, transform: Transform[Any, Any], values: list[Any]
) -> None:
    table = create_table(catalog, Schema(NestedField(1, "p q", kind), NestedField(2, "n", LongType())))
    with table.update_spec() as update:
        update.add_field("p q", transform, "the part/ü")
    schema = table.schema().as_arrow()
    for value in values:
        data = [to_array(kind, [value]), pa.array([1], pa.int64())]
        table.append(
            pa.Table.from_arrays([column.cast(f.type) for column, f in zip(data, schema, strict=True)], schema=schema)
        )
    tasks = tasks_of(table)
    assert len(tasks) == len(values)
    for task in tasks:
        (file,) = rewrite(table, [task])
        assert file.file_path.rpartition("/")[0] == task.file.file_path.rpartition("/")[0], case
        assert file.file_path.rpartition("/")[2].startswith("00000-test-")
        assert (file.partition, file.spec_id) == (task.file.partition, task.file.spec_id)


def test_files_of_a_partition_whose_column_is_gone_are_where_it_was(catalog: CachingSqlCatalog) -> None:
    table = create_table(catalog, SCHEMA)
    with table.update_spec() as update:
        update.add_field("text", TruncateTransform(1), "letter")
    append(table, [{"id": 1, "text": "x"}])
    with table.update_spec() as update:
        update.remove_field("letter")
    with table.update_schema() as schema:
        schema.delete_column("text")
    append(table, [{"id": 2}])
    # Without a partition is the spec that the table had at first
    new, old = sorted(tasks_of(table), key=lambda task: task.file.spec_id)
    (file,) = rewrite(table, [old])
    assert "/data/letter=x/" in file.file_path
    assert (file.spec_id, file.partition) == (old.file.spec_id, old.file.partition)
    assert rows_of_files(table, [file]) == [{"id": 1}]
    (file,) = rewrite(table, [new])
    assert "letter" not in file.file_path
    with pytest.raises(ValueError, match="one partition"):
        rewrite(table, [old, new])


# How large they are.


def random_table(catalog: CachingSqlCatalog, files: int, rows: int) -> Table:
    """Texts that do not get smaller; of each file others in length."""
    table = create_table(catalog, SCHEMA)
    for number in range(files):
        made = pc.random(rows, initializer=number).to_pylist()
        append(table, [{"id": n, "text": f"{value:.17f}" * (1 + number % 3)} for n, value in enumerate(made)])
    return table


@pytest.mark.parametrize("share", [0.3, 0.51, 0.95, 1.0, 1.04, 2.0, 5.3])
def test_files_are_as_few_as_can_be_and_none_is_too_large(catalog: CachingSqlCatalog, share: float) -> None:
    table = random_table(catalog, 4, 30_000)
    source_bytes = sum(task.file.file_size_in_bytes for task in tasks_of(table))
    target = int(source_bytes / share)
    least = 1 if share <= 1.1 else -(-source_bytes // target)
    files = rewrite(table, outputs=least, target_bytes=target)
    sizes = [file.file_size_in_bytes for file in files]
    assert max(sizes) <= 1.1 * target
    assert len(files) <= least
    assert max(sizes) - min(sizes) <= 0.35 * target
    assert [row["id"] for row in rows_of_files(table, files)] == [*range(30_000)] * 4
    assert [path_of(file.file_path).name[:5] for file in files] == [f"{n:05d}" for n in range(len(files))]


@pytest.mark.parametrize(("outputs", "target"), [(1, 20_000), (9, 400_000)])
def test_a_wrong_plan_makes_no_file_too_large(catalog: CachingSqlCatalog, outputs: int, target: int) -> None:
    table = random_table(catalog, 2, 4000)
    files = rewrite(table, outputs=outputs, target_bytes=target)
    assert max(file.file_size_in_bytes for file in files) <= 1.1 * target
    assert sum(file.record_count for file in files) == 8000
    if outputs > 1:
        assert len(files) <= -(-sum(file.file_size_in_bytes for file in files) // target) + 1


def test_rows_that_grow_without_warning_make_no_file_too_large(catalog: CachingSqlCatalog) -> None:
    # Given a file that compresses to nothing before one that does not compress, as their sizes do not tell
    table = create_table(catalog, SCHEMA, [{"id": 1, "text": "x" * 30}] * 60_000)
    with table.transaction() as change:
        change.set_properties({"write.parquet.compression-codec": "uncompressed"})
    append(table, [{"id": n, "text": f"{value:.17f}"} for n, value in enumerate(pc.random(20_000).to_pylist())])
    files = rewrite(table, outputs=1, target_bytes=300_000)
    assert max(file.file_size_in_bytes for file in files) <= 330_000


# How they are written.


def test_row_groups_are_cut_by_rows_by_bytes_and_by_memory(catalog: CachingSqlCatalog) -> None:
    table = random_table(catalog, 1, 8000)
    (by_memory,) = rewrite(table, memory_bytes=200_000)
    assert footer(by_memory).num_row_groups >= 5
    for properties, least in (
        ({"write.parquet.row-group-limit": "1000"}, 8),
        ({"write.parquet.row-group-size-bytes": "50000"}, 2),
    ):
        with table.transaction() as change:
            change.set_properties(properties)
        (file,) = rewrite(table)
        groups = [footer(file).row_group(number) for number in range(footer(file).num_row_groups)]
        assert len(groups) >= least
        assert max(group.num_rows for group in groups) <= 8000 // least
        assert len(file.split_offsets or ()) == len(groups)


@pytest.mark.parametrize(
    ("codec", "level", "found"),
    [
        ("zstd", "19", "ZSTD"),
        ("gzip", "9", "GZIP"),
        ("SNAPPY", "3", "SNAPPY"),
        ("lz4", None, "LZ4"),
        ("brotli", "1", "BROTLI"),
        ("uncompressed", None, "UNCOMPRESSED"),
    ],
)
def test_the_tables_codec_is_used(catalog: CachingSqlCatalog, codec: str, level: str | None, found: str) -> None:
    levels = {} if level is None else {"write.parquet.compression-level": level}
    table = with_properties(catalog, {"write.parquet.compression-codec": codec, **levels})
    (file,) = rewrite(table)
    assert footer(file).row_group(0).column(1).compression == found


def test_columns_have_dictionaries_where_values_come_again(catalog: CachingSqlCatalog) -> None:
    schema = Schema(
        NestedField(1, "unique", LongType()),
        NestedField(2, "few", StringType()),
        NestedField(3, "nulls", StringType()),
        NestedField(4, "u", UUIDType()),
        NestedField(5, "list", ListType(6, LongType(), element_required=False)),
    )
    rows = [
        {"unique": n, "few": str(n % 3), "nulls": None, "u": n.to_bytes(16, "big"), "list": [n, n]}
        for n in range(12_000)
    ]
    table = create_table(catalog, schema, rows)
    (file,) = rewrite(table)
    group = footer(file).row_group(0)
    chunks = [group.column(place) for place in range(group.num_columns)]
    assert {chunk.path_in_schema: chunk.has_dictionary_page for chunk in chunks} == {
        "unique": False,
        "few": True,
        "nulls": True,
        "u": False,
        "list.list.element": True,
    }
    assert rows_of_files(table, [file])[-1]["list"] == [11_999, 11_999]


def test_bloom_filters_are_written_as_the_table_says(catalog: CachingSqlCatalog) -> None:
    schema = Schema(
        NestedField(1, "id", LongType()),
        NestedField(2, "a.b", StringType()),
        NestedField(3, "s", StructType(NestedField(4, "x", LongType()))),
    )
    rows = [{"id": n, "a.b": str(n), "s": {"x": n}} for n in range(5000)]
    table = create_table(catalog, schema, rows)
    (without,) = rewrite(table)
    prefix = "write.parquet.bloom-filter-enabled.column"
    with table.transaction() as change:
        change.set_properties({f"{prefix}.a.b": "true", f"{prefix}.s.x": "TRUE", f"{prefix}.gone": "true"})
    (file,) = rewrite(table)
    # Two filters of 5,000 values at 1 %: 10 bits each, and the next power of two
    grown = file.file_size_in_bytes - without.file_size_in_bytes
    assert 2 * 8192 <= grown <= 2 * 8192 + 500
    with table.transaction() as change:
        change.set_properties({"write.parquet.bloom-filter-max-bytes": "1024"})
    (small,) = rewrite(table)
    assert 2 * 512 <= small.file_size_in_bytes - without.file_size_in_bytes <= 2 * 1024 + 500


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("write.parquet.compression-codec", "lzo"),
        ("write.parquet.compression-level", "99"),
        ("write.parquet.compression-level", "high"),
        ("write.parquet.row-group-limit", "0"),
        ("write.parquet.row-group-size-bytes", "1 MB"),
        ("write.parquet.page-size-bytes", "-1"),
        ("write.parquet.page-row-limit", "many"),
        ("write.parquet.dict-size-bytes", "99999999999"),
        ("write.parquet.bloom-filter-enabled.column.id", "yes"),
    ],
)
def test_a_bad_property_is_told(catalog: CachingSqlCatalog, name: str, value: str) -> None:
    table = with_properties(catalog, {name: value})
    before = files_of(table)
    with pytest.raises(InvalidTablePropertyError) as error:
        rewrite(table)
    assert error.value.fields["property"] == name
    assert files_of(table) == before


def test_names_and_field_ids_are_in_the_file(catalog: CachingSqlCatalog) -> None:
    schema = Schema(
        NestedField(1, "1 a.b", LongType()), NestedField(2, "s", StructType(NestedField(3, "x-y", LongType())))
    )
    table = create_table(catalog, schema, [{"1 a.b": 1, "s": {"x-y": 2}}])
    with table.update_schema() as update:
        update.rename_column("s", "renamed")
    (file,) = rewrite(table)
    read = pq.read_schema(path_of(file.file_path))
    assert read.names == ["_1_x20a_x2Eb", "renamed"]
    assert read.field(1).type.field(0).metadata == {b"PARQUET:field_id": b"3"}
    assert rows_of_files(table, [file]) == [{"1 a.b": 1, "renamed": {"x-y": 2}}]


def test_all_rows_deleted_make_no_file(catalog: CachingSqlCatalog) -> None:
    table = with_properties(catalog, {})
    delete_rows(table, "id", pc.field("id") >= 0)
    before = files_of(table)
    assert rewrite(table) == ()
    assert files_of(table) == before


# Failures.

Fault = Callable[[Table], None]


def missing(table: Table) -> None:
    path_of(tasks_of(table)[-1].file.file_path).unlink()


def truncated(table: Table) -> None:
    path = path_of(tasks_of(table)[-1].file.file_path)
    path.write_bytes(path.read_bytes()[:-100])


def with_more_rows(table: Table) -> None:
    path = path_of(tasks_of(table)[-1].file.file_path)
    rows = pq.read_table(path)
    pq.write_table(pa.concat_tables([rows, rows]), path)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(missing, MissingFileError), (truncated, UnreadableTableError), (with_more_rows, UnreadableTableError)],
)
def test_a_bad_source_is_told_by_its_name_and_nothing_is_left(
    catalog: CachingSqlCatalog, fault: Fault, kind: type[AppError]
) -> None:
    table = random_table(catalog, 3, 2000)
    last = tasks_of(table)[-1].file.file_path
    tasks = tasks_of(table)
    fault(table)
    before = files_of(table)
    with pytest.raises(kind) as error:
        rewrite(table, tasks, target_bytes=20_000, memory_bytes=10_000)
    assert last in error.value.message
    assert files_of(table) == before


def test_it_is_stopped_and_nothing_is_left(catalog: CachingSqlCatalog) -> None:
    table = random_table(catalog, 3, 2000)
    before = files_of(table)
    done: list[int] = []
    with pytest.raises(RewriteStoppedError):
        rewrite(table, target_bytes=20_000, is_stopped=lambda: sum(done) >= 4000, on_rows=done.append)
    assert 4000 <= sum(done) < 6000
    assert files_of(table) == before


@pytest.mark.parametrize("is_removal_refused", [False, True])
def test_a_full_disk_is_told_and_nothing_is_left(
    catalog: CachingSqlCatalog,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    is_removal_refused: bool,
) -> None:
    table = random_table(catalog, 3, 2000)
    before = files_of(table)
    write = ParquetFile._write
    calls: list[int] = []

    def failing(self: ParquetFile, content: bytes | pa.Buffer) -> None:
        calls.append(len(content))
        if len(calls) == 9:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, content)

    def refused(*_: Sequence[object]) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr(ParquetFile, "_write", failing)
    if is_removal_refused:
        monkeypatch.setattr(type(table.io), "delete", refused)
    with pytest.raises(BackendUnavailableError, match="No space left") as error:
        rewrite(table, target_bytes=20_000, memory_bytes=100_000)
    left = files_of(table) - before
    if is_removal_refused:
        assert left
        assert all(path.name in caplog.text for path in left)
    else:
        assert left == set()
    assert ".parquet cannot be written" in error.value.message


@pytest.mark.parametrize("threads", [1, 2])
def test_a_row_group_that_becomes_larger_than_foreseen_goes_to_the_next_file(
    catalog: CachingSqlCatalog, threads: int
) -> None:
    # Given one row that is as large as two thousand others, in row groups of 300 KB
    random = Random(1)
    table = with_set(create_table(catalog, BLOBS), {"write.parquet.row-group-size-bytes": "300000"})
    sizes = [1024] * 1700 + [2_000_000] + [1024] * 3900
    append(table, [{"id": number, "blob": random.randbytes(size)} for number, size in enumerate(sizes)])
    memory_bytes = int(400_000 * (threads + 1) / 0.3)

    # When files are written of many sizes, so that some end with the row group that has it
    for target_bytes in range(3_600_000, 5_000_000, 50_000):
        files = rewrite(table, target_bytes=target_bytes, outputs=2, memory_bytes=memory_bytes, threads=threads)

        # Then none is too large, and all rows are there
        assert max(file.file_size_in_bytes for file in files) <= 1.1 * target_bytes
        found = [row for batch in read_files(table, files) for row in batch.column("id").to_pylist()]
        assert found == list(range(len(sizes)))


def test_bloom_filters_count_once(catalog: CachingSqlCatalog) -> None:
    # Given eight columns with Bloom filters, which are a fifth of their files
    schema = Schema(*(NestedField(number, f"c{number}", LongType()) for number in range(1, 9)))
    blooms = {f"write.parquet.bloom-filter-enabled.column.c{number}": "true" for number in range(1, 9)}
    table = with_set(create_table(catalog, schema), {**blooms, "write.parquet.row-group-limit": "10000"})
    random = Random(1)
    append(table, [{f"c{number}": random.randrange(2**40) for number in range(1, 9)} for _ in range(60_000)])
    (whole,) = rewrite(table)
    assert len(whole.split_offsets or []) == 6

    # When they are to come to a file of just that size
    files = rewrite(table, target_bytes=whole.file_size_in_bytes, outputs=1)

    # Then they do
    assert [file.record_count for file in files] == [60_000]


def test_a_scratch_that_cannot_be_written_is_told(catalog: CachingSqlCatalog) -> None:
    table = random_table(catalog, 2, 2000)
    with table.update_sort_order() as update:
        update.asc("text", IdentityTransform())
    before = files_of(table)
    with pytest.raises(BackendUnavailableError, match="cannot be sorted"):
        rewrite(table, memory_bytes=10_000, scratch=Path("/nowhere/at/all"))
    assert files_of(table) == before


def test_a_void_partition_is_no_folder_of_its_own(catalog: CachingSqlCatalog) -> None:
    table = create_table(catalog, SCHEMA)
    with table.update_spec() as update:
        update.add_field("text", VoidTransform(), "void")
    append(table, [{"id": 1, "text": "x"}])
    (task,) = tasks_of(table)
    (file,) = rewrite(table)
    assert file.file_path.rpartition("/")[0] == task.file.file_path.rpartition("/")[0]
