"""What a comparison of rows may use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """A folder for what does not fit into memory, bytes of memory for joining, and threads."""

    scratch: Path
    memory_bytes: int
    threads: int
