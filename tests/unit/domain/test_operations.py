"""How operations may stand, and what is kept of what they say."""

from __future__ import annotations

import math
from itertools import product

import pytest

from app.domain.operations import (
    MAX_MESSAGE_CHARS,
    OPEN,
    OperationFailure,
    OperationStatus,
    Standing,
)
from app.errors import DatasetNotFoundError

QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED = OperationStatus


def test_what_has_ended_stays_so() -> None:
    assert OPEN == (QUEUED, RUNNING)
    for before, after in product(OperationStatus, OperationStatus):
        if before.is_ended:
            assert not before.may_become(after)
    assert {after for after in OperationStatus if RUNNING.may_become(after)} == set(OperationStatus)


def test_what_waits_neither_succeeds_nor_fails() -> None:
    assert {after for after in OperationStatus if QUEUED.may_become(after)} == {RUNNING, CANCELLED}


@pytest.mark.parametrize(
    ("told", "kept"), [(0.5, 0.5), (-1, 0), (1.0000001, 1), (math.nan, 0), (math.inf, 1), (-math.inf, 0)]
)
def test_progress_is_from_0_to_1(told: float, kept: float) -> None:
    assert Standing().advanced(told, None).progress == kept


@pytest.mark.parametrize(
    ("case", "told", "kept"),
    [
        ("plain", "half", "half"),
        ("NUL", "a\x00b", "a\ufffdb"),
        ("surrogate", "a\ud800", "a\\ud800"),
        ("just fits", "x" * MAX_MESSAGE_CHARS, "x" * MAX_MESSAGE_CHARS),
        ("too long", "x" * (MAX_MESSAGE_CHARS + 1), "x" * (MAX_MESSAGE_CHARS - 1) + "…"),
    ],
)
def test_a_message_can_be_kept(case: str, told: str, kept: str) -> None:
    assert Standing().advanced(0, told).message == kept, case


def test_the_failure_of_an_error_has_its_facts() -> None:
    failure = OperationFailure.of(DatasetNotFoundError("a\x00b", ["ab"]))

    assert (failure.code, failure.fields["suggestions"]) == ("DATASET_NOT_FOUND", ["ab"])


def test_progress_does_not_go_back_and_keeps_the_last_word() -> None:
    standing = Standing().advanced(0.5, "half").advanced(0.25, None)

    assert standing == Standing(progress=0.5, message="half")
