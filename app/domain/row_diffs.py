"""What two versions of a table differ in, row by row.

Two values are equal as Iceberg's own comparators have it (`org.apache.iceberg.types.Comparators`): null equals null and
nothing else, NaN equals NaN whatever its bits, -0.0 is not 0.0, texts and bytes are equal by their bytes, decimals by
their value, timestamps with a zone by the instant. Structs and lists are equal by their parts; maps, for which Iceberg
has no comparator, by their entries in any order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from app.domain.version_relation import DiffSide
from app.errors import InvalidArgumentError
from app.errors.base import JsonValue

DEFAULT_SAMPLE, MAX_SAMPLE = 10, 1000
# Sizes of samples that are looked for: an answer that was found once serves all that ask for no more.
KEPT_SAMPLES = (0, 10, 100, MAX_SAMPLE)
MAX_KEYS = 32

Row = Mapping[str, JsonValue]


class Method(StrEnum):
    """How it was found."""

    # The live files are the same, or what differs is on one side only: no data file was read to count.
    METADATA = "metadata"
    # Rows were joined by their key.
    KEYS = "keys"
    # Rows were counted as a multiset: no keys, or keys that identify no rows.
    MULTISET = "multiset"


class Engine(StrEnum):
    """Where rows were joined or counted."""

    # In this process's own, which reads no more than the files that differ.
    DUCKDB = "duckdb"
    # On a cluster, which read both versions whole.
    SPARK = "spark"


class KeyFault(StrEnum):
    """Why the keys that were to identify rows do not."""

    NOT_UNIQUE = "NOT_UNIQUE"
    HAS_NULL = "HAS_NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyProblem:
    """Keys that identify no rows, with an example; the rows are then counted as a multiset.

    The version compared to is looked at first. Where keys of both versions are at fault, `side` may be TO whichever way
    they are compared: then, and only then, swapping the versions need not swap the side.
    """

    fault: KeyFault
    side: DiffSide
    example: Row

    @property
    def message(self) -> str:
        """In words."""
        shown = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in self.example.items())
        what = "is on more than one row" if self.fault is KeyFault.NOT_UNIQUE else "has a null"
        where = "the version compared from" if self.side is DiffSide.FROM else "the version compared to"
        return f"The key ({shown}) {what} in {where}, so rows were compared as a multiset."


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChange:
    """A row whose key is in both versions and whose values differ, in the named columns."""

    key: Row
    before: Row
    after: Row
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSample:
    """The first of the rows that differ, in an order that does not change; `is_truncated` where there are more."""

    added: tuple[Row, ...] = ()
    removed: tuple[Row, ...] = ()
    changed: tuple[RowChange, ...] = ()
    is_truncated: bool = False

    def cut(self, size: int) -> RowSample:
        """The sample of this size, out of one that is not smaller, or has all rows."""
        return RowSample(
            added=self.added[:size],
            removed=self.removed[:size],
            changed=self.changed[:size],
            is_truncated=self.is_truncated or max(map(len, (self.added, self.removed, self.changed))) > size,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RowDiffRequest:
    """`keys` None means the table's identifier fields, and none of them to compare multisets.

    Raises:
        InvalidArgumentError: `sample_size` is not 0 to 1000; a key comes twice, or there are too many.
    """

    keys: tuple[str, ...] | None = None
    sample_size: int = DEFAULT_SAMPLE

    def __post_init__(self) -> None:
        if not 0 <= self.sample_size <= MAX_SAMPLE:
            raise InvalidArgumentError("sampleSize", f"{self.sample_size} is not between 0 and {MAX_SAMPLE}")
        if self.keys is None:
            return
        if len(self.keys) > MAX_KEYS:
            raise InvalidArgumentError("keys", f"there are {len(self.keys)} columns, at most {MAX_KEYS} make a key")
        if len(set(self.keys)) < len(self.keys):
            raise InvalidArgumentError("keys", "a column is named twice")

    @property
    def kept_sizes(self) -> tuple[int, ...]:
        """The sizes of samples that have all that is asked for, the least of them first: that is what is looked for."""
        return tuple(size for size in KEPT_SAMPLES if size >= self.sample_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowDiff:
    """The rows that two versions differ in.

    `rows_changed` is None where rows were compared as a multiset: a changed row is then one removed and one added.
    `keys_checked` is the number of rows among which keys were seen to be unique: those that were read, not all.
    `engine` is None where metadata told it.
    `not_compared` are columns that one of the versions has no more. `bytes_read` are those that it took to find this,
    of column chunks as the manifests tell, and of delete files whole.
    """

    rows_from: int
    rows_to: int
    rows_added: int
    rows_removed: int
    rows_changed: int | None
    keys: tuple[str, ...]
    sample: RowSample
    method: Method
    engine: Engine | None
    bytes_read: int
    files_read: int
    keys_checked: int = 0
    key_problem: KeyProblem | None = None
    not_compared: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether no row differs."""
        return not (self.rows_added or self.rows_removed or self.rows_changed)

    def with_sample(self, size: int) -> RowDiff:
        """The same with a sample of this size, which is not larger than its own, unless that has all rows."""
        return replace(self, sample=self.sample.cut(size))
