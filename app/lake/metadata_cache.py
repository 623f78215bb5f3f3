"""Parsed table metadata by location: metadata files never change, so what was parsed once stays true."""

from __future__ import annotations

from threading import Lock

from cachetools import LRUCache
from pyiceberg.table.metadata import TableMetadata

from app.domain.datasets import TableState


class MetadataCache:
    """An LRU of parsed metadata and the domain values made of it, bounded by the bytes of the files. Thread-safe."""

    def __init__(self, max_bytes: int) -> None:
        self._lock = Lock()
        self._metadata: LRUCache[str, tuple[TableMetadata, int]] = LRUCache(max_bytes, getsizeof=lambda e: e[1])
        self._states: LRUCache[tuple[str, str], tuple[TableState, int]] = LRUCache(max_bytes, getsizeof=lambda e: e[1])

    def find(self, location: str) -> TableMetadata | None:
        """The parsed file, None where it is not held."""
        with self._lock:
            entry = self._metadata.get(location)
        return entry[0] if entry else None

    def put(self, location: str, metadata: TableMetadata, *, size_bytes: int | None = None) -> None:
        """Keep a parsed file; one larger than the whole cache is not kept."""
        size = _estimated_bytes(metadata) if size_bytes is None else size_bytes
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
        size = 2048 + 512 * len(state.history.snapshots)
        with self._lock:
            if size <= self._states.maxsize:
                self._states[(state.metadata_location, str(state.name))] = (state, size)


def _estimated_bytes(metadata: TableMetadata) -> int:
    # About what one snapshot with its summary takes in JSON; measured at 510 bytes.
    return 4096 + 512 * len(metadata.snapshots)
