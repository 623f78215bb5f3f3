"""The check of a schema: what was read yesterday can be read tomorrow.

It fails where a field of the earlier version, a column or one nested in it, is

- removed, or renamed: who asks for it by name finds nothing;
- replaced, which is dropped and added again: what was written before is not read any more;
- of another type that Iceberg does not read the old values as: a narrower one, or one of another kind. What is promoted
  as the spec allows ("Schema Evolution") passes, but for a date under a partition transform, for which it does not.

All else that breaks readers or writers by the rules of `app.domain.schema_changes` is told, and fails only where that
is asked for: nulls that may come, a required field without a default, another initial default, other identifier fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import chain

from app.domain.checks.results import CheckResult, CheckSubject, Finding
from app.domain.schema_changes import SchemaChange, SchemaChangeKind
from app.domain.schema_diff import SchemaDiff
from app.domain.versions import closest
from app.errors import UnknownColumnError

_LOST = frozenset(
    {
        SchemaChangeKind.REMOVED,
        SchemaChangeKind.RENAMED,
        SchemaChangeKind.REPLACED,
        SchemaChangeKind.TYPE_CHANGED,
    }
)
IDENTIFIERS = "identifier fields"


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaRules:
    """`allowed` are fields by path, in either version, of which any change is let through, with what is nested in them.

    With `fails_on_breaking` everything that breaks readers or writers is a failure.
    """

    allowed: tuple[str, ...] = ()
    fails_on_breaking: bool = False


def check_schema(diff: SchemaDiff, subject: CheckSubject, rules: SchemaRules | None = None) -> CheckResult:
    """Whether programs that know the earlier version can do with the later one.

    Raises:
        UnknownColumnError: a field is allowed that neither version has. So nothing is let through by a typing error,
            nor for longer than it was meant to be.
    """
    rules = rules or SchemaRules()
    allowed = _allowed_paths(diff, subject, rules.allowed)
    findings = list(chain.from_iterable(_findings(change, rules, allowed) for change in diff.changes))
    if diff.breaks_upserts is not None:
        message = f"{diff.breaks_upserts} (breaks writers)"
        findings.append(Finding(subject=IDENTIFIERS, message=message, is_failure=rules.fails_on_breaking))
    return CheckResult(subject=subject, checked=sum(1 for _ in diff.before.schema.walk()), findings=tuple(findings))


def _findings(change: SchemaChange, rules: SchemaRules, allowed: Set[str]) -> Iterator[Finding]:
    is_allowed = any(field is not None and field.path in allowed for field in (change.before, change.after))
    is_failure = (change.kind in _LOST or rules.fails_on_breaking) and not is_allowed
    # What breaks both is mostly told of both in the same words.
    broken: dict[str, list[str]] = {}
    for whom, reason in (("readers", change.breakage.readers), ("writers", change.breakage.writers)):
        if reason is not None:
            broken.setdefault(reason, []).append(whom)
    for reason, whom_all in broken.items():
        message = f"{reason} (breaks {' and '.join(whom_all)})" + (", which is allowed" if is_allowed else "")
        yield Finding(subject=change.path, message=message, is_failure=is_failure)


def _allowed_paths(diff: SchemaDiff, subject: CheckSubject, names: Sequence[str]) -> Set[str]:
    fields = [field for version in (diff.before, diff.after) for field in version.schema.walk()]
    known = {field.path for field in fields}
    for name in names:
        if name not in known:
            raise UnknownColumnError(subject.name, name[:120], closest(name, sorted(known)))
    return {below.path for field in fields if field.path in names for below in field.walk()}
