"""Laws of version references and histories, over random tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from app.domain.history import History, RefKind
from app.domain.versions import (
    LATEST,
    VersionSelector,
    check_snapshot_id,
    parse_instant,
    parse_snapshot_id,
    resolve,
    resolve_text,
)
from app.errors import (
    AppError,
    Expired,
    Invalid,
    InvalidReferenceError,
    NotFound,
    SnapshotExpiredError,
    VersionNotFoundError,
)
from tests.strategies import (
    DATASET,
    START_MS,
    foreign_ref_names,
    histories,
    int64s,
)

MODERATE = settings(max_examples=30, deadline=None)

# Close to what the grammar knows, so that every rule and every slip of one is met.
reference_like = st.one_of(
    st.text(max_size=30),
    st.text(st.characters(), max_size=10),  # lone surrogates too
    st.from_regex(r"(tag:|branch:|snapshot:|at:)?[a-z0-9+\-~:.TZ ]{0,30}", fullmatch=True),
    st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9:.]{0,15}([Zz]|[+-][0-9:]{0,6})?)?", fullmatch=True),
    st.from_regex(r"main~[0-9]{0,30}", fullmatch=True),
)


@MODERATE
@given(history=histories(), data=st.data())
def test_every_snapshot_id_is_a_name_of_its_snapshot(history, data):
    snapshot_id = data.draw(st.sampled_from(sorted(history.snapshots)))

    for text in (str(snapshot_id), f"snapshot:{snapshot_id}"):
        assert resolve_text(text, history, DATASET).snapshot_id == snapshot_id
    assert resolve(VersionSelector(snapshot_id=snapshot_id), history, DATASET).snapshot_id == snapshot_id


@MODERATE
@given(history=histories(), data=st.data())
def test_steps_back_count_ancestors(history, data):
    name = data.draw(st.sampled_from(sorted(history.refs)))
    kind = history.refs[name].kind.value
    ancestors = [s.snapshot_id for s in history.ancestors(history.refs[name].snapshot_id)]

    for prefix in ("", f"{kind}:"):
        assert resolve_text(f"{prefix}{name}~0", history, DATASET).snapshot_id == history.refs[name].snapshot_id
        for steps, expected in enumerate(ancestors):
            assert resolve_text(f"{prefix}{name}~{steps}", history, DATASET).snapshot_id == expected
        with pytest.raises(VersionNotFoundError):
            resolve_text(f"{prefix}{name}~{len(ancestors)}", history, DATASET)


@MODERATE
@given(history=histories(names=foreign_ref_names), data=st.data())
def test_every_ref_of_any_engine_has_a_name_here(history, data):
    ref = data.draw(st.sampled_from(sorted(history.refs.values(), key=lambda ref: ref.name)))

    selector = VersionSelector(tag=ref.name) if ref.kind is RefKind.TAG else VersionSelector(branch=ref.name)

    assert resolve(selector, history, DATASET).ref == ref


@MODERATE
@given(history=histories(), offset_us=st.integers(-3_000_000, 9_000_000))
@example(history=History(snapshots={}, refs={}), offset_us=0)
def test_as_of_is_the_last_entry_of_the_log_that_is_not_later(history, offset_us):
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=START_MS, microseconds=offset_us)
    expected: int | None = None
    for entry in history.log:
        if entry.timestamp_ms * 1000 <= START_MS * 1000 + offset_us:
            expected = entry.snapshot_id

    for ask in (
        lambda: resolve(VersionSelector(as_of=instant), history, DATASET),
        lambda: resolve_text(f"at:{instant.isoformat()}", history, DATASET),
    ):
        if expected is None:
            with pytest.raises(VersionNotFoundError):
                ask()
        elif expected not in history.snapshots:
            with pytest.raises(SnapshotExpiredError):
                ask()
        else:
            assert ask().snapshot_id == expected


@settings(max_examples=120, deadline=None)
@given(text=reference_like, history=histories(min_snapshots=0))
@example(text="main~" + "9" * 200, history=History(snapshots={}, refs={}))
def test_any_text_names_a_snapshot_or_gets_a_typed_refusal(text, history):
    try:
        version = resolve_text(text, history, DATASET)
    except AppError as error:
        assert error.code in {
            "INVALID_REFERENCE",
            "VERSION_NOT_FOUND",
            "TAG_NOT_FOUND",
            "BRANCH_NOT_FOUND",
            "SNAPSHOT_EXPIRED",
            "NO_SNAPSHOT",
        }
        orjson.dumps({"message": error.message, **error.fields})
    else:
        assert version.snapshot_id in history.snapshots


@MODERATE
@given(history=histories(), name=st.from_regex(r"(tag:|branch:)?[a-z0-9_.]{1,12}(~[0-9])?", fullmatch=True))
def test_suggestions_are_refs_that_exist(history, name):
    try:
        resolve_text(name, history, DATASET)
    except (NotFound, Expired, Invalid) as error:
        suggestions = error.fields.get("suggestions", [])
        assert set(suggestions) <= {*history.refs, LATEST}
        assert len(suggestions) <= 3


@MODERATE
@given(number=st.one_of(int64s, st.integers(-(2**70), 2**70)))
@example(number=0)
@example(number=-1)
@example(number=2**63)
@example(number=-(2**63))
def test_snapshot_ids_round_trip_all_64_bits_and_nothing_else(number):
    if -(2**63) <= number < 2**63 and number not in (0, -1):
        assert parse_snapshot_id(str(number)) == check_snapshot_id(number) == number
    else:
        with pytest.raises(InvalidReferenceError):
            parse_snapshot_id(str(number))


@MODERATE
@given(instant=st.datetimes(timezones=st.timezones() | st.just(UTC)))
def test_every_instant_is_read_as_it_is_written(instant):
    # A zone's offset may have seconds, which RFC 3339 cannot write.
    assume(instant.utcoffset().seconds % 60 == 0)

    try:
        read = parse_instant(instant.isoformat())
    except InvalidReferenceError:
        with pytest.raises(OverflowError):
            instant.astimezone(UTC)
    else:
        assert read == instant.astimezone(UTC)


@MODERATE
@given(history=histories(min_snapshots=0))
def test_newest_first_is_every_snapshot_once_in_a_total_order(history):
    orders = [snapshot.order for snapshot in history.newest_first]

    assert orders == sorted(set(orders), reverse=True)
    assert {s.snapshot_id for s in history.newest_first} == set(history.snapshots)


@MODERATE
@given(history=histories(), data=st.data())
def test_ahead_and_behind_make_up_both_lineages(history, data):
    snapshot_id = data.draw(st.sampled_from(sorted(history.snapshots)))
    own = {s.snapshot_id for s in history.ancestors(snapshot_id)}

    ahead, behind = history.ahead_behind(snapshot_id)

    assert ahead - behind == len(own) - len(history.current_lineage)
    assert history.ahead_behind(history.head_id) == (0, 0)
