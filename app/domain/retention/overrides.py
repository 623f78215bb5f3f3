"""What a table's own properties make of a policy: of each setting, whichever keeps more wins.

| property                               | value                | is                                               |
|----------------------------------------|----------------------|--------------------------------------------------|
| `retention.keep-last-n`                | 0 to 1,000,000       | `keep_last_n`                                    |
| `retention.keep-days`                  | 1 to 36,500          | `keep_days`                                      |
| `retention.keep-tagged`                | true, false          | `keep_tagged`                                    |
| `retention.production-keep-days`       | 1 to 36,500          | `production_keep_days`                           |
| `retention.production`                 | true, false          | true: kept as production, wherever the table is  |
| `gc.enabled`                           | true, anything else  | all but true: nothing expires, no file goes      |
| `history.expire.min-snapshots-to-keep` | 32-bit integer       | Iceberg's count for branches that set none       |
| `history.expire.max-snapshot-age-ms`   | 64-bit integer       | Iceberg's age for branches that set none         |
| `history.expire.max-ref-age-ms`        | 64-bit integer       | Iceberg's age for tags, without `keep_tagged`    |

Iceberg's own settings count only where a table has them: its defaults are what engines do where nobody said anything.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from app.domain.datasets import PRODUCTION_PROPERTY
from app.domain.retention.iceberg import IcebergSettings
from app.domain.retention.policy import MAX_KEEP_DAYS, MAX_KEEP_LAST_N, RetentionPolicy
from app.domain.versions import INT64_MAX
from app.errors import InvalidTablePropertyError

KEEP_LAST_N = "retention.keep-last-n"
KEEP_DAYS = "retention.keep-days"
KEEP_TAGGED = "retention.keep-tagged"
PRODUCTION_KEEP_DAYS = "retention.production-keep-days"
PRODUCTION = "retention.production"
OVERRIDES = (KEEP_LAST_N, KEEP_DAYS, KEEP_TAGGED, PRODUCTION_KEEP_DAYS, PRODUCTION)
GC_ENABLED = "gc.enabled"
MIN_SNAPSHOTS_TO_KEEP = "history.expire.min-snapshots-to-keep"
MAX_SNAPSHOT_AGE_MS = "history.expire.max-snapshot-age-ms"
MAX_REF_AGE_MS = "history.expire.max-ref-age-ms"
_PREFIX = "retention."
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_INT32_MAX = 2**31 - 1

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRules:
    """What holds for one table: the policy with what its properties add, and Iceberg's settings where they are set.

    `without_effect` are the properties, as `name=value`, that ask for less than is kept anyway.
    """

    policy: RetentionPolicy
    is_production: bool
    is_gc_enabled: bool = True
    iceberg: IcebergSettings = field(default_factory=IcebergSettings)
    without_effect: tuple[str, ...] = ()


def rules_of_table(policy: RetentionPolicy, properties: Mapping[str, str], *, is_production: bool) -> TableRules:
    """The rules of a table; `is_production` is what its namespace and `stratigraph.production` say.

    Raises:
        InvalidTablePropertyError: a property with a value that it cannot have, or that is but a slip of the pen away
            from one of these: whoever wrote it wants something kept.
    """
    _check_names(properties)
    # Elsewhere what is none of these counts as not said, which would have a production table kept for less long.
    _read(properties, PRODUCTION_PROPERTY, _boolean)
    keep_last_n = _read(properties, KEEP_LAST_N, _count(0, MAX_KEEP_LAST_N))
    keep_days = _read(properties, KEEP_DAYS, _count(1, MAX_KEEP_DAYS))
    production_keep_days = _read(properties, PRODUCTION_KEEP_DAYS, _count(1, MAX_KEEP_DAYS))
    keep_tagged = _read(properties, KEEP_TAGGED, _boolean)
    production = _read(properties, PRODUCTION, _boolean)
    # Each property beside what holds without it: where it is less, it has no effect.
    asked: dict[str, tuple[int | None, int]] = {
        KEEP_LAST_N: (keep_last_n, policy.keep_last_n),
        KEEP_DAYS: (keep_days, policy.keep_days),
        KEEP_TAGGED: (keep_tagged, policy.keep_tagged),
        PRODUCTION_KEEP_DAYS: (production_keep_days, policy.production_keep_days),
        PRODUCTION: (production, is_production),
    }
    return TableRules(
        policy=replace(
            policy,
            keep_last_n=max(policy.keep_last_n, keep_last_n or 0),
            keep_days=max(policy.keep_days, keep_days or 0),
            keep_tagged=policy.keep_tagged or bool(keep_tagged),
            production_keep_days=max(policy.production_keep_days, production_keep_days or 0),
        ),
        is_production=is_production or bool(production),
        is_gc_enabled=is_gc_enabled(properties),
        iceberg=IcebergSettings(
            min_snapshots_to_keep=_read(properties, MIN_SNAPSHOTS_TO_KEEP, _count(-_INT32_MAX - 1, _INT32_MAX)),
            max_snapshot_age_ms=_read(properties, MAX_SNAPSHOT_AGE_MS, _count(-INT64_MAX - 1, INT64_MAX)),
            max_ref_age_ms=_read(properties, MAX_REF_AGE_MS, _count(-INT64_MAX - 1, INT64_MAX)),
        ),
        without_effect=tuple(
            f"{name}={properties[name]}" for name, (own, known) in asked.items() if own is not None and own < known
        ),
    )


def is_gc_enabled(properties: Mapping[str, str]) -> bool:
    """Whether files of a table may go: all but `true` says no, as Iceberg's own reading of the property has it."""
    return properties.get(GC_ENABLED, "true").strip().lower() == "true"


def _check_names(properties: Mapping[str, str]) -> None:
    for name in properties:
        if name.startswith(_PREFIX) and name not in OVERRIDES:
            known = [override.removeprefix(_PREFIX) for override in OVERRIDES]
            near = difflib.get_close_matches(name.removeprefix(_PREFIX)[:60], known, n=1, cutoff=0.8)
            # What is not near any is some other system's.
            if near:
                meant = _PREFIX + near[0]
                raise InvalidTablePropertyError(
                    name, properties[name], f"there is no such property; did you mean {meant!r}?"
                )


def _read(properties: Mapping[str, str], name: str, parse: Callable[[str], _T]) -> _T | None:
    text = properties.get(name)
    if text is None:
        return None
    try:
        return parse(text.strip())
    except ValueError as error:
        raise InvalidTablePropertyError(name, text, str(error)) from error


def _count(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not _INTEGER.fullmatch(text) or not least <= int(text) <= most:
            raise ValueError(f"a whole number from {least} to {most} is needed")
        return int(text)

    return parse


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("true or false is needed")
    return text.lower() == "true"
