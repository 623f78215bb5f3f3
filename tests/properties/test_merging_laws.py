"""Laws of files that are merged page by page: of random rows, ways to write them, and dictionaries made by hand."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import FileScanTask, Table
from pyiceberg.types import LongType, NestedField, PrimitiveType

from app.lake.compact.merging.bins import merge_bin
from app.lake.compact.merging.errors import UnmergeableError
from tests.properties.test_join_laws import filtered
from tests.unit.lake.compact.crafted import CODECS, MadeColumn, MadePage, craft
from tests.unit.lake.compact.merges import tasks_for
from tests.unit.lake.compact.parquet_files import READERS, filter_with_arrow, rows_of
from tests.unit.lake.compact.rewriting import BIG, rewrite, terms
from tests.unit.lake.compact.test_merging_files import SCHEMA, row
from tests.unit.lake.compact.test_merging_statistics import SCHEMA as FLAT
from tests.unit.lake.compact.test_merging_statistics import by_datafusion
from tests.unit.lake.compact.test_rewriting_files import files_of, path_of, with_set
from tests.unit.lake.local_tables import as_lake_table, create_table, open_catalog

# More of them by hand.
EXAMPLES = int(os.environ.get("STRATIGRAPH_TEST_MERGING_EXAMPLES", "30"))
SLOW = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[Phase.explicit, Phase.reuse, Phase.generate] if os.environ.get("NOSHRINK") else tuple(Phase),
)

pytestmark = pytest.mark.timeout(60 + 10 * EXAMPLES)

METRICS = ("record_count", "value_counts", "null_value_counts", "lower_bounds", "upper_bounds")
NUMBERS = Schema(NestedField(1, "n", LongType()))
REQUIRED_NUMBERS = Schema(NestedField(1, "n", LongType(), required=True))


@contextmanager
def table_of(schema: Schema, codec: str, **properties: str) -> Iterator[Table]:
    with tempfile.TemporaryDirectory() as folder:
        catalog = open_catalog(Path(folder))
        try:
            yield with_set(create_table(catalog, schema), {"write.parquet.compression-codec": codec, **properties})
        finally:
            catalog.close()


def data_folder(table: Table) -> Path:
    folder = path_of(f"{table.location()}/data")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def merged(table: Table, tasks: Sequence[FileScanTask], **options: Any) -> tuple[DataFile, ...] | None:
    """None where they cannot be merged, and then nothing is left of it."""
    before = files_of(table)
    try:
        return merge_bin(as_lake_table(table), tasks, terms(**options))
    except UnmergeableError as error:
        event(f"not merged: {str(error).split(': ')[-1].split('.parquet ')[-1][:60]}")
        assert files_of(table) == before
        return None


def check_readers(made: Sequence[DataFile], sources: Sequence[Path]) -> None:
    paths = [path_of(file.file_path) for file in made]
    for name, read in READERS.items():
        before, after = (
            pa.concat_tables(
                [read(path) for path in some if pq.read_metadata(path).num_rows], promote_options="permissive"
            )
            for some in (sources, paths)
        )
        assert rows_of(after) == rows_of(before), name
    for path in paths:
        assert rows_of(pq.read_table(path, page_checksum_verification=True)) == rows_of(READERS["pyarrow"](path))


# What dictionaries and places in them are like that are the identity, or nearly so.


@st.composite
def made_columns(draw: st.DrawFn, *, codec: str, is_optional: bool) -> MadeColumn:
    count = draw(st.integers(1, 40))
    dictionary = list(range(100, 100 + count))
    places: list[int | None] = list(range(count))
    change = draw(
        st.sampled_from(["none", "none", "swap", "twice", "again", "unused", "more", "null", "place", "values"])
    )
    event(f"dictionary: {change}")
    one, other = draw(st.integers(0, count - 1)), draw(st.integers(0, count - 1))
    if change == "swap":
        dictionary[one], dictionary[other] = dictionary[other], dictionary[one]
    elif change == "values":
        dictionary[one] = dictionary[other]
    elif change == "twice":
        places[one] = other
    elif change == "place":
        places[one], places[other] = places[other], places[one]
    elif change == "unused":
        dictionary.append(999)
    elif change == "more":
        places.append(one)
    elif change == "again":
        # As many values as the dictionary has, and not all of them.
        places = [*places[: count - count // 2], *places[: count // 2]]
    elif change == "null" and is_optional:
        places.insert(one, None)
    pages = [
        draw(made_pages(part, width=max(1, (len(dictionary) - 1).bit_length()), is_optional=is_optional))
        for part in draw(cut(places))
    ]
    if draw(st.booleans()):
        plain: list[int | None] = list(range(-5, draw(st.integers(1, 9))))
        pages.append(draw(made_pages(plain, width=None, is_optional=is_optional)))
        if draw(st.integers(0, 4)) == 0:
            pages.append(draw(made_pages([0], width=8, is_optional=is_optional)))
    return MadeColumn(
        dictionary=dictionary,
        pages=pages,
        codec=codec,
        is_optional=is_optional,
        dictionary_encoding=draw(st.sampled_from([0, 2])),
    )


@st.composite
def cut(draw: st.DrawFn, values: Sequence[int | None]) -> list[Sequence[int | None]]:
    """The values of each page."""
    ends = sorted(draw(st.sets(st.sampled_from([1, 2, 3, 5, 8, 16, 24]), max_size=3)))
    edges = [0, *(end for end in ends if end < len(values)), len(values)]
    return [values[start:end] for start, end in itertools.pairwise(edges)]


@st.composite
def made_pages(draw: st.DrawFn, values: Sequence[int | None], *, width: int | None, is_optional: bool) -> MadePage:
    known = [value for value in values if value is not None]
    if width is not None:
        # As wide as what is in the page, as the dictionary, or wider.
        narrow = max(1, max(known, default=0).bit_length())
        width = draw(st.sampled_from([narrow, width, width + 1, 17, 32]))
    version = draw(st.sampled_from([1, 2]))
    return MadePage(
        values=values,
        width=width,
        version=version,
        has_crc=draw(st.booleans()),
        is_compressed=version == 1 or draw(st.booleans()),
        has_runs=draw(st.booleans()),
        cuts=sorted(draw(st.sets(st.integers(1, 4), max_size=2))),
        filling=draw(st.sampled_from([0, 1, 255])),
    )


@SLOW
@given(data=st.data())
def test_dictionaries_made_by_hand_become_pages_only_where_they_are_the_values(data: st.DataObject) -> None:
    codec, is_optional = data.draw(st.sampled_from(sorted(CODECS))), data.draw(st.booleans())
    with table_of(NUMBERS if is_optional else REQUIRED_NUMBERS, codec) as table:
        schema = schema_to_pyarrow(table.schema())
        columns = data.draw(st.lists(made_columns(codec=codec, is_optional=is_optional), min_size=1, max_size=3))
        folder = data_folder(table)
        paths = [craft(folder / f"{n}.parquet", column, schema) for n, column in enumerate(columns)]
        expected = [number for column in columns for number in column.numbers]

        made = merged(table, tasks_for(paths))

        assert made is not None
        check_readers(made, paths)
        (path,) = [path_of(file.file_path) for file in made]
        assert pq.read_table(path).column("n").to_pylist() == expected
        encodings = pq.read_metadata(path).row_group(0).column(0).encodings
        event("encoded anew" if "RLE_DICTIONARY" in encodings or "PLAIN" not in encodings else "taken over")


# What writers write.

PATTERNS: dict[str, Callable[[int], int]] = {
    "unique": lambda place: place,
    "few": lambda place: place % 3,
    "one": lambda place: 5,
    "few, then unique": lambda place: place % 3 if place < 40 else place,
    "unique, then few": lambda place: place if place < 40 else place % 3,
    "twice": lambda place: place // 2,
}


@st.composite
def rows(draw: st.DrawFn, schema: Schema, start: int) -> list[dict[str, Any]]:
    count = draw(st.sampled_from([0, 1, 1, 2, 7, 8, 9, 33, 64, 100, 150]))
    patterns = {field.name: draw(st.sampled_from(sorted(PATTERNS))) for field in schema.fields}
    nulls = {field.name: draw(st.sampled_from([0, 0, 0, 1, 3])) for field in schema.fields if not field.required}
    special = draw(st.booleans())
    found = []
    for place in range(count):
        values = {
            name: row(start + PATTERNS[pattern](place), is_unique=True)[name] for name, pattern in patterns.items()
        }
        for name, every in nulls.items():
            if every and place % every == 0:
                values[name] = None
        if special:
            for name, some in (("ratio", [float("nan"), -0.0, 0.0]), ("name", ["", "é", "x" * 70]), ("raw", [b""])):
                if name in values and place < len(some):
                    values[name] = some[place]
        found.append(values)
    return found


@st.composite
def options(draw: st.DrawFn, codec: str, *, is_nested: bool) -> dict[str, Any]:
    """How to write a file, of what does not change its schema."""
    use_dictionary = draw(st.sampled_from([True, True, False]))
    return {
        "compression": codec if draw(st.integers(0, 5)) else "snappy",
        "row_group_size": draw(st.sampled_from([1, 40, 1000, 1000, 1000])),
        "use_dictionary": use_dictionary,
        "dictionary_pagesize_limit": draw(st.sampled_from([1, 100, 2**20, 2**20])),
        "data_page_version": draw(st.sampled_from(["1.0", "2.0"])),
        # Arrow cannot read what it writes of lists in pages of a byte: the first one has nothing in it.
        "data_page_size": draw(st.sampled_from([100 if is_nested else 1, 100, 2**20])),
        "max_rows_per_page": draw(st.sampled_from([1, 8, 10, 20_000])),
        "write_batch_size": draw(st.sampled_from([1, 8, 1024])),
        "write_page_index": draw(st.booleans()),
        "write_page_checksum": draw(st.booleans()),
        "write_statistics": draw(st.integers(0, 40)) != 40,
        "store_schema": draw(st.booleans()),
        "store_decimal_as_integer": True,
    }


def written(path: Path, some: list[dict[str, Any]], schema: pa.Schema, **how: Any) -> Path:
    kinds = [kind.type.storage_type if isinstance(kind.type, pa.UuidType) else kind.type for kind in schema]
    arrays = [
        pa.array([_plain(values[name]) for values in some], kind)
        for name, kind in zip(schema.names, kinds, strict=True)
    ]
    storage = pa.table(arrays, pa.schema([field.with_type(kind) for field, kind in zip(schema, kinds, strict=True)]))
    pq.write_table(storage.cast(schema), path, **how)
    return path


def _plain(value: Any) -> Any:
    return value.bytes if hasattr(value, "bytes") else value


@SLOW
@given(data=st.data())
def test_merged_files_have_all_rows_and_say_of_them_what_rewritten_ones_do(data: st.DataObject) -> None:
    # Given files of one schema, each written in its own way
    fields = data.draw(st.lists(st.sampled_from(SCHEMA.fields), min_size=1, max_size=6, unique=True))
    codec = data.draw(st.sampled_from(["zstd", "snappy", "gzip", "uncompressed", "lz4", "brotli"]))
    arrow_codec = "none" if codec == "uncompressed" else codec
    limit = data.draw(st.sampled_from(["1000", "1000", "200"]))
    with table_of(Schema(*fields), codec, **{"write.parquet.row-group-limit": limit}) as table:
        schema, arrow, folder = table.schema(), schema_to_pyarrow(table.schema()), data_folder(table)
        is_nested = any(not isinstance(field.field_type, PrimitiveType) for field in fields)
        paths = []
        for number in range(data.draw(st.integers(1, 4))):
            some = data.draw(rows(schema, number * 1000))
            paths.append(
                written(
                    folder / f"{number}.parquet", some, arrow, **data.draw(options(arrow_codec, is_nested=is_nested))
                )
            )
        tasks = tasks_for(paths)

        # When they are merged
        largest = max(task.file.file_size_in_bytes for task in tasks)
        made = merged(
            table,
            tasks,
            threads=data.draw(st.integers(1, 3)),
            outputs=data.draw(st.integers(1, 3)),
            target_bytes=data.draw(st.sampled_from([BIG, BIG, largest])),
        )

        # Then all readers have all rows in their order
        if made is None:
            return
        event("merged")
        assert sum(file.record_count for file in made) == sum(task.file.record_count for task in tasks)
        if not made:
            return
        check_readers(made, paths)
        for chunk in chunks(made):
            event("with a dictionary" if chunk.has_dictionary_page else "without a dictionary")
        # And manifests say what they say of rewritten rows
        (rewritten,) = rewrite(table, tasks)
        if len(made) == 1:
            for name in METRICS:
                assert getattr(made[0], name) == getattr(rewritten, name), name
        # And to filter while reading is to filter what was read
        expected = pa.concat_tables([pq.read_table(path) for path in paths], promote_options="permissive")
        where = data.draw(conditions(expected))
        if where is not None:
            answer = len(filtered(expected, where))
            event("filtered" if answer else "filtered for nothing")
            files = [path_of(file.file_path) for file in made]
            for name, read in READERS.items():
                assert sum(len(read(path, where)) for path in files) == answer, (name, where)
            assert sum(len(filter_with_arrow(path, where)) for path in files) == answer, where


@st.composite
def options_of_parquet_rs(draw: st.DrawFn) -> dict[str, Any]:
    """Those of its second version encode differences of numbers and of texts."""
    return {
        "writer_version": draw(st.sampled_from(["1.0", "2.0"])),
        "dictionary_enabled": draw(st.sampled_from(["true", "true", "false"])),
        "dictionary_page_size_limit": draw(st.sampled_from([10, 300, 2**20])),
        "data_pagesize_limit": draw(st.sampled_from([10, 500, 2**20])),
        "data_page_row_count_limit": draw(st.sampled_from([3, 20_000])),
        "write_batch_size": draw(st.sampled_from([1, 5, 1024])),
        "max_row_group_size": draw(st.sampled_from([20, 2**20])),
    }


@SLOW
@given(data=st.data())
def test_files_of_parquet_rs_have_all_rows_when_they_are_merged(data: st.DataObject) -> None:
    with table_of(FLAT, "zstd") as table:
        data_folder(table)
        paths = []
        for number in range(data.draw(st.integers(1, 3))):
            pattern = PATTERNS[data.draw(st.sampled_from(sorted(PATTERNS)))]
            values = [pattern(place) for place in range(data.draw(st.sampled_from([1, 5, 60, 150])))]
            some = [{"id": value, "text": f"text {value}", "ratio": value / 3} for value in values]
            paths.append(by_datafusion(table, number, some, **data.draw(options_of_parquet_rs())))

        made = merged(table, tasks_for(paths))

        assert made is not None
        check_readers(made, paths)
        (rewritten,) = rewrite(table, tasks_for(paths))
        for name in METRICS:
            assert getattr(made[0], name) == getattr(rewritten, name), name
        for chunk in chunks(made):
            event("with a dictionary" if chunk.has_dictionary_page else "without a dictionary")


def chunks(made: Sequence[DataFile]) -> Iterator[pq.ColumnChunkMetaData]:
    for file in made:
        metadata = pq.read_metadata(path_of(file.file_path))
        for number in range(metadata.num_row_groups):
            for place in range(metadata.num_columns):
                yield metadata.row_group(number).column(place)


@st.composite
def conditions(draw: st.DrawFn, expected: pa.Table) -> str | None:
    """A condition that all readers understand alike, of a value that there is."""
    names = [name for name in ("id", "small", "name") if name in expected.column_names]
    if not names or not len(expected):
        return None
    name = draw(st.sampled_from(names))
    value = expected.column(name)[draw(st.integers(0, len(expected) - 1))].as_py()
    return None if value is None else f"{name} {draw(st.sampled_from(['=', '<', '>=']))} {value!r}"
