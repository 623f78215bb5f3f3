"""The grammar of version references, row by row, and what malformed ones get."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.domain.history import MAIN, History, LogEntry, RefKind
from app.domain.versions import (
    INT64_MAX,
    INT64_MIN,
    VersionSelector,
    get_branch,
    get_tag,
    resolve,
    resolve_text,
)
from app.errors import (
    AmbiguousReferenceError,
    BranchNotFoundError,
    InvalidReferenceError,
    NoSnapshotError,
    SnapshotExpiredError,
    TagNotFoundError,
    VersionNotFoundError,
)
from tests.strategies import DATASET, START_MS, make_history, make_ref, make_snapshot

EMPTY = History(snapshots={}, refs={})

# Committed at 10:00:00, 10:00:01 … of 2026-02-15, one a second.
HISTORY = make_history(
    11,
    12,
    13,
    14,
    -7,
    tags={"production_2026_02_15": 12, "1234": 13, "12": 14, "latest": 11, "2026-02-15": 11, "main~1": 11, "a~b": 12},
    branches={"dev": 13, "tag:odd": 11},
)

NAMED = {
    "none at all": (None, -7),
    "empty": ("", -7),
    "only spaces": ("   ", -7),
    "latest": ("latest", -7),
    "spaces around": (" dev ", 13),
    "snapshot id": ("11", 11),
    "snapshot id with a sign": ("+11", 11),
    "negative snapshot id": ("-7", -7),
    "tag": ("production_2026_02_15", 12),
    "branch": ("dev", 13),
    "main": ("main", -7),
    "no steps back": ("main~0", -7),
    "steps back": ("main~3", 12),
    "to the root": ("main~4", 11),
    "steps with leading zeros": ("main~03", 12),
    "more zeros than 64 bits have digits": ("main~00000000000000000000003", 12),
    "steps back from a tag": ("production_2026_02_15~1", 11),
    "instant": ("2026-02-15T10:00:02Z", 13),
    "instant between two commits": ("2026-02-15T10:00:02.999Z", 13),
    "instant with an offset": ("2026-02-15T12:00:02+02:00", 13),
    "bare date after all": ("2026-02-16", -7),
    "tag by prefix": ("tag:production_2026_02_15", 12),
    "tag of digits": ("tag:1234", 13),
    "tag called latest": ("tag:latest", 11),
    "tag by prefix, steps back": ("tag:production_2026_02_15~1", 11),
    "branch by prefix": ("branch:dev", 13),
    "branch by prefix, steps back": ("branch:dev~2", 11),
    "branch whose name begins like a prefix": ("branch:tag:odd", 11),
    "snapshot by prefix": ("snapshot:-7", -7),
    "instant by prefix": ("at:2026-02-15T10:00:01Z", 12),
    "date by prefix": ("at:2026-02-16", -7),
}

PRECEDENCE = {
    "digits before a tag of that name": ("12", 12),
    "latest before a tag of that name": ("latest", -7),
    "exact ref before steps back": ("main~1", 11),
    "exact ref before a date": ("2026-02-15", 11),
    "ref with a tilde that counts nothing": ("a~b", 12),
    "prefix before an exact ref": ("tag:main~1", 11),
}


@pytest.mark.parametrize(("case", "text", "expected"), [(case, *row) for case, row in (NAMED | PRECEDENCE).items()])
def test_reference_names_its_snapshot(case, text, expected):
    assert resolve_text(text, HISTORY, DATASET).snapshot_id == expected


@pytest.mark.parametrize(
    ("case", "text", "uses_current_schema", "ref"),
    [
        ("latest", "latest", True, MAIN),
        ("branch", "dev", True, "dev"),
        ("branch by prefix", "branch:dev", True, "dev"),
        ("tag", "production_2026_02_15", False, "production_2026_02_15"),
        ("snapshot id", "11", False, None),
        ("steps back", "main~2", False, None),
        ("instant", "2026-02-15T10:00:02Z", False, None),
    ],
)
def test_only_latest_and_branches_use_the_current_schema(case, text, uses_current_schema, ref):
    version = resolve_text(text, HISTORY, DATASET)

    assert version.uses_current_schema is uses_current_schema
    assert (version.ref.name if version.ref else None) == ref


MALFORMED = {
    "zero": "0",
    "zero with a sign": "-0",
    "zeros": "000",
    "minus one": "-1",
    "2^63": str(2**63),
    "-2^63-1": str(-(2**63) - 1),
    "2^70": str(2**70),
    "thousands of digits": "9" * 299,
    "more than is read": "9" * 301,
    "huge": "x" * 10_000_000,
    "inner space": "my tag",
    "NUL": "a\x00b",
    "newline inside": "a\nb",
    "lone surrogate": "a\ud800b",
    "no-break space inside": "a\u00a0b",
    "right-to-left mark": "a\u200fb",
    "ref and nothing": "main~",
    "ref and negative steps": "main~-2",
    "ref and steps that are no number": "main~x",
    "ref and fractional steps": "main~1.5",
    "ref and too many steps": "main~1000001",
    "ref and steps beyond 64 bits": "main~99999999999999999999",
    "ref and thousands of digits": "main~" + "9" * 290,
    "tag of nothing": "tag:",
    "branch of nothing": "branch:",
    "snapshot of nothing": "snapshot:",
    "at nothing": "at:",
    "at nonsense": "at:nonsense",
    "at a ref": "at:main",
    "at a week": "at:2026-W07-1",
    "at digits": "at:20260215",
    "snapshot 1e3": "snapshot:1e3",
    "snapshot of a float": "snapshot:11.0",
    "snapshot with spaces": "snapshot: 11",
    "snapshot with underscores": "snapshot:1_1",
    "snapshot of digits that are not ASCII": "snapshot:１１",
    "snapshot in hexadecimal": "snapshot:0xb",
    "day that is none": "2026-02-30",
    "month that is none": "2026-13-01",
    "year 0": "0000-01-01",
    "date with more behind": "2026-02-15-x",
    "time without zone": "2026-02-15T10:00:00",
    "hour 24": "2026-02-15T24:00:00Z",
    "leap second": "2016-12-31T23:59:60Z",
    "offset of a day": "2026-02-15T10:00:00+24:00",
    "before the year 1 in UTC": "0001-01-01T00:00:00+00:01",
    "after the year 9999 in UTC": "9999-12-31T23:59:59-00:01",
}


@pytest.mark.parametrize(("case", "text"), MALFORMED.items(), ids=MALFORMED)
def test_malformed_reference_is_refused_as_such(case, text):
    with pytest.raises(InvalidReferenceError) as caught:
        resolve_text(text, HISTORY, DATASET)

    assert len(caught.value.message) < 700
    caught.value.message.encode()


UNKNOWN = {
    "snapshot id": "99",
    "largest id": str(INT64_MAX),
    "smallest id": str(INT64_MIN),
    "name": "nope",
    "name in unicode": "größe",
    "name in another script": "標籤",
    "1e3, which could be a tag": "1e3",
    "a float, which could be a tag": "1.5",
    "minus and no digits": "-",
    "digits that are not ASCII": "１２",
    "tilde without a ref": "~1",
    "steps back from an unknown ref": "nope~1",
    "more steps than ancestors": "main~5",
    "as many steps as are counted": "main~1000000",
    "a moment before the first commit": "2026-02-15T09:59:59.999999Z",
    "year 1": "0001-01-01",
    "first instant of the year 1": "0001-01-01T00:00:00Z",
}


@pytest.mark.parametrize(("case", "text"), UNKNOWN.items(), ids=UNKNOWN)
def test_well_formed_reference_to_nothing_is_not_found(case, text):
    with pytest.raises(VersionNotFoundError) as caught:
        resolve_text(text, HISTORY, DATASET)

    assert caught.value.fields["dataset"] == DATASET
    assert caught.value.fields["ref"] == text.lstrip("+")


def test_last_instant_of_the_year_9999_is_the_present():
    assert resolve_text("9999-12-31T23:59:59.999999Z", HISTORY, DATASET).snapshot_id == -7


@pytest.mark.parametrize(
    ("case", "text", "error", "ref", "suggestions"),
    [
        ("tag", "tag:production_2026_02_14", TagNotFoundError, "production_2026_02_14", ["production_2026_02_15"]),
        ("tag that is a branch", "tag:dev", TagNotFoundError, "dev", []),
        ("steps back from no tag", "tag:nope~1", TagNotFoundError, "nope", []),
        ("NUL in a tag", "tag:\x00", TagNotFoundError, "\x00", []),
        ("branch", "branch:def", BranchNotFoundError, "def", ["dev"]),
        ("branch that is a tag", "branch:1234", BranchNotFoundError, "1234", []),
        ("any", "production_2026_02_14", VersionNotFoundError, "production_2026_02_14", ["production_2026_02_15"]),
        ("steps back from any", "dew~1", VersionNotFoundError, "dew~1", ["dev"]),
    ],
)
def test_unknown_name_is_answered_with_the_closest_ones(case, text, error, ref, suggestions):
    with pytest.raises(error) as caught:
        resolve_text(text, HISTORY, DATASET)

    assert caught.value.fields == {"dataset": DATASET, "ref": ref, "suggestions": suggestions}


def test_unknown_digits_point_to_the_tag_of_that_name():
    with pytest.raises(VersionNotFoundError, match="tag:1234"):
        resolve_text("1234", HISTORY, DATASET)


@pytest.mark.parametrize(("case", "text"), [("nothing", None), ("latest", "latest"), ("main by prefix", "branch:main")])
def test_empty_table_has_no_latest(case, text):
    with pytest.raises(NoSnapshotError):
        resolve_text(text, EMPTY, DATASET)


@pytest.mark.parametrize(
    ("case", "text"), [("id", "5"), ("instant", "2026-02-15"), ("name", "dev"), ("steps back", "main~1")]
)
def test_empty_table_has_no_other_version(case, text):
    with pytest.raises(VersionNotFoundError):
        resolve_text(text, EMPTY, DATASET)


@pytest.mark.parametrize(
    ("case", "text"), [("id of a parent", "10"), ("id in the log", "9"), ("instant", "2026-02-15T09:00:00Z")]
)
def test_snapshot_that_the_history_only_remembers_is_expired(case, text):
    log = (LogEntry(timestamp_ms=START_MS - 7_200_000, snapshot_id=9), LogEntry(timestamp_ms=START_MS, snapshot_id=11))
    history = History(snapshots={11: make_snapshot(11, 10)}, refs={MAIN: make_ref(MAIN, 11, RefKind.BRANCH)}, log=log)

    with pytest.raises(SnapshotExpiredError) as caught:
        resolve_text(text, history, DATASET)

    assert caught.value.fields["ref"] in ("9", "10")


def test_steps_back_over_an_expired_parent_tell_how_far_is_known():
    history = History(
        snapshots={11: make_snapshot(11, 10), 12: make_snapshot(12, 11)},
        refs={MAIN: make_ref(MAIN, 12, RefKind.BRANCH)},
    )

    with pytest.raises(VersionNotFoundError, match="only 1 known ancestors"):
        resolve_text("main~2", history, DATASET)


@pytest.mark.parametrize(
    ("case", "microseconds"),
    [("on the commit", 1_001_000), ("just after", 1_001_001), ("the last before the next", 2_000_999)],
)
def test_instants_are_compared_to_the_millisecond(case, microseconds):
    # 1.001 s times 1000 is 1000.9999… in floats.
    log = (LogEntry(timestamp_ms=1001, snapshot_id=11), LogEntry(timestamp_ms=2001, snapshot_id=12))
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)

    assert resolve(VersionSelector(as_of=instant), make_history(11, 12, log=log), DATASET).snapshot_id == 11


def test_log_whose_clock_ran_backwards_ends_at_the_head():
    # Iceberg tolerates a minute between writers' clocks; its engines take the last entry that is not later.
    log = (
        LogEntry(timestamp_ms=START_MS, snapshot_id=11),
        LogEntry(timestamp_ms=START_MS + 10_000, snapshot_id=12),
        LogEntry(timestamp_ms=START_MS + 8_000, snapshot_id=13),
    )
    history = make_history(11, 12, 13, log=log)

    assert resolve_text("2026-02-16", history, DATASET).snapshot_id == 13
    assert resolve_text("2026-02-15T10:00:09Z", history, DATASET).snapshot_id == 13
    assert resolve_text("2026-02-15T10:00:07Z", history, DATASET).snapshot_id == 11


def test_log_with_a_tie_tells_the_later_entry():
    log = (LogEntry(timestamp_ms=START_MS, snapshot_id=12), LogEntry(timestamp_ms=START_MS, snapshot_id=11))

    assert resolve_text("2026-02-15T10:00:00Z", make_history(11, 12, log=log), DATASET).snapshot_id == 11


def test_moment_after_a_rollback_is_what_main_was_rolled_back_to():
    log = tuple(
        LogEntry(timestamp_ms=START_MS + 1000 * place, snapshot_id=snapshot_id)
        for place, snapshot_id in enumerate((11, 12, 11))
    )

    history = make_history(11, 12, log=log)

    assert resolve_text("2026-02-15T10:00:01Z", history, DATASET).snapshot_id == 12
    assert resolve_text("2026-02-15T10:00:02Z", history, DATASET).snapshot_id == 11


def test_clock_beyond_the_year_9999_is_told_as_a_number():
    history = make_history(11, log=(LogEntry(timestamp_ms=START_MS * 1000, snapshot_id=11),))

    with pytest.raises(VersionNotFoundError, match=str(START_MS * 1000)):
        resolve_text("2026-02-15", history, DATASET)


def test_log_that_is_missing_is_said_to_be():
    with pytest.raises(VersionNotFoundError, match="no history"):
        resolve_text("2026-02-15", make_history(11, log=()), DATASET)


@pytest.mark.parametrize(
    ("case", "selector", "expected"),
    [
        ("none", None, -7),
        ("text", VersionSelector(ref="main~1"), 11),
        ("empty text", VersionSelector(ref=""), -7),
        ("id", VersionSelector(snapshot_id=-7), -7),
        ("tag", VersionSelector(tag="latest"), 11),
        ("tag that looks like an id", VersionSelector(tag="12"), 14),
        ("branch", VersionSelector(branch="dev"), 13),
        ("instant", VersionSelector(as_of=datetime(2026, 2, 15, 10, 0, 1, tzinfo=UTC)), 12),
        (
            "instant elsewhere",
            VersionSelector(as_of=datetime(2026, 2, 15, 5, 0, 1, tzinfo=timezone(timedelta(hours=-5)))),
            12,
        ),
    ],
)
def test_selector_names_its_snapshot(case, selector, expected):
    assert resolve(selector, HISTORY, DATASET).snapshot_id == expected


@pytest.mark.parametrize(
    ("case", "selector", "given"),
    [
        ("nothing", VersionSelector(), []),
        ("two", VersionSelector(tag="a", branch="b"), ["tag", "branch"]),
        ("two that agree", VersionSelector(ref="11", snapshot_id=11), ["ref", "snapshot_id"]),
        ("an empty text and an id", VersionSelector(ref="", snapshot_id=11), ["ref", "snapshot_id"]),
    ],
)
def test_selector_with_more_or_less_than_one_field_is_ambiguous(case, selector, given):
    with pytest.raises(AmbiguousReferenceError) as caught:
        resolve(selector, HISTORY, DATASET)

    assert caught.value.fields == {"given": given}


@pytest.mark.parametrize(
    ("case", "selector", "error"),
    [
        ("id 0", VersionSelector(snapshot_id=0), InvalidReferenceError),
        ("id -1", VersionSelector(snapshot_id=-1), InvalidReferenceError),
        ("id 2^63", VersionSelector(snapshot_id=2**63), InvalidReferenceError),
        ("id of thousands of digits", VersionSelector(snapshot_id=10**5000), InvalidReferenceError),
        ("id of another table", VersionSelector(snapshot_id=99), VersionNotFoundError),
        ("empty tag", VersionSelector(tag=""), TagNotFoundError),
        ("huge tag", VersionSelector(tag="x" * 1_000_000), TagNotFoundError),
        ("branch for a tag", VersionSelector(branch="1234"), BranchNotFoundError),
        ("prefix in a tag", VersionSelector(tag="tag:1234"), TagNotFoundError),
        ("instant without zone", VersionSelector(as_of=datetime(2026, 2, 15)), InvalidReferenceError),  # noqa: DTZ001
        (
            "instant before the year 1 in UTC",
            VersionSelector(as_of=datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))),
            VersionNotFoundError,
        ),
    ],
)
def test_selector_of_nothing_is_refused(case, selector, error):
    with pytest.raises(error) as caught:
        resolve(selector, HISTORY, DATASET)

    assert len(caught.value.message) < 500


def test_tag_and_branch_of_one_kind_are_found_only_as_that():
    assert get_tag("1234", HISTORY, DATASET).snapshot_id == 13
    assert get_branch("dev", HISTORY, DATASET).snapshot_id == 13
    with pytest.raises(TagNotFoundError):
        get_tag(MAIN, HISTORY, DATASET)
    with pytest.raises(BranchNotFoundError):
        get_branch("latest", HISTORY, DATASET)
