"""The check of rows: how many may go, and what counts as gone."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.domain.checks.results import CheckKind, CheckSubject, Finding
from app.domain.checks.rows import RowRules, check_rows
from app.domain.row_diffs import Engine, KeyFault, KeyProblem, Method, RowDiff, RowSample
from app.domain.version_relation import DiffSide
from app.errors import InvalidArgumentError

SUBJECT = CheckSubject(kind=CheckKind.ROWS, name="gold.t", before="a", after="b")


def difference(*, before: int = 1000, added: int = 0, removed: int = 0, changed: int | None = 0) -> RowDiff:
    return RowDiff(
        rows_from=before,
        rows_to=before + added - removed,
        rows_added=added,
        rows_removed=removed,
        rows_changed=changed,
        keys=("id",) if changed is not None else (),
        sample=RowSample(),
        method=Method.KEYS if changed is not None else Method.MULTISET,
        engine=Engine.DUCKDB,
        bytes_read=0,
        files_read=0,
    )


def test_ten_per_cent_exactly_may_go():
    assert check_rows(difference(removed=100), SUBJECT).findings == ()
    assert check_rows(difference(removed=100), SUBJECT).checked == 1000

    (finding,) = check_rows(difference(removed=101), SUBJECT).failures
    assert finding == Finding(subject="rows removed", message="101 of 1000 rows went (10.1 %), and 10 % are allowed")


@pytest.mark.parametrize(
    ("removed", "allowed", "told"),
    [
        (333, "0.3329", "(33.3 %), and 33.29 % are"),
        (1, "0.0009999", "(0.1 %), and 0.09999 % are"),
        (1, "0.0009999999", "(0.1 %), and 0.09999999 % are"),
    ],
)
def test_shares_are_told_so_that_they_differ(removed: int, allowed: str, told: str):
    (finding,) = check_rows(difference(removed=removed), SUBJECT, RowRules(max_removed=Decimal(allowed))).failures
    assert told in finding.message


def test_rows_that_came_do_not_make_up_for_those_that_went():
    assert not check_rows(difference(removed=500, added=5000), SUBJECT).passed


def test_a_changed_row_has_not_gone_where_a_key_says_so():
    assert check_rows(difference(changed=1000), SUBJECT).passed


def test_without_a_key_a_changed_row_has_gone_and_the_message_says_so():
    (finding,) = check_rows(difference(removed=200, added=200, changed=None), SUBJECT).findings

    assert finding.message.endswith("; without a key, a changed row counts as one that went")


@pytest.mark.parametrize(
    ("max_removed", "removed", "passed"),
    [("0", 0, True), ("0", 1, False), ("1", 1000, True), ("1E-999", 1, False), ("0.0999", 100, False)],
)
def test_the_share_that_may_go(max_removed: str, removed: int, passed: bool):
    assert check_rows(difference(removed=removed), SUBJECT, RowRules(max_removed=Decimal(max_removed))).passed is passed


def test_of_no_rows_none_can_go():
    assert check_rows(difference(before=0), SUBJECT, RowRules(max_removed=Decimal(0))).passed


def test_a_number_of_rows_may_be_asked_for():
    assert check_rows(difference(removed=100), SUBJECT, RowRules(min_rows=900)).passed

    (finding,) = check_rows(difference(removed=100), SUBJECT, RowRules(min_rows=901)).failures
    assert finding.message == "there are 900 rows, and there have to be at least 901"


@pytest.mark.parametrize("min_rows", [-1, 2**63])
def test_what_is_no_number_of_rows(min_rows: int):
    with pytest.raises(InvalidArgumentError):
        RowRules(min_rows=min_rows)


def test_a_key_that_identifies_no_rows_is_told_and_does_not_fail_by_itself():
    problem = KeyProblem(fault=KeyFault.NOT_UNIQUE, side=DiffSide.TO, example={"id": 5})
    diff = RowDiff(
        rows_from=4,
        rows_to=4,
        rows_added=0,
        rows_removed=0,
        rows_changed=None,
        keys=("id",),
        sample=RowSample(),
        method=Method.MULTISET,
        engine=Engine.DUCKDB,
        bytes_read=0,
        files_read=0,
        key_problem=problem,
    )

    result = check_rows(diff, SUBJECT)

    assert result.passed
    assert [(told.subject, told.message) for told in result.findings] == [("key", problem.message)]
