"""The check of rows: not more of them went than may go.

A row *went* when it is in the earlier version and not in the later one. Where rows have a key, that is a row whose key
is gone; one whose other values changed has not gone. Without a key, or with one that turns out to identify no rows,
nobody can tell a changed row from one that was removed and another that was added, so that it counts as gone. Rows that
came do not make up for others that went: a table whose rows were all replaced by as many others has lost all of them.

The share is that of the rows of the earlier version. Of a version without rows none can go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from app.domain.checks.results import CheckResult, CheckSubject, Finding
from app.domain.row_diffs import Method, RowDiff
from app.errors import InvalidArgumentError

DEFAULT_MAX_REMOVED = Decimal("0.1")
MAX_ROWS = 2**63 - 1
REMOVED, TOTAL, KEY = "rows removed", "rows", "key"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRules:
    """`max_removed` is the share of the earlier version's rows that may go, exactly so much included.

    It is a fraction that `app.domain.metrics_diff.check_threshold` has let through. `min_rows` is how many rows the
    later version has to have.

    Raises:
        InvalidArgumentError: `min_rows` is no number of rows.
    """

    max_removed: Decimal = DEFAULT_MAX_REMOVED
    min_rows: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.min_rows <= MAX_ROWS:
            raise InvalidArgumentError("minRows", f"{self.min_rows} is not between 0 and {MAX_ROWS}")


def check_rows(diff: RowDiff, subject: CheckSubject, rules: RowRules | None = None) -> CheckResult:
    """Whether the later version still has the rows of the earlier one, but for as many as may go."""
    return CheckResult(subject=subject, checked=diff.rows_from, findings=tuple(_findings(diff, rules or RowRules())))


def _findings(diff: RowDiff, rules: RowRules) -> Iterator[Finding]:
    # Exact: ten of a hundred are ten per cent, and pass.
    if diff.rows_removed > Fraction(rules.max_removed) * diff.rows_from:
        went, allowed = _told_apart(100 * diff.rows_removed / diff.rows_from, float(rules.max_removed * 100))
        message = f"{diff.rows_removed} of {diff.rows_from} rows went ({went} %), and {allowed} % are allowed"
        if diff.method is Method.MULTISET:
            message += "; without a key, a changed row counts as one that went"
        yield Finding(subject=REMOVED, message=message)
    if diff.rows_to < rules.min_rows:
        message = f"there are {diff.rows_to} rows, and there have to be at least {rules.min_rows}"
        yield Finding(subject=TOTAL, message=message)
    if diff.key_problem is not None:
        yield Finding(subject=KEY, message=diff.key_problem.message, is_failure=False)


def _told_apart(percent: float, other: float) -> tuple[str, str]:
    """Both in as few digits as show that they differ, four at least."""
    told = ("", "")
    for digits in range(4, 18):
        told = (f"{percent:.{digits}g}", f"{other:.{max(6, digits)}g}")
        if float(told[0]) != float(told[1]):
            break
    return told
