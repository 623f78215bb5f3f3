"""Which tables and partitions gain most by compaction, and how far a budget reaches."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, TypeVar

from app.domain.compaction.packing import Bin
from app.domain.compaction.policy import MIB, parse_megabytes
from app.domain.json_values import GREATEST_INTEGER
from app.errors import InvalidArgumentError

Of = TypeVar("Of")
_TIME = re.compile(r"\s*([0-9]{1,9})\s*(s|m|h)\s*")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True, kw_only=True)
class Benefit:
    """What compacting something does for its readers, and what it costs."""

    files_removed: int
    files_freed_of_deletes: int
    bytes_to_touch: int

    @property
    def score(self) -> Fraction:
        """Files that readers need not open or patch any more, for each byte that is read and written."""
        return Fraction(self.files_removed + self.files_freed_of_deletes, max(1, self.bytes_to_touch))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked(Generic[Of]):
    """Something with its benefit, by the name that it is told by."""

    name: str
    of: Of
    benefit: Benefit


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much a run may do; None is no limit.

    Bytes are what it may rewrite. Seconds are those since it began, with looking for what is to be done, after which it
    begins no other table than the best one; what is begun by then is done to its end.
    """

    size_bytes: int | None = None
    seconds: int | None = None


NO_LIMIT = Budget()


def benefit_of(bins: Iterable[Bin]) -> Benefit:
    """The benefit of carrying out these bins."""
    known = list(bins)
    return Benefit(
        files_removed=sum(some.files_saved for some in known),
        files_freed_of_deletes=sum(file.has_deletes for some in known for file in some.files),
        bytes_to_touch=sum(some.size_bytes for some in known),
    )


def best_bins(bins: Iterable[Bin], limit: int) -> list[Bin]:
    """So many bins at most: those that make most files fewer first, of equal ones in their order."""
    return heapq.nsmallest(limit, bins, key=lambda some: -some.files_saved)


def rank(candidates: Iterable[Ranked[Of]]) -> list[Ranked[Of]]:
    """The best first; of equal ones the one that removes more files, then by name."""
    return sorted(candidates, key=lambda each: (-each.benefit.score, -each.benefit.files_removed, each.name))


def affordable(ranked: Iterable[Ranked[Of]], budget: Budget) -> tuple[list[Ranked[Of]], list[Ranked[Of]]]:
    """The best that the bytes of a budget are enough for, and the others.

    Ends with the first that does not fit any more, so that a small gain is never preferred to a large one that was to
    be next. What no budget of this size is ever enough for keeps nobody back.
    """
    known = list(ranked)
    if budget.size_bytes is None:
        return known, []
    taken: list[Ranked[Of]] = []
    left: list[Ranked[Of]] = []
    spent, is_spent = 0, False
    for each in known:
        size_bytes = each.benefit.bytes_to_touch
        is_spent = is_spent or budget.size_bytes >= size_bytes > budget.size_bytes - spent
        if is_spent or size_bytes > budget.size_bytes:
            left.append(each)
        else:
            spent += size_bytes
            taken.append(each)
    return taken, left


def parse_budget(text: str) -> Budget:
    """A budget such as `10GB` or `30m`.

    Raises:
        InvalidArgumentError: it is neither, nothing, or too much to be counted; or `30M`, which may mean both.
    """
    if re.fullmatch(r"\s*[0-9]+\s*M\s*", text):
        raise InvalidArgumentError("budget", f"{text[:40]!r} may mean minutes or megabytes; write 30m or 30MB")
    found = _TIME.fullmatch(text.lower())
    if found is not None:
        seconds = int(found[1]) * _SECONDS[found[2]]
        size_bytes = None
    else:
        try:
            megabytes = parse_megabytes("budget", text)
        except InvalidArgumentError:
            megabytes = None
        if megabytes is None or not re.search(r"[A-Za-z]", text):
            raise InvalidArgumentError(
                "budget", f"an amount of data such as 10GB or a time such as 30m is needed, not {text[:40]!r}"
            )
        seconds, size_bytes = None, megabytes * MIB
        if size_bytes > GREATEST_INTEGER:
            raise InvalidArgumentError("budget", f"{text[:40]!r} is more than can be counted")
    if (seconds if size_bytes is None else size_bytes) in (None, 0) or (size_bytes or 0) < 0:
        raise InvalidArgumentError("budget", f"{text[:40]!r} is nothing to do anything with")
    return Budget(size_bytes=size_bytes, seconds=seconds)
