"""How a reference names a version that is counted."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.numbered import NumberedHistory, NumberSelector, resolve_number
from app.errors import (
    AmbiguousReferenceError,
    AppError,
    InvalidReferenceError,
    TagNotFoundError,
    VersionNotFoundError,
)

HISTORY = NumberedHistory(
    owner="churn",
    owner_field="model",
    created_at={
        1: datetime(2026, 1, 1, tzinfo=UTC),
        2: datetime(2026, 2, 1, tzinfo=UTC),
        4: datetime(2026, 3, 1, tzinfo=UTC),
    },
    tags={"champion": 2, "2026-02-15": 1, "7": 4},
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (None, 4),
        ("", 4),
        ("latest", 4),
        ("1", 1),
        ("0002", 2),
        ("champion", 2),
        ("v2", 2),
        ("tag:champion", 2),
        ("tag:7", 4),
        ("latest~1", 2),
        ("latest~0", 4),
        ("champion~1", 1),
        ("2026-02-15", 1),
        ("at:2026-02-15", 2),
        ("2026-02-10", 2),
        ("2026-03-01T00:00:00Z", 4),
        ("2026-03-01T01:30:00+02:00", 2),
    ],
)
def test_a_text_names_a_version(text: str | None, number: int) -> None:
    assert resolve_number(text, HISTORY) == number


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("3", VersionNotFoundError),
        ("v3", VersionNotFoundError),
        ("v0", InvalidReferenceError),
        ("v99999999999", VersionNotFoundError),
        ("0", InvalidReferenceError),
        ("9" * 5000, InvalidReferenceError),
        ("-1", InvalidReferenceError),
        ("champoin", VersionNotFoundError),
        ("tag:champoin", TagNotFoundError),
        ("tag:", InvalidReferenceError),
        ("branch:main", InvalidReferenceError),
        ("snapshot:1", InvalidReferenceError),
        ("champion~2", VersionNotFoundError),
        ("latest~" + "9" * 300, InvalidReferenceError),
        ("latest~99999999999", VersionNotFoundError),
        ("nobody~1", VersionNotFoundError),
        ("2025-01-01", VersionNotFoundError),
        ("2026-02-31", InvalidReferenceError),
        ("2026-02-10T10:00:00", InvalidReferenceError),
        ("a b", InvalidReferenceError),
        ("x" * 301, InvalidReferenceError),
    ],
)
def test_a_text_that_names_none_is_told_why(text: str, error: type[AppError]) -> None:
    with pytest.raises(error):
        resolve_number(text, HISTORY)


@pytest.mark.parametrize("text", ["0", "-1", str(2**31), str(2**70)])
def test_a_number_out_of_range_is_told_as_it_was_asked_for(text: str) -> None:
    with pytest.raises(InvalidReferenceError) as caught:
        resolve_number(text, HISTORY)
    assert caught.value.fields["ref"] == text


def test_a_selector_has_one_field() -> None:
    assert resolve_number(NumberSelector(number=2), HISTORY) == 2
    assert resolve_number(NumberSelector(tag="champion"), HISTORY) == 2
    assert resolve_number(NumberSelector(as_of=datetime(2026, 2, 10, tzinfo=UTC)), HISTORY) == 2
    assert resolve_number(NumberSelector(ref="latest"), HISTORY) == 4
    for selector in (NumberSelector(), NumberSelector(number=1, tag="champion")):
        with pytest.raises(AmbiguousReferenceError):
            resolve_number(selector, HISTORY)
    for number in (0, -1, 2**31, 2**70):
        with pytest.raises(InvalidReferenceError):
            resolve_number(NumberSelector(number=number), HISTORY)


def test_nothing_has_no_latest_version() -> None:
    with pytest.raises(VersionNotFoundError):
        resolve_number(None, NumberedHistory(owner="new", owner_field="model", created_at={}))


@given(st.text(max_size=40))
def test_any_text_is_a_version_or_a_typed_error(text: str) -> None:
    try:
        number = resolve_number(text, HISTORY)
    except AppError:
        return
    assert number in HISTORY.created_at


def test_a_tag_comes_before_a_label() -> None:
    history = NumberedHistory(owner="churn", owner_field="model", created_at=HISTORY.created_at, tags={"v1": 4})
    assert resolve_number("v1", history) == 4


@pytest.mark.parametrize("owner_field", ["model", "pipelineId"])
@pytest.mark.parametrize("text", ["9", "nope", "tag:nope", "latest~9", "nope~1", "2025-01-01T00:00:00Z"])
def test_what_is_not_there_is_told_of_its_owner_by_the_right_name(owner_field: str, text: str) -> None:
    history = NumberedHistory(owner="churn", owner_field=owner_field, created_at=HISTORY.created_at)

    with pytest.raises((VersionNotFoundError, TagNotFoundError)) as refused:
        resolve_number(text, history)

    assert refused.value.fields[owner_field] == "churn"
    assert "dataset" not in refused.value.fields
