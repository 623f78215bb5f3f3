"""Connections to servers that never answer: they end in time, and leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import warnings
from collections.abc import Iterator

import pytest

from app.lineage.janusgraph.transport import DeadlineTransport


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"ws://127.0.0.1:{server.getsockname()[1]}/gremlin"


@pytest.mark.parametrize("timeout_s", [0.0, 0.0001, 0.001, 0.05])
def test_a_connection_that_did_not_come_leaves_nothing_open(silent: str, timeout_s: float) -> None:
    # Given connections that are given up at any step of connecting
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(10):
            transport = DeadlineTransport(connect_timeout_s=timeout_s, max_answer_bytes=1024)
            with pytest.raises(TimeoutError):
                transport.connect(silent)

            # When they are closed, by another thread as the driver does it
            closing = threading.Thread(target=transport.close)
            closing.start()
            closing.join()
            assert transport.closed
            del transport
        gc.collect()

    # Then no socket, session or task is found open
    assert [str(warning.message) for warning in told] == []


def test_closing_ends_what_is_left_of_connecting(silent: str) -> None:
    # Given a transport in whose loop something still waits
    transport = DeadlineTransport(connect_timeout_s=0.05, max_answer_bytes=1024)
    with pytest.raises(TimeoutError):
        transport.connect(silent)
    waiting = transport._loop.create_task(asyncio.sleep(3600))

    # When it is closed, then that ends too, and closing again is nothing
    transport.close()
    assert waiting.cancelled()
    transport.close()
