"""What references are made of: instants, snapshot ids, and the names that come close."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.versions import (
    INT64_MAX,
    INT64_MIN,
    check_snapshot_id,
    closest,
    parse_instant,
    parse_snapshot_id,
)
from app.errors import (
    InvalidReferenceError,
)


@pytest.mark.parametrize(
    ("case", "text", "expected"),
    [
        ("date", "2026-02-15", datetime(2026, 2, 15, tzinfo=UTC)),
        ("leap day", "2024-02-29", datetime(2024, 2, 29, tzinfo=UTC)),
        ("first day", "0001-01-01", datetime(1, 1, 1, tzinfo=UTC)),
        ("last day", "9999-12-31", datetime(9999, 12, 31, tzinfo=UTC)),
        ("Z", "2026-02-15T10:00:00Z", datetime(2026, 2, 15, 10, tzinfo=UTC)),
        ("small letters", "2026-02-15t10:00:00z", datetime(2026, 2, 15, 10, tzinfo=UTC)),
        ("space", "2026-02-15 10:00:00Z", datetime(2026, 2, 15, 10, tzinfo=UTC)),
        ("no seconds", "2026-02-15T10:00Z", datetime(2026, 2, 15, 10, tzinfo=UTC)),
        ("offset ahead", "2026-02-15T10:00:00+05:30", datetime(2026, 2, 15, 4, 30, tzinfo=UTC)),
        ("offset behind", "2026-02-15T23:00:00-02:00", datetime(2026, 2, 16, 1, tzinfo=UTC)),
        ("unknown offset", "2026-02-15T10:00:00-00:00", datetime(2026, 2, 15, 10, tzinfo=UTC)),
        ("fraction", "2026-02-15T10:00:00.5Z", datetime(2026, 2, 15, 10, 0, 0, 500_000, tzinfo=UTC)),
        ("nanoseconds", "2026-02-15T10:00:00.123456789Z", datetime(2026, 2, 15, 10, 0, 0, 123_456, tzinfo=UTC)),
    ],
)
def test_instant_is_read_into_utc(case, text, expected):
    instant = parse_instant(text)

    assert instant == expected
    assert instant.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("case", "text"),
    [
        ("empty", ""),
        ("ten letters", "yesterday!"),
        ("ISO week", "2026-W07-1"),
        ("ISO week and time", "2026-W07-1T10:00:00Z"),
        ("basic form", "20260215T100000Z"),
        ("another separator", "2026-02-15x10:00:00Z"),
        ("comma", "2026-02-15T10:00:00,5Z"),
        ("hours alone", "2026-02-15T10Z"),
        ("offset without colon", "2026-02-15T10:00:00+0200"),
        ("offset with seconds", "2026-02-15T10:00:00+02:00:30"),
        ("digits that are not ASCII", "２０２６-02-15"),
        ("NUL", "2026-02-15T10:00:00Z\x00"),
        ("newline at the end", "2026-02-15\n"),
        ("huge", "2026-02-15T10:00:00." + "0" * 1000),
        ("lone surrogates", "\ud800" * 10),
    ],
)
def test_other_ways_to_write_a_time_are_refused(case, text):
    with pytest.raises(InvalidReferenceError):
        parse_instant(text)


@pytest.mark.parametrize(
    ("case", "text", "expected"),
    [
        ("largest", str(INT64_MAX), INT64_MAX),
        ("smallest", str(INT64_MIN), INT64_MIN),
        ("plus", f"+{INT64_MAX}", INT64_MAX),
        ("leading zeros", "007", 7),
    ],
)
def test_snapshot_id_is_read_from_digits(case, text, expected):
    assert parse_snapshot_id(text) == expected


@pytest.mark.parametrize(
    ("case", "number"), [("zero", 0), ("minus one", -1), ("2^63", 2**63), ("-2^63-1", -(2**63) - 1)]
)
def test_number_that_can_be_no_snapshot_is_refused(case, number):
    with pytest.raises(InvalidReferenceError) as caught:
        check_snapshot_id(number)

    assert caught.value.fields["ref"] == str(number)


def test_number_that_python_would_not_write_is_refused_too():
    with pytest.raises(InvalidReferenceError, match="bits"):
        check_snapshot_id(10**5000)


def test_suggestions_are_three_at_most_and_alike():
    known = [f"production_2026_02_{day:02d}" for day in range(1, 29)] + ["zzz"]

    found = closest("production_2026_02_5", known)

    assert len(found) == 3
    assert set(found) < set(known) - {"zzz"}
