"""A client that is closed connects no more, also for a thread that comes late."""

from __future__ import annotations

import asyncio
import socket

import pytest

from app.errors import LineageUnavailableError
from app.lineage.janusgraph.breaker import CircuitBreaker
from app.lineage.janusgraph.client import GremlinClient

pytestmark = pytest.mark.anyio


def make_client(port: int) -> GremlinClient:
    return GremlinClient(
        f"ws://127.0.0.1:{port}/gremlin",
        connections=2,
        connect_timeout_s=0.2,
        breaker=CircuitBreaker(failures=100, pause_s=1.0),
    )


async def test_a_thread_that_comes_after_the_end_opens_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = make_client(server.getsockname()[1])
        with pytest.raises(LineageUnavailableError):
            await client.run("1", {}, timeout_s=0.2)
        await client.close()

        # When the thread of a caller that has gone comes to it only now
        with pytest.raises(ConnectionAbortedError):
            await asyncio.to_thread(client._submit_blocking, "1", "{}", 200)

        # Then no connection was made that nobody would close
        assert client._current is None
