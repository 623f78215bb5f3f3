"""Laws of merged metrics: they are those of all rows together, where each file's are those of its own rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyiceberg.conversions import to_bytes
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.schema import Schema
from pyiceberg.typedef import Record
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    IntegerType,
    LongType,
    NestedField,
    PrimitiveType,
    StringType,
    TimestampType,
)

from app.lake.compact.metrics import Metrics, merge_metrics
from tests.properties.raw_values import nullable

KINDS: list[PrimitiveType] = [
    BooleanType(),
    IntegerType(),
    LongType(),
    DoubleType(),
    DecimalType(9, 2),
    DateType(),
    TimestampType(),
    StringType(),
    BinaryType(),
]


def order(value: Any) -> Any:
    """Iceberg's, of a value that is not NaN."""
    if isinstance(value, str):
        return value.encode()
    return (value, math.copysign(1, value)) if isinstance(value, float) else value


def metrics_of(rows: Sequence[Any], kind: PrimitiveType) -> Metrics:
    """What a writer that leaves nothing out tells of a column of these values."""
    nans = [value for value in rows if isinstance(value, float) and math.isnan(value)]
    values = sorted((value for value in rows if value is not None and value == value), key=order)
    return Metrics(
        column_sizes={1: len(rows)},
        value_counts={1: len(rows)},
        null_value_counts={1: rows.count(None)},
        nan_value_counts={1: len(nans)},
        lower_bounds={1: to_bytes(kind, values[0])} if values else {},
        upper_bounds={1: to_bytes(kind, values[-1])} if values else {},
    )


def file_of(rows: Sequence[Any], metrics: Metrics) -> DataFile:
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path="a.parquet",
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=len(rows),
        file_size_in_bytes=1,
        column_sizes=metrics.column_sizes,
        value_counts=metrics.value_counts,
        null_value_counts=metrics.null_value_counts,
        nan_value_counts=metrics.nan_value_counts,
        lower_bounds=metrics.lower_bounds,
        upper_bounds=metrics.upper_bounds,
    )


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(data=st.data())
def test_merged_metrics_are_those_of_all_rows(kind: PrimitiveType, data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.lists(nullable(kind), min_size=1, max_size=6), min_size=1, max_size=5))
    schema = Schema(NestedField(1, "a", kind, required=False))

    merged = merge_metrics([file_of(rows, metrics_of(rows, kind)) for rows in parts], [schema])

    assert merged == metrics_of([value for rows in parts for value in rows], kind)


@given(data=st.data())
def test_the_order_of_files_and_how_they_were_merged_before_make_no_difference(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    parts = data.draw(st.lists(st.lists(nullable(kind), min_size=1, max_size=4), min_size=2, max_size=5))
    schema = [Schema(NestedField(1, "a", kind, required=False))]
    files = [file_of(rows, metrics_of(rows, kind)) for rows in parts]
    cut = data.draw(st.integers(1, len(parts) - 1))

    at_once = merge_metrics(files, schema)
    in_two = [
        file_of([row for rows in some for row in rows], merge_metrics(of_some, schema))
        for some, of_some in ((parts[:cut], files[:cut]), (parts[cut:], files[cut:]))
    ]

    assert merge_metrics(data.draw(st.permutations(files)), schema) == at_once
    assert merge_metrics(in_two, schema) == at_once


@given(texts=st.lists(st.text(max_size=8), min_size=1, max_size=8), width=st.integers(1, 3))
def test_truncated_bounds_stay_bounds(texts: list[str], width: int) -> None:
    # Given files whose upper bounds are cut and counted up, and whose lower ones are cut
    files = []
    for text in texts:
        upper = text if len(text) <= width else _counted_up(text[:width])
        bounds = {
            "lower_bounds": {1: text[:width].encode()},
            "upper_bounds": {} if upper is None else {1: upper.encode()},
        }
        metrics = Metrics(value_counts={1: 1}, null_value_counts={1: 0}, **bounds)
        files.append(file_of([text], metrics))

    merged = merge_metrics(files, [Schema(NestedField(1, "a", StringType(), required=False))])

    assert all(merged.lower_bounds[1] <= text.encode() for text in texts)
    if 1 in merged.upper_bounds:
        assert all(text.encode() <= merged.upper_bounds[1] for text in texts)
    else:
        assert any(not file.upper_bounds for file in files)


def _counted_up(text: str) -> str | None:
    for place in range(len(text) - 1, -1, -1):
        code = ord(text[place]) + 1
        code = 0xE000 if code == 0xD800 else code
        if code <= 0x10FFFF:
            return text[:place] + chr(code)
    return None
