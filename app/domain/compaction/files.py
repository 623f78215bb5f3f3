"""What a plan of compaction has to know of a table's live files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from app.domain.live_files import LiveFile


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A partition of one spec, in which alone files may be brought together.

    `values` tells its values apart from those of any other one of the spec; `partition` is how it is shown, as Iceberg
    writes paths, which is the same for a null and for the text "null".
    """

    spec_id: int = 0
    values: str = ""
    partition: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFile:
    """A live data file with the delete files that apply to it, as far as manifests tell.

    `is_left_alone` says why it cannot be brought together with others, if it cannot: another format than Parquet, or
    being in the table more than once. `is_asked_for` says that it is to be rewritten whatever its size.
    """

    file: LiveFile
    size_bytes: int
    rows: int
    place: Place = Place()
    is_left_alone: str | None = None
    is_asked_for: bool = False

    @property
    def has_deletes(self) -> bool:
        """Whether rows of it are deleted in other files."""
        return bool(self.file.deletes)

    @property
    def order(self) -> tuple[int, str]:
        """The largest first, and always the same order."""
        return -self.size_bytes, self.file.path


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCounts:
    """How many data files a table has, how large they are, and how many delete files apply to them."""

    files: int
    size_bytes: int
    small_files: int
    delete_files: int
    files_with_deletes: int

    @property
    def average_bytes(self) -> Fraction:
        """The mean size of a data file; 0 without any."""
        return Fraction(self.size_bytes, self.files) if self.files else Fraction(0)


def count_files(files: Iterable[TableFile], min_bytes: int) -> FileCounts:
    """The counts of these files; those below `min_bytes` are small."""
    known = list(files)
    return FileCounts(
        files=len(known),
        size_bytes=sum(file.size_bytes for file in known),
        small_files=sum(file.size_bytes < min_bytes for file in known),
        delete_files=len({path for file in known for path in file.file.deletes}),
        files_with_deletes=sum(file.has_deletes for file in known),
    )
