import datetime as dt
import json
import math
import uuid
from decimal import Decimal

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.lake.json_rows import MAX_SAFE_INTEGER, to_json_rows, to_json_values

UTC = dt.UTC

CASES = {
    "bool": (pa.bool_(), [True, False, None], [True, False, None]),
    "int32": (pa.int32(), [2**31 - 1, -(2**31), None], [2**31 - 1, -(2**31), None]),
    "int64 that JavaScript can hold": (pa.int64(), [MAX_SAFE_INTEGER, None], [MAX_SAFE_INTEGER, None]),
    "int64 that it cannot": (
        pa.int64(),
        [1, MAX_SAFE_INTEGER + 1, -(2**63), None],
        [1, "9007199254740992", "-9223372036854775808", None],
    ),
    "int64 of nulls": (pa.int64(), [None, None], [None, None]),
    "double": (pa.float64(), [0.1, -0.0, math.inf, -math.inf, None], [0.1, -0.0, "Infinity", "-Infinity", None]),
    "nan": (pa.float64(), [math.nan], ["NaN"]),
    "float": (pa.float32(), [0.5, None], [0.5, None]),
    "decimal": (pa.decimal128(9, 2), [Decimal("1.50"), Decimal("0.00"), None], ["1.50", "0.00", None]),
    "decimal of a large scale": (
        pa.decimal128(38, 10),
        [Decimal("0.0000000001"), Decimal(0), Decimal("12345678901234567890.1"), None],
        ["0.0000000001", "0.0000000000", "12345678901234567890.1000000000", None],
    ),
    "string": (pa.string(), ["", 'a"b\r\n,', "ü", None], ["", 'a"b\r\n,', "ü", None]),
    "large string": (pa.large_string(), ["x", None], ["x", None]),
    "date": (pa.date32(), [dt.date(2026, 2, 15), dt.date(1, 1, 1), None], ["2026-02-15", "0001-01-01", None]),
    "time": (pa.time64("us"), [dt.time(1, 2, 3, 4), None], ["01:02:03.000004", None]),
    "timestamp": (
        pa.timestamp("us"),
        [dt.datetime.fromisoformat("2026-02-15T10:00:00.123456"), None],
        ["2026-02-15T10:00:00.123456", None],
    ),
    "timestamp with a zone": (
        pa.timestamp("us", tz="UTC"),
        [dt.datetime(2026, 2, 15, 10, tzinfo=UTC), None],
        ["2026-02-15T10:00:00.000000Z", None],
    ),
    "timestamp in nanoseconds": (pa.timestamp("ns"), [1, None], ["1970-01-01T00:00:00.000000001", None]),
    "timestamp beyond Python's years": (pa.timestamp("us"), [2**58], ["11103-08-29T17:22:31.711744"]),
    "uuid": (pa.uuid(), [uuid.UUID(int=1).bytes, None], ["00000000-0000-0000-0000-000000000001", None]),
    "binary": (pa.binary(), [b"\x00\xff", b"", None], ["AP8=", "", None]),
    "fixed": (pa.binary(2), [b"\x00\xff", None], ["AP8=", None]),
    "struct": (
        pa.struct([("a", pa.int64()), ("b", pa.struct([("c", pa.string())]))]),
        [{"a": 2**60, "b": {"c": "x"}}, None, {"a": None, "b": None}],
        [{"a": str(2**60), "b": {"c": "x"}}, None, {"a": None, "b": None}],
    ),
    "empty struct": (pa.struct([]), [{}, None], [{}, None]),
    "list": (pa.list_(pa.date32()), [[dt.date(2026, 1, 1), None], [], None], [["2026-01-01", None], [], None]),
    "large list": (pa.large_list(pa.int32()), [[1, 2], None], [[1, 2], None]),
    "map of strings": (
        pa.map_(pa.string(), pa.int32()),
        [[("a", 1), ("b", None)], [], None],
        [{"a": 1, "b": None}, {}, None],
    ),
    "map of numbers": (pa.map_(pa.int32(), pa.string()), [[(1, "a")], None], [[[1, "a"]], None]),
    "null": (pa.null(), [None], [None]),
}


@pytest.mark.parametrize("case", CASES)
def test_each_type_has_its_json(case: str) -> None:
    kind, values, expected = CASES[case]

    found = to_json_values(pa.array(values, kind) if not isinstance(kind, pa.UuidType) else _uuids(values))

    assert found == expected
    assert json.loads(orjson.dumps(found)) == expected


@pytest.mark.parametrize("case", CASES)
def test_slices_answer_their_own_rows_only(case: str) -> None:
    kind, values, expected = CASES[case]
    array = pa.array(values, kind) if not isinstance(kind, pa.UuidType) else _uuids(values)

    for start in range(len(values)):
        for stop in range(start, len(values) + 1):
            assert to_json_values(array.slice(start, stop - start)) == expected[start:stop]


def test_rows_are_objects_by_column_name() -> None:
    batch = pa.record_batch({"a": [1, None], "b": ["x", "y"]})

    assert to_json_rows(batch) == [{"a": 1, "b": "x"}, {"a": None, "b": "y"}]


def test_rows_without_columns_are_still_counted() -> None:
    batch = pa.record_batch({"a": [1, 2]}).select([])

    assert len(to_json_rows(batch)) == batch.num_rows


def test_a_type_that_iceberg_has_not_is_refused() -> None:
    with pytest.raises(TypeError, match="dictionary"):
        to_json_values(pa.array(["a"]).dictionary_encode())


leaves = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))


@given(
    st.lists(st.one_of(st.none(), st.lists(st.one_of(st.none(), st.lists(leaves, max_size=3)), max_size=3))), st.data()
)
def test_nested_lists_of_any_shape_keep_every_value(rows: list, data: st.DataObject) -> None:
    array = pa.array(rows, pa.list_(pa.list_(pa.int64())))
    start = data.draw(st.integers(0, len(rows)))

    found = to_json_values(array.slice(start))

    def restored(value: object) -> object:
        if isinstance(value, list):
            return [restored(item) for item in value]
        return None if value is None else int(value)  # type: ignore[call-overload]

    assert restored(found) == rows[start:]


def _uuids(values: list) -> pa.Array:
    return pa.ExtensionArray.from_storage(pa.uuid(), pa.array(values, pa.binary(16)))
