"""How large files are to be, as someone states it for all tables or for one run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from app.domain.argument_checks import check_bool, check_count
from app.errors import InvalidArgumentError

MIB = 1024 * 1024
MAX_TARGET_MB = 1024 * 1024
MAX_CONCURRENT_FILES = 10_000
# Files under three quarters of the target are rewritten: those above it gain too little for what it costs.
CANDIDATE_SHARE = Fraction(3, 4)
# What is written may be so much larger than the target, rather than be cut in two.
TOLERANCE = Fraction(11, 10)
# What people write after a number of megabytes; all are powers of two here, as everywhere in this project.
_UNITS = {
    "": 1,
    "M": 1,
    "MB": 1,
    "MIB": 1,
    "G": 1024,
    "GB": 1024,
    "GIB": 1024,
    "T": 1024**2,
    "TB": 1024**2,
    "TIB": 1024**2,
}
_SIZE = re.compile(r"\s*(-?[0-9]{1,18})\s*([A-Za-z]*)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionPolicy:
    """Sizes in MB of 1,048,576 bytes; also as texts with a unit, such as "512MB", which are numbers from then on.

    A table needs compaction where files are smaller than `min_file_size_mb`; files are written of
    `target_file_size_mb`, at most `max_concurrent_files` into one. `rewrite_all` takes all files, whatever their size.

    Raises:
        InvalidArgumentError: a field that is out of range or of another type, by its name in the GraphQL schema.
    """

    target_file_size_mb: int = 512
    min_file_size_mb: int = 10
    max_concurrent_files: int = 100
    rewrite_all: bool = False

    def __post_init__(self) -> None:
        for field, argument in (("target_file_size_mb", "targetFileSizeMb"), ("min_file_size_mb", "minFileSizeMb")):
            object.__setattr__(self, field, _checked_megabytes(argument, getattr(self, field)))
        check_count("maxConcurrentFiles", self.max_concurrent_files, least=2, most=MAX_CONCURRENT_FILES)
        check_bool("rewriteAll", self.rewrite_all)
        if self.min_file_size_mb > self.target_file_size_mb:
            raise InvalidArgumentError(
                "minFileSizeMb",
                f"{self.min_file_size_mb} is more than the target of {self.target_file_size_mb}, so that what is "
                "written would be too small at once",
            )

    @property
    def target_bytes(self) -> int:
        """Size of the files that are written."""
        return self.target_file_size_mb * MIB

    @property
    def min_bytes(self) -> int:
        """Size below which a file is small."""
        return self.min_file_size_mb * MIB

    @property
    def candidate_bytes(self) -> int:
        """Size from which on a file is left alone."""
        return int(self.target_bytes * CANDIDATE_SHARE)


def _checked_megabytes(argument: str, value: object) -> int:
    megabytes = parse_megabytes(argument, value) if isinstance(value, str) else value
    return check_count(argument, megabytes, least=1, most=MAX_TARGET_MB)


def parse_megabytes(argument: str, text: str) -> int:
    """The megabytes that a text such as `512`, `512MB` or `2 GB` means.

    Raises:
        InvalidArgumentError: it is no whole number with such a unit.
    """
    found = _SIZE.fullmatch(text)
    factor = None if found is None else _UNITS.get(found[2].upper())
    if found is None or factor is None:
        raise InvalidArgumentError(
            argument, f"a whole number of megabytes is needed, such as 512, 512MB or 2GB, not {text[:40]!r}"
        )
    return int(found[1]) * factor
