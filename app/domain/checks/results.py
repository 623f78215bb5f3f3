"""What a check comes to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CheckKind(StrEnum):
    """What of two versions is checked."""

    SCHEMA = "schema"
    ROWS = "rows"
    MODEL = "model"


# What a check of each kind looks at, and counts.
LOOKED_AT = {CheckKind.SCHEMA: "fields", CheckKind.ROWS: "rows", CheckKind.MODEL: "metrics"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSubject:
    """What is checked: two versions of a dataset or a model, named as they were asked for."""

    kind: CheckKind
    name: str
    before: str
    after: str

    @property
    def title(self) -> str:
        """In words."""
        looked_at = self.kind.value if self.kind is not CheckKind.MODEL else LOOKED_AT[self.kind]
        return f"{looked_at} of {self.name} from {self.before} to {self.after}"


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
    """Whether a check passed, and why not. `checked` is how many things were looked at (`LOOKED_AT`)."""

    subject: CheckSubject
    checked: int
    findings: tuple[Finding, ...] = ()

    @property
    def name(self) -> str:
        """What was checked, in words."""
        return self.subject.title

    @property
    def passed(self) -> bool:
        """Whether nothing that was found is a failure."""
        return not self.failures

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The findings for which it did not pass."""
        return tuple(finding for finding in self.findings if finding.is_failure)
