"""What keeps files from being joined by copying, in words for a report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ObstacleKind(StrEnum):
    """Why files cannot be joined as they are. They can be rewritten nevertheless, but for those that are broken."""

    ENCRYPTED = "encrypted"
    IN_OTHER_FILES = "column chunks in other files"
    OUT_OF_BOUNDS = "column chunks outside of the file"
    OLD_WRITER = "a writer with known errors"
    SCHEMA = "different schemas"
    COLUMN_ORDERS = "different column orders"
    STATISTICS = "statistics of some row groups alone"
    UNKNOWN_FIELDS = "fields that are not known"
    TOO_LARGE = "too much metadata"


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Why a file cannot be joined, or not with the one before it."""

    kind: ObstacleKind
    location: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.location}: {self.detail}"
