"""Parsed table metadata by location: metadata files never change, so what was parsed once stays true."""

from __future__ import annotations

from threading import Lock

from cachetools import LRUCache
from pyiceberg.table.metadata import TableMetadata

from app.domain.datasets import TableState


class MetadataCache:
    """An LRU of parsed metadata and the domain values made of it, bounded by what they hold in memory. Thread-safe.

    Parsed, a metadata file takes about six times its size in JSON.
    """

    def __init__(self, max_bytes: int) -> None:
        self._lock = Lock()
        self._metadata: LRUCache[str, tuple[TableMetadata, int]] = LRUCache(max_bytes, getsizeof=lambda e: e[1])
        self._states: LRUCache[tuple[str, str], tuple[TableState, int]] = LRUCache(max_bytes, getsizeof=lambda e: e[1])

    def find(self, location: str) -> TableMetadata | None:
        """The parsed file, None where it is not held."""
        with self._lock:
            entry = self._metadata.get(location)
        return entry[0] if entry else None

    def put(self, location: str, metadata: TableMetadata) -> None:
        """Keep a parsed file; one larger than the whole cache is not kept."""
        size = _memory_bytes(metadata)
        with self._lock:
            if size <= self._metadata.maxsize:
                self._metadata[location] = (metadata, size)

    def find_state(self, location: str, dataset: str) -> TableState | None:
        """The domain value of a metadata file under one dataset name."""
        with self._lock:
            entry = self._states.get((location, dataset))
        return entry[0] if entry else None

    def put_state(self, state: TableState) -> None:
        """Keep the domain value of a metadata file."""
        size = 4096 + 256 * (len(state.history.snapshots) + len(state.history.log))
        with self._lock:
            if size <= self._states.maxsize:
                self._states[(state.metadata_location, str(state.name))] = (state, size)

    def drop(self, location: str, dataset: str) -> None:
        """Forget a file that has a successor: whoever still reads it has it, and later ones ask for the successor."""
        with self._lock:
            self._metadata.pop(location, None)
            self._states.pop((location, dataset), None)


def _memory_bytes(metadata: TableMetadata) -> int:
    # By tracemalloc, on CPython 3.11 and summaries of a dozen keys.
    return (
        12_000
        + 3_700 * len(metadata.snapshots)
        + 560 * (len(metadata.snapshot_log) + len(metadata.refs))
        + 810 * len(metadata.metadata_log)
        + 1_150 * sum(len(schema.fields) for schema in metadata.schemas)
    )
