"""Scalars: what they write, what they take, and that nothing a client sends breaks them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from graphql import GraphQLError
from hypothesis import given
from hypothesis import strategies as st

from app.domain.versions import INT64_MAX, INT64_MIN
from app.graphql.scalars import (
    MAX_SAFE_INTEGER,
    parse_big_int_value,
    parse_date_time_value,
    parse_snapshot_id_value,
    write_date_time,
)
from tests.graphql.api import Api
from tests.lake_tables import Orders

BAD_SNAPSHOT_IDS: list[Any] = [
    0,
    -1,
    "0",
    "-1",
    str(2**63),
    str(2**70),
    str(-(2**63) - 1),
    2**53,
    -(2**53),
    2**63,
    2**70,
    "9" * 5000,
    "1e3",
    "1.0",
    1.0,
    1.5,
    1e3,
    True,
    False,
    "",
    " ",
    "0x10",
    "١٢",
    "1_000",
    "abc",
    [],
    {},
    "\0",
]
# The same, as they can be written into a document; `ENUM` and so on are what a hasty client sends.
BAD_SNAPSHOT_ID_LITERALS = [
    "0",
    "-1",
    '"0"',
    f'"{2**63}"',
    f'"{2**70}"',
    str(2**53),
    str(2**63),
    str(2**70),
    "9" * 3000,
    "1e3",
    "1.0",
    "1.5",
    "true",
    '""',
    '"1e3"',
    "ENUM",
    "[1, 2]",
    "{ a: 1 }",
    '"""block"""',
]
BAD_INSTANTS: list[Any] = [
    "",
    "now",
    "2026-02-15",
    "2026-02-15T10:00:00",
    "2026-02-30T10:00:00Z",
    "2026-02-15T25:00:00Z",
    "2026-02-15T10:00:60Z",
    "2026-02-15T10:00:00+99:00",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "20260215T100000Z",
    "2026-W07-7T10:00:00Z",
    "x" * 10_000,
    1771149600,
    1.5,
    True,
    [],
    {},
]


@given(st.integers(INT64_MIN, INT64_MAX).filter(lambda number: number not in (0, -1)))
def test_snapshot_ids_round_trip_as_text(number: int) -> None:
    assert parse_snapshot_id_value(str(number)) == number


@given(st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER).filter(lambda number: number not in (0, -1)))
def test_safe_numbers_are_taken(number: int) -> None:
    assert parse_snapshot_id_value(number) == number


@given(st.integers(INT64_MIN, INT64_MAX))
def test_big_ints_round_trip_as_text(number: int) -> None:
    assert parse_big_int_value(str(number)) == number


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.integers())))
def test_anything_else_is_refused_by_a_graphql_error(value: object) -> None:
    for parse in (parse_snapshot_id_value, parse_big_int_value, parse_date_time_value):
        try:
            parse(value)
        except GraphQLError as error:
            assert error.message


@given(st.datetimes(timezones=st.just(UTC)))
def test_instants_round_trip_to_the_microsecond(instant: datetime) -> None:
    text = write_date_time(instant)
    assert text.endswith("Z") and len(text) == len("2026-02-15T10:00:00.000000Z")
    assert parse_date_time_value(text) == instant


def test_instants_of_other_zones_are_taken_and_written_in_utc() -> None:
    parsed = parse_date_time_value("2026-02-15t10:00:00.123456+02:00")
    assert write_date_time(parsed) == "2026-02-15T08:00:00.123456Z"
    assert write_date_time(parsed.astimezone(timezone(timedelta(hours=-5)))) == "2026-02-15T08:00:00.123456Z"


@pytest.mark.parametrize("value", BAD_INSTANTS, ids=lambda value: repr(value)[:30])
def test_bad_instants_are_refused(value: Any) -> None:
    with pytest.raises(GraphQLError):
        parse_date_time_value(value)


@pytest.mark.anyio
async def test_bad_snapshot_ids_are_request_errors_as_variables(api: Api, orders: Orders) -> None:
    query = """query($id: SnapshotId) {
        dataset(namespace: "sales", name: "orders") { version(at: { snapshotId: $id }) { id } } }"""
    for value in BAD_SNAPSHOT_IDS:
        answer = await api.run(query, id=value)
        assert answer.data is None, value
        assert answer.codes[0] in ("INVALID_REFERENCE", "INVALID_ARGUMENT"), value
        assert len(answer.errors[0]["message"]) < 500, value
        nested = await api.run(query.replace("$id: SnapshotId", "$id: [SnapshotId]"), id=[value])
        assert nested.data is None and "INTERNAL_ERROR" not in nested.codes, value


@pytest.mark.anyio
async def test_bad_snapshot_ids_are_request_errors_as_literals(api: Api, orders: Orders) -> None:
    for literal in BAD_SNAPSHOT_ID_LITERALS:
        answer = await api.run(
            f'{{ dataset(namespace: "sales", name: "orders") {{ version(at: {{ snapshotId: {literal} }}) {{ id }} }} }}'
        )
        assert answer.data is None, literal
        assert answer.errors[0]["extensions"]["category"] == "INVALID", literal
        assert answer.errors[0]["locations"], literal


@pytest.mark.anyio
async def test_bad_instants_and_numbers_are_request_errors(api: Api, orders: Orders) -> None:
    by_instant = """query($at: DateTime) {
        dataset(namespace: "sales", name: "orders") { version(at: { asOf: $at }) { id } } }"""
    for value in BAD_INSTANTS:
        answer = await api.run(by_instant, at=value)
        assert answer.data is None and "INTERNAL_ERROR" not in answer.codes, value
    by_number = "query($first: Int) { datasets(first: $first) { totalCount } }"
    for number in (2**31, 2**70, 1.5, "1", True, [1, 2]):
        answer = await api.run(by_number, first=number)
        assert answer.data is None and answer.codes == ["GRAPHQL_VALIDATION_FAILED"], number
    for literal in (2**31, "9" * 4900, "1.5", '"1"'):
        answer = await api.run(f"{{ datasets(first: {literal}) {{ totalCount }} }}")
        assert answer.data is None and answer.codes == ["GRAPHQL_VALIDATION_FAILED"]
