"""Who acts, and what every mutation carries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from app.domain.changes import (
    MAX_ACTOR_CHARS,
    MAX_IDEMPOTENCY_KEY_CHARS,
    MAX_REASON_CHARS,
    Actor,
    Change,
    ChangeKind,
    ChangeState,
    Command,
    DatasetSubject,
)
from app.domain.names import DatasetName
from app.errors import InvalidArgumentError

ADA = Actor(subject="ada")


@pytest.mark.parametrize(
    ("case", "given", "subject"),
    [
        ("plain", "ada", "ada"),
        ("spaces around", "  ada ", "ada"),
        ("unicode", "Ada Løve", "Ada Løve"),
        ("longest", "x" * MAX_ACTOR_CHARS, "x" * MAX_ACTOR_CHARS),
    ],
)
def test_actor_is_named(case, given, subject):
    assert Actor.checked(given) == Actor(subject=subject)


@pytest.mark.parametrize(
    ("case", "given"),
    [
        ("empty", ""),
        ("spaces", "  "),
        ("too long", "x" * (MAX_ACTOR_CHARS + 1)),
        ("NUL", "a\x00"),
        ("line break", "a\nb"),
        ("lone surrogate", "a\udc80"),
    ],
)
def test_bad_actor_is_refused(case, given):
    with pytest.raises(InvalidArgumentError) as caught:
        Actor.checked(given)

    assert caught.value.fields["argument"] == "actor"


@pytest.mark.parametrize(
    ("case", "reason", "key"),
    [
        ("neither", None, None),
        ("empty reason", "", None),
        ("reason of several lines", "wrong prices\nsee the review 🏷", None),
        ("longest", "x" * MAX_REASON_CHARS, "k" * MAX_IDEMPOTENCY_KEY_CHARS),
    ],
)
def test_command_carries_reason_and_key(case, reason, key):
    command = Command(actor=ADA, reason=reason, idempotency_key=key)

    assert (command.reason, command.idempotency_key) == (reason, key)


@pytest.mark.parametrize(
    ("case", "given", "argument"),
    [
        ("reason too long", {"reason": "x" * (MAX_REASON_CHARS + 1)}, "reason"),
        ("NUL in a reason", {"reason": "a\x00"}, "reason"),
        ("lone surrogate in a reason", {"reason": "a\ud800"}, "reason"),
        ("empty key", {"idempotency_key": ""}, "idempotencyKey"),
        ("key too long", {"idempotency_key": "x" * (MAX_IDEMPOTENCY_KEY_CHARS + 1)}, "idempotencyKey"),
        ("line break in a key", {"idempotency_key": "a\nb"}, "idempotencyKey"),
        ("lone surrogate in a key", {"idempotency_key": "\udfff"}, "idempotencyKey"),
    ],
)
def test_command_that_could_not_be_recorded_is_refused(case, given, argument):
    with pytest.raises(InvalidArgumentError) as caught:
        Command(actor=ADA, **given)

    assert caught.value.fields["argument"] == argument


def test_change_is_dated_by_its_end_once_there_is_one():
    begun = datetime(2026, 2, 15, 10, tzinfo=UTC)

    def change(settled_at: datetime | None) -> Change:
        return Change(
            change_id=UUID(int=1),
            kind=ChangeKind.TAG_CREATED,
            state=ChangeState.DONE if settled_at else ChangeState.INTENDED,
            subject=DatasetSubject(dataset=DatasetName.parse("bronze.orders"), table_uuid=UUID(int=2)),
            actor=ADA,
            reason=None,
            intended_at=begun,
            settled_at=settled_at,
        )

    assert change(None).at == begun
    assert change(begun + timedelta(seconds=1)).at == begun + timedelta(seconds=1)
