"""What a check comes to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a check found: what it is about (a metric, a column), and a sentence for people.

    One that is no failure is only told.
    """

    subject: str
    message: str
    is_failure: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """Whether a check passed, and why not. `checked` is how many things were looked at."""

    name: str
    checked: int
    findings: tuple[Finding, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing that was found is a failure."""
        return not self.failures

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The findings for which it did not pass."""
        return tuple(finding for finding in self.findings if finding.is_failure)
