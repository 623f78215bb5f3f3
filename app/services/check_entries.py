"""What a check came to as plain data: the shape that the command line and Python answer with."""

from __future__ import annotations

from typing import TypedDict

from app.domain.checks.results import CheckResult


class FindingEntry(TypedDict):
    """Something that a check found; what is no failure is only told."""

    subject: str
    message: str
    failure: bool


class CheckEntry(TypedDict):
    """What a check came to; `checked` is how many fields, rows or metrics of the earlier version were looked at."""

    check: str
    name: str
    from_version: str
    to_version: str
    passed: bool
    checked: int
    findings: list[FindingEntry]


def check_entry(result: CheckResult) -> CheckEntry:
    """A check as plain data."""
    subject = result.subject
    return CheckEntry(
        check=subject.kind.value,
        name=subject.name,
        from_version=subject.before,
        to_version=subject.after,
        passed=result.passed,
        checked=result.checked,
        findings=[
            FindingEntry(subject=finding.subject, message=finding.message, failure=finding.is_failure)
            for finding in result.findings
        ],
    )
