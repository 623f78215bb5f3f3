"""The mechanics of a streamed answer, on a stream that the test controls."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Self

import httpx
import pyarrow as pa
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.domain.names import DatasetName
from app.domain.versions import ResolvedVersion
from app.errors import UnreadableTableError
from app.rest import rest_routes
from tests.strategies import make_history, make_state

SCHEMA = pa.schema([("id", pa.int64())])
BATCH = pa.record_batch({"id": pa.array(range(100_000), pa.int64())})
DATA = "/api/v1/datasets/ns/t/data"
WAIT_S = 20
FORMATS = ["json", "csv", "arrow", "parquet"]


@dataclass
class ControlledStream:
    """A stream of `batches` batches (None: without end) that fails after them where `failure` is given."""

    batches: int | None
    failure: Exception | None = None
    schema: pa.Schema = SCHEMA
    truncated: bool = False
    given: int = 0
    closed: threading.Event = field(default_factory=threading.Event)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> pa.RecordBatch:
        await asyncio.sleep(0)
        if self.batches is not None and self.given >= self.batches:
            if self.failure is not None:
                raise self.failure
            raise StopAsyncIteration
        self.given += 1
        return BATCH

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.closed.set()


class FakeDatasets:
    """The reading half of the service, on one table of no files."""

    def __init__(self, stream: ControlledStream) -> None:
        self._stream = stream

    async def load(self, name: DatasetName) -> Any:
        return SimpleNamespace(state=make_state(make_history(1)))

    async def resolve_with_record(self, table: Any, version: str | None) -> ResolvedVersion:
        if version == "fault":
            raise ZeroDivisionError("a secret of ours")
        return ResolvedVersion(snapshot_id=1, uses_current_schema=True)

    async def stream_rows(self, table: Any, version: str | None, request: Any) -> ControlledStream:
        return self._stream


def make_app(stream: ControlledStream) -> Starlette:
    app = Starlette(routes=rest_routes())
    app.state.services = SimpleNamespace(datasets=FakeDatasets(stream))
    return app


@contextlib.contextmanager
def served(app: Starlette) -> Iterator[str]:
    """The app behind a real server, because only a real connection can break."""
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=lambda: server.run(sockets=[listening]), daemon=True)
        thread.start()
        deadline = time.monotonic() + WAIT_S
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        assert server.started
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(WAIT_S)
            assert not thread.is_alive()


@pytest.mark.parametrize("row_format", FORMATS)
def test_an_error_in_the_middle_breaks_the_connection(row_format: str) -> None:
    stream = ControlledStream(batches=8, failure=UnreadableTableError("ns.t", "a file is gone"))

    with served(make_app(stream)) as url, pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{url}{DATA}", params={"format": row_format})

    assert stream.closed.wait(WAIT_S)


@pytest.mark.parametrize("row_format", FORMATS)
def test_an_error_before_the_first_rows_is_a_problem(row_format: str) -> None:
    stream = ControlledStream(batches=0, failure=UnreadableTableError("ns.t", "a file is gone"))

    with TestClient(make_app(stream)) as client:
        response = client.get(DATA, params={"format": row_format})

    assert response.status_code == 503
    assert response.json()["code"] == "UNREADABLE_TABLE"
    assert response.headers["retry-after"]
    assert stream.closed.is_set()


@pytest.mark.parametrize("row_format", FORMATS)
def test_reading_stops_when_the_client_has_gone(row_format: str) -> None:
    stream = ControlledStream(batches=None)

    with served(make_app(stream)) as url:
        with httpx.stream("GET", f"{url}{DATA}", params={"format": row_format}) as response:
            next(response.iter_raw())
        assert stream.closed.wait(WAIT_S)


def test_a_slow_client_holds_the_reading_up() -> None:
    stream = ControlledStream(batches=None)

    with served(make_app(stream)) as url, httpx.stream("GET", f"{url}{DATA}") as response:
        next(response.iter_raw())
        given = _settled(lambda: stream.given)

    # What is read ahead and what the sockets hold, not all there is: the stream has no end.
    assert given < 100


@pytest.mark.parametrize(("limit", "expected"), [("", "false"), ("1000000000", "unknown")])
def test_a_large_answer_does_not_wait_to_say_whether_it_is_cut(limit: str, expected: str) -> None:
    stream = ControlledStream(batches=8)

    with TestClient(make_app(stream)) as client:
        response = client.get(DATA, params={"limit": limit})

    assert response.headers["x-truncated"] == expected
    assert response.json()["truncated"] is False
    assert len(response.json()["rows"]) == 8 * BATCH.num_rows
    assert stream.closed.is_set()


def test_head_closes_the_stream_unread() -> None:
    stream = ControlledStream(batches=None)

    with TestClient(make_app(stream)) as client:
        response = client.head(DATA)

    assert response.status_code == 200
    assert stream.given == 0
    assert stream.closed.is_set()


def test_a_fault_of_ours_is_masked_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with TestClient(make_app(ControlledStream(batches=0))) as client:
        response = client.get(DATA, params={"version": "fault"})

    problem = response.json()
    assert response.status_code == 500
    assert problem["code"] == "INTERNAL_ERROR"
    assert "secret" not in response.text
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert problem["trace_id"] in record.getMessage()
    assert record.exc_info


def _settled(read: Any) -> int:
    """The value once it has stopped changing for a moment."""
    value, since = read(), time.monotonic()
    while time.monotonic() - since < 0.5:
        if read() != value:
            value, since = read(), time.monotonic()
        assert value < 10_000
        time.sleep(0.01)
    return value
