"""Files whose keys are in no order: rows that they have in common with what was made of them are left out of the join,
and all is answered as if they had not been.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.types import DoubleType, LongType, NestedField, StringType

from app.domain.row_diffs import KeyFault, Method, RowDiff
from app.errors import UnreadableTableError
from app.lake.row_diff import batching, known_keys, left_overs, long_values, reducing, running, wide_joining
from app.lake.row_diff.engine import Engine
from app.lake.row_diff.reducing import Reducing, Rest
from tests.unit.lake.compact.test_rewriting_files import path_of
from tests.unit.lake.local_tables import create_table, open_catalog
from tests.unit.lake.row_diff.comparing import compare, version
from tests.unit.lake.row_diff.made_snapshots import commit_files, write_data_files

SCHEMA = Schema(
    NestedField(1, "id", LongType()), NestedField(2, "name", StringType()), NestedField(3, "price", DoubleType())
)
FILES, FILE_ROWS = 6, 40

Row = dict[str, Any]


@dataclass(slots=True)
class Seen:
    """How many rows were given to each join of what was left, of the earlier and of the later side."""

    joined: list[tuple[int, int]]


def arrow(rows: Sequence[Row]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema_to_pyarrow(SCHEMA, include_field_ids=False))


def row(number: int | None, name: str = "name") -> Row:
    return {"id": number, "name": f"{name} {number}", "price": None if number is None else number / 7}


def two_versions(catalog: SqlCatalog, before: Sequence[Sequence[Row]], after: Sequence[Sequence[Row]]) -> Table:
    """A table of two snapshots with these files."""
    table = create_table(catalog, SCHEMA)
    old = [file for rows in before for file, _ in write_data_files(table, arrow(rows))]
    commit_files(table, Operation.APPEND, add=old)
    new = [file for rows in after for file, _ in write_data_files(table, arrow(rows))]
    commit_files(table, Operation.OVERWRITE, remove=old, add=new)
    return table


@contextmanager
def small_batches(rows: int) -> Iterator[Seen]:
    """Groups of more rows are streamed."""
    seen = Seen([])
    original = running.outcome_of

    def outcome_of(engine: Any, rows: Any, row_counts: tuple[int, int], *more: Any) -> Any:
        seen.joined.append(row_counts)
        return original(engine, rows, row_counts, *more)

    with (
        patch.object(batching, "BATCH_ROWS", rows),
        patch.object(batching, "HELD_ROWS", rows),
        patch.object(running, "outcome_of", outcome_of),
    ):
        yield seen


@contextmanager
def all_joined() -> Iterator[None]:
    """As if nothing could be left out."""

    def rest_of(*_: object) -> Rest | None:
        return None

    with patch.object(Reducing, "rest_of", rest_of):
        yield


def differ(table: Table, keys: Sequence[str] | None) -> RowDiff:
    first, second = (snapshot.snapshot_id for snapshot in table.refresh().snapshots())
    return compare(version(table, first), version(table, second), keys)


def files_of(table: Table, side: int) -> list[DataFile]:
    """The data files of the earlier version, or of the later one."""
    snapshot = table.refresh().snapshots()[side]
    return [task.file for task in table.scan(snapshot_id=snapshot.snapshot_id).plan_files()]


def whatever_was_read(found: RowDiff) -> RowDiff:
    return replace(found, bytes_read=0, files_read=0)


def with_more(files: list[list[Row]], more: Sequence[Mapping[int, list[Row]]]) -> list[list[list[Row]]]:
    """Both sides with these files and one of a row of their own, and with more rows in some of them."""
    sides = []
    for number, added in enumerate(more):
        side = [list(rows) for rows in files] + [[row(5_001 + 2 * number)]]
        for place, rows in added.items():
            side[place] += rows
        sides.append(side)
    return sides


def as_joined_whole(table: Table) -> RowDiff:
    """The difference by key, having seen that it is that of a join of all rows."""
    with small_batches(3 * FILE_ROWS):
        found = differ(table, ("id",))
        with all_joined():
            assert whatever_was_read(found) == whatever_was_read(differ(table, ("id",)))
    return found


@pytest.fixture
def files() -> list[list[Row]]:
    """Keys in no order: each file has some of all over. They are even."""
    numbers = random.Random(7).sample(range(0, 10_000, 2), FILES * FILE_ROWS)
    return [[row(number) for number in numbers[place::FILES]] for place in range(FILES)]


@pytest.mark.parametrize("keys", [("id",), ()], ids=["keys", "multiset"])
def test_only_what_differs_is_joined_and_files_are_read_once(
    catalog: SqlCatalog, files: list[list[Row]], keys: Sequence[str]
) -> None:
    # Given all files written anew, each with one row changed and one less, and one more file
    later = [[{**rows[0], "name": "other"}, *rows[1:-1]] for rows in files]
    table = two_versions(catalog, files, [*later, [row(5_001), row(5_003)]])
    with small_batches(3 * FILE_ROWS) as seen:
        found = differ(table, keys)
        assert seen.joined == [(2 * FILES, FILES + 2)]
        with all_joined():
            assert whatever_was_read(found) == whatever_was_read(whole := differ(table, keys))
    size = sum(file.file_size_in_bytes for side in (0, 1) for file in files_of(table, side))
    assert found.bytes_read < size
    assert found.files_read == 2 * FILES + 1
    if keys:
        assert (found.rows_added, found.rows_removed, found.rows_changed) == (2, FILES, FILES)
        assert found.method is Method.KEYS
        assert found.bytes_read < whole.bytes_read


def test_where_files_have_nothing_in_common_few_are_looked_at(catalog: SqlCatalog, files: list[list[Row]]) -> None:
    # Given files of which all rows are others, but for the least and the greatest of some column
    later = [[{**each, "name": f"{each['name']} again"} for each in rows] for rows in files]
    table = two_versions(catalog, files, later)
    with small_batches(2 * FILE_ROWS) as seen:
        found = differ(table, ("id",))
    assert seen.joined == [(FILES * FILE_ROWS, FILES * FILE_ROWS)]
    assert found.rows_changed == FILES * FILE_ROWS
    size = sum(file.file_size_in_bytes for side in (0, 1) for file in files_of(table, side))
    assert found.bytes_read < 2 * size


def test_no_more_is_left_in_memory_than_is_to_be_held(catalog: SqlCatalog, files: list[list[Row]]) -> None:
    # Given rows of which fewer than are joined at once take as much memory as is to be held of them
    later = [[{**rows[0], "name": "other"}, *rows[1:]] for rows in files]
    table = two_versions(catalog, files, later)
    with small_batches(3 * FILE_ROWS) as seen, patch.object(left_overs, "_MANY_BYTES", 1):
        found = differ(table, ("id",))
        with all_joined():
            assert whatever_was_read(found) == whatever_was_read(differ(table, ("id",)))
    # Then pairs are compared that were begun to be read by then, and of the others all rows are joined.
    assert seen.joined[0] == (3 + (FILES - 3) * FILE_ROWS,) * 2


DOUBLES = {
    # Which rows there are more on the earlier side, and on the later one, in which file; of keys that are there.
    "on both sides, equal": ({1: [0]}, {1: [0]}),
    "on both sides, in the same file": ({0: [0]}, {0: [0]}),
    "on the later side": ({}, {1: [0]}),
    "on the later side, in a file of its own": ({}, {FILES: [0]}),
    "on the earlier side": ({1: [0]}, {}),
    "on the earlier side, in a file of its own": ({FILES: [0]}, {}),
}


@pytest.mark.parametrize("is_changed", [False, True])
@pytest.mark.parametrize("case", DOUBLES)
def test_a_key_that_is_on_several_rows_is_found_wherever_those_are(
    catalog: SqlCatalog, files: list[list[Row]], case: str, is_changed: bool
) -> None:
    name = "other" if is_changed else "name"
    more = [
        {place: [row(files[0][number]["id"], name) for number in numbers] for place, numbers in side.items()}
        for side in DOUBLES[case]
    ]
    found = as_joined_whole(two_versions(catalog, *with_more(files, more)))
    assert found.key_problem is not None
    assert (found.key_problem.fault, found.key_problem.example) == (KeyFault.NOT_UNIQUE, {"id": files[0][0]["id"]})


@pytest.mark.parametrize("hashes", [FILES * FILE_ROWS, 100, 10], ids=["sorted at once", "in shares", "by the engine"])
@pytest.mark.parametrize("is_double", [False, True])
def test_however_many_keys_there_are_they_are_read_a_few_times(
    catalog: SqlCatalog, files: list[list[Row]], hashes: int, is_double: bool
) -> None:
    later = [list(rows) for rows in files]
    later[0].append(files[1][0] if is_double else row(5_001))
    table = two_versions(catalog, files, later)
    asked: list[str] = []
    original = Engine.table

    def counted(self: Engine, query: str, **rows: Any) -> pa.Table:
        asked.append(query)
        return original(self, query, **rows)

    with (
        small_batches(3 * FILE_ROWS),
        patch.object(known_keys, "_SORTED_AT_ONCE", hashes),
        patch.object(Engine, "table", counted),
    ):
        found = differ(table, ("id",))
    assert (found.key_problem is not None) is is_double
    assert sum(" FROM known" in query for query in asked) <= 4


@pytest.mark.parametrize("places", [(0, 0), (0, None), (None, 0), (FILES, None), (None, FILES)])
def test_a_row_without_a_key_is_found_wherever_it_is(
    catalog: SqlCatalog, files: list[list[Row]], places: tuple[int | None, int | None]
) -> None:
    more = [{} if place is None else {place: [row(None)]} for place in places]
    found = as_joined_whole(two_versions(catalog, *with_more(files, more)))
    assert found.key_problem is not None
    assert found.key_problem.fault is KeyFault.HAS_NULL


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("place", [0, FILES])
def test_a_file_that_is_broken_is_told_whether_it_has_a_counterpart_or_not(
    catalog: SqlCatalog, files: list[list[Row]], side: int, place: int
) -> None:
    table = two_versions(catalog, [*files, [row(5_001)]], [*files, [row(5_003)]])
    is_alone = place == FILES
    broken = next(file.file_path for file in files_of(table, side) if (file.record_count == 1) is is_alone)
    path_of(broken).write_bytes(path_of(broken).read_bytes()[:-9])
    with small_batches(3 * FILE_ROWS), pytest.raises(UnreadableTableError) as raised:
        differ(table, ("id",))
    assert raised.value.fields["file"] == broken


@st.composite
def versions(draw: st.DrawFn) -> tuple[list[list[Row]], list[list[Row]]]:
    """Files, and what became of them: rows changed, put in, taken out and moved, files gone and new ones."""
    ids = st.integers(0, 60) if draw(st.booleans()) else st.none() | st.integers(0, 25)
    numbers = draw(st.lists(ids, min_size=4, max_size=40, unique=draw(st.booleans())))
    rows = [row(number, draw(st.sampled_from("ab"))) for number in numbers]
    count = draw(st.integers(1, 5))
    before = [part for place in range(count) if (part := rows[place::count])]
    after = []
    for part in before:
        kept = list(part)
        for _ in range(draw(st.integers(0, 2))):
            place = draw(st.integers(0, len(kept)))
            step = draw(st.sampled_from(["change", "take", "put"]))
            if step == "put":
                kept.insert(place, row(draw(ids), "new"))
            elif place < len(kept) and step == "take":
                del kept[place]
            elif place < len(kept):
                kept[place] = {**kept[place], "name": "changed"}
        if draw(st.integers(0, 4)) == 0:
            kept.reverse()
        if kept and draw(st.integers(0, 5)):
            after.append(kept)
    if draw(st.booleans()):
        after.append([row(draw(ids), "more")])
    return before, after


@given(versions(), st.sampled_from([("id",), (), ("id", "name")]), st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_the_answer_is_that_of_a_join_of_all(
    made: tuple[list[list[Row]], list[list[Row]]], keys: tuple[str, ...], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        catalog = open_catalog(Path(folder))
        try:
            table = two_versions(catalog, *made)
            with (
                small_batches(data.draw(st.sampled_from([2, 12, 24]))),
                patch.object(reducing, "_MOST_LEFT_ROWS", data.draw(st.sampled_from([0, 5, 1000]))),
                patch.object(reducing, "_MOST_IN_VAIN", data.draw(st.sampled_from([0.0, 1.0]))),
                patch.object(long_values, "_LONGEST_BYTES", data.draw(st.sampled_from([0, 128]))),
                patch.object(wide_joining, "MANY_COLUMNS", data.draw(st.sampled_from([0, 100]))),
            ):
                found = differ(table, keys)
                with all_joined():
                    expected = differ(table, keys)
        finally:
            catalog.close()
    assert whatever_was_read(found) == whatever_was_read(expected)
