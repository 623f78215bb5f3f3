"""Laws of rewriting files, on tables that real commits made: the rows are the same, in their order or the table's."""

from __future__ import annotations

import math
import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cmp_to_key
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.table.sorting import NullOrder, SortDirection, SortField
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    Transform,
    TruncateTransform,
    YearTransform,
)
from pyiceberg.types import DoubleType, FloatType, NestedField, PrimitiveType

from app.lake.compact.rewriting import sorted_runs
from app.lake.json_rows import to_json_rows
from tests.properties.made_tables import MadeFile, MadeTable, shown
from tests.properties.raw_values import Row, canonical_row
from tests.properties.table_steps import Drawn
from tests.unit.lake.compact.rewriting import read_files, rewrite, sort_by, tasks_of
from tests.unit.lake.local_tables import open_catalog

EXAMPLES = int(os.environ.get("STRATIGRAPH_TEST_REWRITING_EXAMPLES", "25"))
SLOW = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[Phase.explicit, Phase.reuse, Phase.generate] if os.environ.get("NOSHRINK") else tuple(Phase),
)


@contextmanager
def drawn_table(draw: st.DrawFn, *, plain: bool = False) -> Iterator[MadeTable]:
    with tempfile.TemporaryDirectory() as folder:
        catalog = open_catalog(Path(folder))
        try:
            drawn = Drawn(draw, catalog, plain=plain)
            for _ in range(draw(st.integers(2, 7))):
                drawn.step()
            drawn.append()
            yield drawn.made
        finally:
            catalog.close()


def groups(made: MadeTable) -> list[list[MadeFile]]:
    """Live files of the current branch that may come together."""
    found: dict[tuple[int, str], list[MadeFile]] = defaultdict(list)
    times = Counter(some.file.file_path for some in made.files)
    # Files without rows are in no plan, and one that is there twice cannot be told from itself by its path
    for some in (some for some in made.files if some.rows and times[some.file.file_path] == 1):
        found[some.file.spec_id, repr(some.file.partition)].append(some)
    return list(found.values())


@SLOW
@given(st.data())
def test_the_rows_are_the_same_in_the_same_order(data: st.DataObject) -> None:
    with drawn_table(data.draw) as made:
        for group in groups(made):
            files = rewrite(
                made.table,
                tasks_of(made.table, [some.file.file_path for some in group], made.branch),
                outputs=data.draw(st.integers(1, 3)),
                target_bytes=data.draw(st.sampled_from([1, 1500, 10_000_000])),
                memory_bytes=data.draw(st.sampled_from([1, 100, 10_000_000])),
                threads=data.draw(st.integers(1, 3)),
            )
            rows = [row for some in group for row in some.live]
            assert shown_files(made.table, files) == shown(rows, made.schema.fields)
            assert all(file.record_count for file in files)
            assert {(file.spec_id, file.sort_order_id) for file in files} <= {(group[0].file.spec_id, 0)}
            check_counts(files, rows, made.schema.fields)


def shown_files(table: Table, files: Sequence[DataFile]) -> list[tuple[str, ...]]:
    fields = table.schema().fields
    return [canonical_row(row, fields) for batch in read_files(table, files) for row in to_json_rows(batch)]


def check_counts(files: Sequence[DataFile], rows: Sequence[Row], fields: Sequence[NestedField]) -> None:
    """Of columns of their own: what manifests say of values, nulls and NaN."""
    for field in fields:
        if not isinstance(field.field_type, PrimitiveType):
            continue
        values = [row.get(field.field_id) for row in rows]
        is_float = isinstance(field.field_type, (FloatType, DoubleType))
        expected = [
            len(values),
            sum(value is None for value in values),
            sum(math.isnan(value) for value in values if value is not None) if is_float else 0,
        ]
        counted = [
            sum(counts.get(field.field_id, 0) for counts in found)
            for found in (
                [file.value_counts for file in files],
                [file.null_value_counts for file in files],
                [file.nan_value_counts for file in files],
            )
        ]
        assert counted == expected, field


@SLOW
@given(st.data())
def test_rows_are_sorted_as_the_table_says(data: st.DataObject) -> None:
    with drawn_table(data.draw, plain=True) as made, patch.object(sorted_runs, "_CHUNK_BYTES", 40):
        fields = data.draw(st.lists(st.sampled_from(made.schema.fields), min_size=1, max_size=3, unique=True))
        order = [(field, sort_field(data.draw, field)) for field in fields]
        sort_by(made.table, *(by for _, by in order))
        for group in groups(made):
            files = rewrite(
                made.table,
                tasks_of(made.table, [some.file.file_path for some in group], made.branch),
                target_bytes=data.draw(st.sampled_from([1, 10_000_000])),
                memory_bytes=data.draw(st.sampled_from([1, 1000, 10_000_000])),
                threads=data.draw(st.integers(1, 3)),
            )
            rows = [row for some in group for row in some.live]
            # Python's sort leaves equal rows as they are, and so does ours
            expected = sorted(rows, key=cmp_to_key(lambda one, other: compare(order, one, other)))
            assert shown_files(made.table, files) == shown(expected, made.schema.fields)
            assert {file.sort_order_id for file in files} <= {made.table.sort_order().order_id}


TIMES: list[Transform[Any, Any]] = [YearTransform(), MonthTransform(), DayTransform(), HourTransform()]
TRANSFORMS: list[Transform[Any, Any]] = [IdentityTransform(), BucketTransform(3), TruncateTransform(2), *TIMES]


def sort_field(draw: st.DrawFn, field: NestedField) -> SortField:
    possible = [some for some in TRANSFORMS if some.can_transform(field.field_type)]
    return SortField(
        source_id=field.field_id,
        transform=draw(st.sampled_from(possible)),
        direction=draw(st.sampled_from(SortDirection)),
        null_order=draw(st.sampled_from(NullOrder)),
    )


def compare(order: Sequence[tuple[NestedField, SortField]], one: Row, other: Row) -> int:
    for field, by in order:
        ours, theirs = (transformed(by, field, row.get(field.field_id)) for row in (one, other))
        if (ours is None) != (theirs is None):
            return -1 if (ours is None) == (by.null_order is NullOrder.NULLS_FIRST) else 1
        if ours is None or theirs is None:
            continue
        if isinstance(ours, float):
            ours, theirs = java_order(ours), java_order(theirs)
        if ours != theirs:
            return -1 if (ours < theirs) == (by.direction is SortDirection.ASC) else 1
    return 0


def transformed(by: SortField, field: NestedField, value: Any) -> Any:
    try:
        return by.transform.transform(field.field_type)(value)
    except OverflowError:
        # pyiceberg goes by Python's dates, which end with the year 9999.
        reject()


def java_order(value: float) -> tuple[int, float, int]:
    """What Double.compare orders by: NaN after all, and zeros by their signs."""
    if math.isnan(value):
        return 1, 0.0, 0
    return 0, value, 0 if math.copysign(1, value) < 0 and value == 0 else 1
