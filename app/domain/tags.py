"""What tag names mean: conventions, protection, and which names are allowed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from app.domain.history import MAIN
from app.domain.versions import LATEST
from app.errors import InvalidNameError

MAX_REF_NAME_CHARS = 128


class TagConvention(StrEnum):
    """The conventions that this project recognises."""

    PRODUCTION = "PRODUCTION"
    PRE_MIGRATION = "PRE_MIGRATION"
    MODEL_TRAINING = "MODEL_TRAINING"
    AUDIT = "AUDIT"
    GOLD_VALIDATED = "GOLD_VALIDATED"
    PRE_ROLLBACK = "PRE_ROLLBACK"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConventionRule:
    """One convention: its form as people write it, what it protects, and whether it needs `force` to change."""

    convention: TagConvention
    form: str
    protects: str
    pattern: re.Pattern[str]
    is_protected: bool = False


CONVENTIONS: tuple[ConventionRule, ...] = (
    ConventionRule(
        convention=TagConvention.PRODUCTION,
        form="production_YYYY_MM_DD",
        protects="a state that was released to production",
        pattern=re.compile(r"production_([0-9]{4})_([0-9]{2})_([0-9]{2})"),
        is_protected=True,
    ),
    ConventionRule(
        convention=TagConvention.PRE_MIGRATION,
        form="pre_migration_<feature>",
        protects="the state before a migration",
        pattern=re.compile(r"pre_migration_[\w.\-]+"),
    ),
    ConventionRule(
        convention=TagConvention.MODEL_TRAINING,
        form="model_training_v<version> or model_training_<model>_v<version>",
        protects="the data a model version was trained on",
        pattern=re.compile(r"model_training_(?:[\w.\-]+_)?v[0-9][\w.\-]*"),
    ),
    ConventionRule(
        convention=TagConvention.AUDIT,
        form="audit_Q<quarter>_YYYY",
        protects="what was reported for a quarter",
        pattern=re.compile(r"audit_Q[1-4]_[0-9]{4}"),
        is_protected=True,
    ),
    ConventionRule(
        convention=TagConvention.GOLD_VALIDATED,
        form="gold_validated_YYYY_MM_DD",
        protects="a state that passed validation",
        pattern=re.compile(r"gold_validated_([0-9]{4})_([0-9]{2})_([0-9]{2})"),
    ),
    ConventionRule(
        convention=TagConvention.PRE_ROLLBACK,
        form="pre_rollback_<UTC timestamp>_<snapshot id>",
        protects="the state that a rollback left, so that it can be undone",
        pattern=re.compile(r"pre_rollback_[0-9]{8}T[0-9]{6,9}Z_-?[0-9]+"),
    ),
)

# Everything that starts so is protected even where the rest of the name does not follow the form: a slip of the
# pen in a production tag must not make it fair game.
_PROTECTED_PREFIXES = {"production_": "production tag", "audit_": "audit tag", "hold_": "hold"}

_ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-/]*")
# A name is split at its digits and punctuation before it is looked up here, so "v2" is found as "v".
# fmt: off
_AMBIGUOUS_WORDS = frozenset({
    "backup", "bak", "copy", "current", "final", "good", "latest", "new", "old", "prev", "previous", "prod", "release",
    "safe", "save", "stable", "tag", "temp", "test", "tmp", "v", "version", "working",
})
# fmt: on


def find_convention(name: str) -> TagConvention | None:
    """The convention that a name follows, None where it follows none. A date in it must be a real one."""
    for rule in CONVENTIONS:
        match = rule.pattern.fullmatch(name)
        if match and (not match.groups() or _is_date(match.groups())):
            return rule.convention
    return None


def find_protection(name: str, *, is_requested: bool = False) -> str | None:
    """Why a tag may not be moved or removed without `force`; None where it may."""
    for prefix, why in _PROTECTED_PREFIXES.items():
        if name.startswith(prefix):
            return why
    return "asked for when it was set" if is_requested else None


def check_ref_name(kind: str, name: str) -> str:
    """The name itself, once it may be given to a new tag or branch.

    Narrower than Iceberg, which takes any text: these characters need no quoting in SQL, URLs and shells.

    Raises:
        InvalidNameError: empty, too long, reserved, or with a character that is not allowed.
    """
    if not name:
        raise InvalidNameError(kind, name, "it is empty")
    if len(name) > MAX_REF_NAME_CHARS:
        raise InvalidNameError(kind, name, f"it has {len(name)} characters, at most {MAX_REF_NAME_CHARS} are allowed")
    if name in (MAIN, LATEST):
        raise InvalidNameError(kind, name, f"{name!r} is reserved")
    if not _ALLOWED.fullmatch(name):
        raise InvalidNameError(
            kind, name, "use letters a-z and A-Z, digits and _ . - / only, and begin with a letter or a digit"
        )
    return name


def warnings_for(name: str) -> list[str]:
    """What is doubtful about a name that is allowed: empty for a good one."""
    if find_convention(name):
        return []
    found: list[str] = []
    lowered = name.lower()
    if lowered.isdigit():
        found.append(f"{name!r} reads as a snapshot id; refer to it as tag:{name}.")
    if _is_date_like(name):
        found.append(f"{name!r} reads as a date, and comes before it; the date itself is then written at:{name}.")
    words = [word for word in re.split(r"[_.\-/0-9]+", lowered) if word]
    if words and all(word in _AMBIGUOUS_WORDS for word in words):
        forms = ", ".join(rule.form for rule in CONVENTIONS if rule.convention is not TagConvention.PRE_ROLLBACK)
        found.append(f"{name!r} does not say what it is for. Conventions: {forms}.")
    for rule in CONVENTIONS:
        literal = re.match(r"[a-z_]+_", rule.form)
        if literal and name.startswith(literal.group()):
            found.append(f"{name!r} begins like the convention {rule.form} but does not follow it.")
    return found


def _is_date_like(name: str) -> bool:
    match = re.fullmatch(r"(\d{4})-(\d{2})-(\d{2})", name, re.ASCII)
    return match is not None and _is_date(match.groups())


def _is_date(parts: tuple[str, ...]) -> bool:
    try:
        date(*(int(part) for part in parts))
    except ValueError:
        return False
    return True
