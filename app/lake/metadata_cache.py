"""Parsed table metadata by location: metadata files never change, so what was parsed once stays true."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from threading import Lock

from cachetools import LRUCache
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata

from app.domain.datasets import TableState

# Of one table after the other, of which hardly any takes a tenth of it.
PASSING_BYTES = 256 * 1024 * 1024

_LOOKUPS: Mapping[type, Sequence[str]] = {
    kind: [name for name, value in vars(kind).items() if isinstance(value, cached_property)]
    for kind in (Schema, PartitionSpec)
}

_passing: ContextVar[MetadataCache | None] = ContextVar("passing", default=None)


class MetadataCache:
    """An LRU of parsed metadata and the domain values made of it, bounded by what they hold in memory. Thread-safe.

    Parsed, a metadata file takes about six times its size in JSON.
    """

    def __init__(self, max_bytes: int) -> None:
        self._lock = Lock()
        self._metadata: LRUCache[str, tuple[TableMetadata, int]] = LRUCache(max_bytes, getsizeof=lambda e: e[1])
        self._places: LRUCache[str, list[str]] = LRUCache(max_bytes, getsizeof=_places_bytes)
        self._states: LRUCache[tuple[str, str], tuple[TableState, int]] = LRUCache(max_bytes, getsizeof=lambda e: e[1])

    def find(self, location: str) -> TableMetadata | None:
        """The parsed file, None where it is not held."""
        with self._lock:
            entry = self._metadata.get(location)
        if entry is not None:
            return entry[0]
        instead = self._instead()
        return instead.find(location) if instead is not None else None

    def put(self, location: str, metadata: TableMetadata) -> None:
        """Keep a parsed file, completed, so that threads can share it; one larger than the whole cache is not kept.

        Costs computing the lookups of schemas that have none yet: about as much as parsing them.
        """
        if (instead := self._instead()) is not None:
            instead.put(location, metadata)
            return
        size = _memory_bytes(metadata)
        if size > self._metadata.maxsize:
            return
        _complete(metadata)
        with self._lock:
            self._metadata[location] = (metadata, size)

    def find_state(self, location: str, dataset: str) -> TableState | None:
        """The domain value of a metadata file under one dataset name."""
        with self._lock:
            entry = self._states.get((location, dataset))
        if entry is not None:
            return entry[0]
        instead = self._instead()
        return instead.find_state(location, dataset) if instead is not None else None

    def put_state(self, state: TableState) -> None:
        """Keep the domain value of a metadata file."""
        if (instead := self._instead()) is not None:
            instead.put_state(state)
            return
        size = 4096 + 256 * (len(state.history.snapshots) + len(state.history.log))
        with self._lock:
            if size <= self._states.maxsize:
                self._states[(state.metadata_location, str(state.name))] = (state, size)

    def find_places(self, location: str) -> list[str] | None:
        """Where the table of a metadata file has its files, None where that is not held."""
        with self._lock:
            return self._places.get(location)

    def put_places(self, location: str, places: list[str]) -> None:
        """Keep where the table of a metadata file has its files, also of those that are only passed by."""
        with self._lock:
            if _places_bytes(places) <= self._places.maxsize:
                self._places[location] = places

    def drop(self, location: str, dataset: str) -> None:
        """Forget a file that has a successor: whoever still reads it has it, and later ones ask for the successor."""
        with self._lock:
            self._metadata.pop(location, None)
            self._states.pop((location, dataset), None)
            self._places.pop(location, None)
        if (instead := self._instead()) is not None:
            instead.drop(location, dataset)

    def _instead(self) -> MetadataCache | None:
        """What keeps it in place of this one."""
        found = _passing.get()
        return None if found is self else found


@contextmanager
def passing_by() -> Iterator[None]:
    """What is parsed in here, also in threads of the lake, is kept until its end only; what was held before is found.

    For walks over all tables: each is needed for a moment, and would drive out what requests come back to.
    """
    token = _passing.set(MetadataCache(PASSING_BYTES))
    try:
        yield
    finally:
        _passing.reset(token)


def _complete(metadata: TableMetadata) -> None:
    """Compute now what schemas and partition specs keep in themselves at its first use.

    pyiceberg's transactions copy metadata deeply, attribute by attribute: one that another thread's first use adds
    meanwhile ends the copy with a RuntimeError. What types keep is computed by the lookups of their schema.
    """
    for part in (*metadata.schemas, *metadata.partition_specs):
        for name in _LOOKUPS[type(part)]:
            getattr(part, name)


def _places_bytes(places: list[str]) -> int:
    return 500 + sum(100 + len(place) for place in places)


def _memory_bytes(metadata: TableMetadata) -> int:
    # By tracemalloc, on CPython 3.11 and summaries of a dozen keys; of a column half is lookups.
    return (
        12_000
        + 3_700 * len(metadata.snapshots)
        + 560 * (len(metadata.snapshot_log) + len(metadata.refs))
        + 810 * len(metadata.metadata_log)
        + 2_050 * sum(len(schema.fields) for schema in metadata.schemas)
    )
