"""Scripts sent to a Gremlin Server: over connections that never answer with another query's rows, or not at all.

gremlinpython blocks, and is kept in threads of its own. It does not check whose answer it reads: once a read has timed
out, the next queries on that connection get the answers of the previous ones. So a client of it on which anything went
wrong is used no more, and a new one is made.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import random
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson
from gremlin_python.driver.client import Client
from gremlin_python.driver.protocol import GremlinServerError
from janusgraph_python.driver.serializer import JanusGraphBinarySerializersV1

from app.errors import LineageUnavailableError
from app.lineage.janusgraph.breaker import CircuitBreaker
from app.lineage.janusgraph.transport import GRACE_S, DeadlineProtocol, DeadlineTransport

MAX_ANSWER_BYTES = 64 * 1024 * 1024
_TIMED_OUT = 598
_DISCONNECTED = "Server disconnected"
# In messages and names of exceptions; the last line is BerkeleyDB's.
_CONFLICT_SIGNS = (
    *("could not commit", "uniqueness constraint", "lockingexception"),
    # Our own scripts', of what was found a step earlier and is gone. The server tells the message of its cause alone.
    "stratigraphtornread",
    *("deadlock", "lockconflict", "locktimeout"),
)
_ATTEMPTS = 12
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 1.0
_REASON_CHARACTERS = 200

# It logs whole answers and stack traces of the server, at ERROR, for what its caller gets as an exception.
logging.getLogger("gremlinpython").setLevel(logging.CRITICAL + 1)


class ScriptTimeoutError(Exception):
    """The server ended a script at its limit of time; the connection is sound."""


class ScriptConflictError(Exception):
    """Another transaction changed the same things first; nothing was changed, and trying again may succeed."""


class _Generation:
    """One Client of the driver and all its connections; closed when it is retired and nobody uses it any more."""

    def __init__(self, url: str, connections: int, connect_timeout_s: float) -> None:
        self.users = 0
        self.is_retired = False
        self._transports: list[DeadlineTransport] = []

        def connected() -> DeadlineTransport:
            transport = DeadlineTransport(connect_timeout_s=connect_timeout_s, max_answer_bytes=MAX_ANSWER_BYTES)
            self._transports.append(transport)
            return transport

        parts = urlsplit(url)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        serializer = JanusGraphBinarySerializersV1()
        self.client = Client(
            parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(),
            "g",
            pool_size=connections,
            message_serializer=serializer,
            transport_factory=connected,
            protocol_factory=lambda: DeadlineProtocol(serializer, username=user, password=password),
        )

    def close(self) -> None:
        """Close all connections, also those that the driver has lost sight of."""
        self.client.close()
        for transport in self._transports:
            transport.close()


class GremlinClient:
    """Runs scripts that take one JSON text, `request`, and answer another one."""

    def __init__(
        self,
        url: str,
        *,
        connections: int,
        connect_timeout_s: float,
        breaker: CircuitBreaker,
    ) -> None:
        self._url = url
        self._connections = connections
        self._connect_timeout_s = connect_timeout_s
        self._breaker = breaker
        self._executor = ThreadPoolExecutor(max_workers=connections, thread_name_prefix="gremlin")
        self._free = asyncio.Semaphore(connections)
        self._lock = threading.Lock()
        self._current: _Generation | None = None
        self._is_closed = False

    async def run(self, script: str, request: Mapping[str, Any], *, timeout_s: float) -> Any:
        """The answer of a script that may be repeated, which it is where its connection turns out to be gone.

        Raises:
            LineageUnavailableError: the server is away, silent, or fails.
            ScriptTimeoutError: the script took longer than `timeout_s`.
            ScriptConflictError: see there.
        """
        # Escaped to ASCII: a lone surrogate in what a user asks for is no reason to fail.
        text = json.dumps(request)
        self._breaker.enter()
        try:
            try:
                answer = await self._submit(script, text, timeout_s)
            except ConnectionError:
                # Such as one of before the server's restart; all others are as old, and gone with it.
                answer = await self._submit(script, text, timeout_s)
        except GremlinServerError as error:
            self._breaker.succeed()
            raise _translate(error) from error
        except asyncio.CancelledError:
            self._breaker.abandon()
            raise
        except Exception as error:
            reason = self._reason(error, timeout_s)
            self._breaker.fail(reason)
            raise LineageUnavailableError(reason) from error
        self._breaker.succeed()
        return orjson.loads(answer)

    async def run_until_committed(self, script: str, request: Mapping[str, Any], *, timeout_s: float) -> Any:
        """The same for a script that writes: again, with growing pauses, while others win the race."""
        pause_s = _FIRST_PAUSE_S
        for _ in range(_ATTEMPTS - 1):
            try:
                return await self.run(script, request, timeout_s=timeout_s)
            except ScriptConflictError:
                # Of all lengths, so that those who met once do not meet again.
                await asyncio.sleep(random.uniform(0, pause_s))  # noqa: S311
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        try:
            return await self.run(script, request, timeout_s=timeout_s)
        except ScriptConflictError as error:
            raise LineageUnavailableError(f"other writers won the race {_ATTEMPTS} times") from error

    async def close(self) -> None:
        """Close all connections, after what runs on them has ended."""
        with self._lock:
            self._is_closed = True
            generation, self._current = self._current, None
        if generation is not None:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._retire, generation)
        self._executor.shutdown(wait=False)

    async def _submit(self, script: str, text: str, timeout_s: float) -> str:
        waiting_s = timeout_s + GRACE_S
        try:
            async with asyncio.timeout(waiting_s):
                await self._free.acquire()
        except TimeoutError as error:
            raise TimeoutError("all connections are busy") from error
        future = asyncio.get_running_loop().run_in_executor(
            self._executor, self._submit_blocking, script, text, math.ceil(timeout_s * 1000)
        )
        # The thread goes on also where its caller is cancelled: only then is its connection free.
        future.add_done_callback(self._release)
        return await asyncio.shield(future)

    def _release(self, future: asyncio.Future[str]) -> None:
        self._free.release()
        if not future.cancelled():
            # Else asyncio would complain of an exception that a cancelled caller did not fetch.
            future.exception()

    def _submit_blocking(self, script: str, text: str, timeout_ms: int) -> str:
        generation = self._enter()
        try:
            submitted = generation.client.submit_async(script, {"request": text}, {"evaluationTimeout": timeout_ms})
            return "".join(submitted.result().all().result())
        except GremlinServerError as error:
            if error.status_message and str(error.status_message).startswith(_DISCONNECTED):
                # Made by the driver itself, of a connection that is gone.
                self._retire(generation)
                raise ConnectionError("the server closed the connection") from error
            raise
        except BaseException:
            self._retire(generation)
            raise
        finally:
            self._leave(generation)

    def _enter(self) -> _Generation:
        with self._lock:
            if self._is_closed:
                # A thread whose caller has gone may come so late. What it connected nobody would close.
                raise ConnectionAbortedError("this client is closed")
            if self._current is None:
                self._current = _Generation(self._url, self._connections, self._connect_timeout_s)
            self._current.users += 1
            return self._current

    def _retire(self, generation: _Generation) -> None:
        with self._lock:
            generation.is_retired = True
            if self._current is generation:
                self._current = None
            is_last = generation.users == 0
        if is_last:
            generation.close()

    def _leave(self, generation: _Generation) -> None:
        with self._lock:
            generation.users -= 1
            is_last = generation.is_retired and generation.users == 0
        if is_last:
            generation.close()

    def _reason(self, error: Exception, timeout_s: float) -> str:
        server = urlsplit(self._url).netloc.rpartition("@")[2]
        if isinstance(error, TimeoutError):
            return f"{server} did not answer within {timeout_s:g} s"
        return f"{server}: {_first_line(error)}"


def _translate(error: GremlinServerError) -> Exception:
    message = str(error.status_message)
    if error.status_code == _TIMED_OUT:
        return ScriptTimeoutError(message)
    told = " ".join([message, *map(str, error.status_attributes.get("exceptions", ()))]).lower()
    if any(sign in told for sign in _CONFLICT_SIGNS):
        return ScriptConflictError(message)
    return LineageUnavailableError(f"the server failed: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:_REASON_CHARACTERS]
