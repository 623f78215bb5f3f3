"""The WebSocket under the driver: every step of it ends in time, and closing never waits for the other side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

import aiohttp
from gremlin_python.driver.protocol import GremlinServerWSProtocol
from gremlin_python.driver.request import RequestMessage
from gremlin_python.driver.transport import AbstractBaseTransport

Answered = TypeVar("Answered")

# From the server's own limit of time to ours: what it takes to cross the network and to wait for a thread there.
GRACE_S = 1.0


class DeadlineTransport(AbstractBaseTransport):  # type: ignore[misc]
    """One connection, with a loop of its own, used by one thread at a time.

    The driver's own transport connects for up to 5 minutes to a server that is frozen, has one read timeout for all
    requests, and closes with a handshake that such a server never answers.
    """

    def __init__(self, *, connect_timeout_s: float, max_answer_bytes: int) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._max_answer_bytes = max_answer_bytes
        self._deadline = 0.0
        self._loop = asyncio.new_event_loop()
        self._session: aiohttp.ClientSession | None = None
        self._websocket: aiohttp.ClientWebSocketResponse | None = None

    def answer_within(self, timeout_s: float) -> None:
        """Let the request that is written now, and all parts of its answer, take so long and no longer."""
        self._deadline = time.monotonic() + timeout_s

    def connect(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        """Connect, within the time for it."""

        async def connected() -> None:
            self._session = aiohttp.ClientSession()
            self._websocket = await self._session.ws_connect(url, max_msg_size=self._max_answer_bytes, headers=headers)

        self._run(connected(), self._connect_timeout_s)

    def write(self, message: bytes) -> None:
        """Send a request."""
        if self._websocket is None:
            raise ConnectionError("not connected")
        self._run(self._websocket.send_bytes(message), self._deadline - time.monotonic())

    def read(self) -> bytes:
        """Receive a part of an answer.

        Raises:
            ConnectionError: the connection is gone.
        """
        if self._websocket is None:
            raise ConnectionError("not connected")
        message = self._run(self._websocket.receive(), self._deadline - time.monotonic())
        if message.type is aiohttp.WSMsgType.BINARY:
            return bytes(message.data)
        if message.type is aiohttp.WSMsgType.TEXT:
            return str(message.data).encode()
        raise ConnectionError("the server closed the connection")

    def close(self) -> None:
        """Drop the connection, without telling the server."""
        if self._loop.is_closed():
            return
        self._loop.run_until_complete(self._end())
        # Let go of while the loop is there: what aiohttp still holds of them is released on it.
        self._websocket = self._session = None
        self._loop.close()

    @property
    def closed(self) -> bool:
        """Whether it can be used no more."""
        return self._loop.is_closed() or self._websocket is None or self._websocket.closed

    async def _end(self) -> None:
        if self._session is not None:
            await self._session.close()
        # A connection that did not come in time leaves tasks of aiohttp behind, which would wake on a closed loop.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        # Sockets are closed a turn of the loop after they are told to.
        await asyncio.sleep(0)

    def _run(self, coroutine: Coroutine[Any, Any, Answered], timeout_s: float) -> Answered:
        async def bounded() -> Answered:
            async with asyncio.timeout(max(0.0, timeout_s)):
                return await coroutine

        return self._loop.run_until_complete(bounded())


class DeadlineProtocol(GremlinServerWSProtocol):  # type: ignore[misc]
    """The driver's protocol, where a request's own `evaluationTimeout` also bounds the wait for its answer."""

    def write(self, request_id: str, request_message: RequestMessage) -> None:
        """Send the request, and start its time."""
        self._transport.answer_within(request_message.args["evaluationTimeout"] / 1000 + GRACE_S)
        super().write(request_id, request_message)
