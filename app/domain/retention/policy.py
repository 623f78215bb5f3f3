"""How much history is kept: the policy, as someone states it for all tables or for one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.argument_checks import check_bool, check_count
from app.domain.datasets import is_production
from app.domain.names import DatasetName
from app.errors import InvalidArgumentError

# A hundred years. More is a slip of the pen, or days that were meant as milliseconds.
MAX_KEEP_DAYS = 36_500
MAX_KEEP_LAST_N = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """What is kept: a snapshot that any one of the rules holds for.

    `keep_last_n` counts along the ancestors of each branch, the head included; heads are kept also with 0. A snapshot
    is kept for `keep_days` of 24 hours, one of a production dataset for `production_keep_days`. With `keep_tagged` all
    that a tag names is kept while the tag is there; without it, a tag that is not protected goes with its snapshot.
    0 days expire all that is not kept otherwise: that takes `allow_zero_days`, for which a face asks its user.

    Raises:
        InvalidArgumentError: a field that is out of range or of another type, by its name in the GraphQL schema.
    """

    keep_last_n: int = 30
    keep_days: int = 90
    keep_tagged: bool = True
    production_keep_days: int = 730
    production_namespaces: tuple[str, ...] = ("gold", "platinum")
    allow_zero_days: bool = False

    def __post_init__(self) -> None:
        check_bool("allowZeroDays", self.allow_zero_days)
        least_days = 0 if self.allow_zero_days else 1
        check_count("keepLastN", self.keep_last_n, least=0, most=MAX_KEEP_LAST_N)
        check_count("keepDays", self.keep_days, least=least_days, most=MAX_KEEP_DAYS)
        check_count("productionKeepDays", self.production_keep_days, least=least_days, most=MAX_KEEP_DAYS)
        check_bool("keepTagged", self.keep_tagged)
        # Whoever gives a list means the same, and a frozen value must not hold one.
        object.__setattr__(self, "production_namespaces", _namespaces(self.production_namespaces))

    def is_production(self, name: DatasetName, properties: Mapping[str, str]) -> bool:
        """Whether a dataset is kept as a production one (`app.domain.datasets.is_production`)."""
        return is_production(name, properties, self.production_namespaces)


def _namespaces(given: object) -> tuple[str, ...]:
    # A text is a sequence too, and its letters are no namespaces.
    if not isinstance(given, tuple | list | set | frozenset):
        raise InvalidArgumentError("productionNamespaces", "a list of namespaces is needed")
    for namespace in given:
        if not isinstance(namespace, str) or not namespace.strip():
            raise InvalidArgumentError("productionNamespaces", f"{str(namespace)[:40]!r} is no namespace")
    return tuple(sorted(given)) if isinstance(given, set | frozenset) else tuple(given)
