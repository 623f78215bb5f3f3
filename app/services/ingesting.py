"""Taking lineage events in: read, written down, and only then answered for."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import anyio
from anyio import to_thread

from app.domain.events import EventWarning, ParsedEvent, run_key
from app.errors import BodyTooLargeError, InvalidEventError, LineageRunNotFoundError
from app.lineage.openlineage.parse import parse_events
from app.registry.events import EventLog, EventWarnings
from app.settings import Settings
from app.telemetry.tracing import span

# Up to this size reading takes a few milliseconds, less than it costs to go to a thread and back under load.
INLINE_BYTES = 64 * 1024
# Large bodies take many times their size as values: a few at once, and the others wait.
LARGE_AT_ONCE = 2
_GZIP = 16 + zlib.MAX_WBITS
# Each costs a copy of what is behind it: a body of nothing but empty members could keep a thread busy for hours.
MAX_GZIP_MEMBERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedWarning:
    """What was odd about one event of a request; `index` is its place in the batch, 0 where there is none."""

    index: int
    warning: EventWarning


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What became of a request: how many events are new, and how many were known already."""

    accepted: int
    unchanged: int
    warnings: tuple[IndexedWarning, ...]


class Ingesting:
    """Lineage events on their way into the log."""

    def __init__(self, log: EventLog, settings: Settings) -> None:
        self._log = log
        self._settings = settings
        self._large = anyio.CapacityLimiter(LARGE_AT_ONCE)

    @property
    def max_bytes(self) -> int:
        """How large a body may be, before and after decompression."""
        return self._settings.lineage_max_bytes

    async def ingest(self, body: bytes, *, is_gzipped: bool = False) -> Ingested:
        """Take all events of a body, OpenLineage's JSON, or none. They are durable when this returns.

        Raises:
            InvalidEventError: the body, or an event of it, cannot be taken.
            BodyTooLargeError: it has too many bytes, decompressed.
            BackendUnavailableError: Postgres is away; it may have got the events all the same, and sending them again
                changes nothing then.
        """
        with span("lineage.read_events", size_bytes=len(body)):
            if is_gzipped or len(body) > INLINE_BYTES:
                events = await to_thread.run_sync(self._read, body, is_gzipped, limiter=self._large)
            else:
                events = self._read(body, is_gzipped)
        added = await self._log.append(events)
        return Ingested(
            accepted=sum(added),
            unchanged=len(added) - sum(added),
            warnings=tuple(
                IndexedWarning(index=index, warning=warning)
                for index, parsed in enumerate(events)
                for warning in parsed.event.warnings
            ),
        )

    async def list_warnings(self, run_id: UUID) -> list[EventWarnings]:
        """What was odd about the events of a run, by their times.

        Raises:
            LineageRunNotFoundError: no event of the run was taken.
        """
        found = await self._log.find_warnings(run_key(run_id))
        if found is None:
            raise LineageRunNotFoundError(str(run_id))
        return found

    def _read(self, body: bytes, is_gzipped: bool) -> list[ParsedEvent]:
        if is_gzipped:
            body = gunzip(body, self.max_bytes)
        if len(body) > self.max_bytes:
            raise BodyTooLargeError(self.max_bytes)
        return parse_events(body, now=datetime.now(UTC))


def gunzip(data: bytes, max_bytes: int) -> bytes:
    """The content of a gzip file, which may have several members; never more than `max_bytes` and one are made.

    Raises:
        InvalidEventError: it is no gzip file, not a whole one, or of too many members.
        BodyTooLargeError: it holds more.
    """
    found = bytearray()
    for _ in range(MAX_GZIP_MEMBERS):
        member = zlib.decompressobj(_GZIP)
        try:
            found += member.decompress(data, max_bytes + 1 - len(found))
        except zlib.error as error:
            raise InvalidEventError("", f"the body is not gzip: {error}") from error
        if len(found) > max_bytes:
            raise BodyTooLargeError(max_bytes)
        if not member.eof:
            raise InvalidEventError("", "the gzip body ends too early")
        data = member.unused_data
        if not data:
            return bytes(found)
    raise InvalidEventError("", f"the gzip body has more than {MAX_GZIP_MEMBERS} members")
