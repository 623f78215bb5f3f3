"""What carries plans of compaction out, and what of a table may keep it from that."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CompactionEngine(StrEnum):
    """What carries a plan out."""

    LOCAL = "local"
    # Iceberg's own procedure, in a Spark that is there.
    SPARK = "spark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """A feature of a table that an engine would not do justice to, and why."""

    feature: str
    reason: str
