"""Reads one path of the REST face to its end and prints how far the memory of this process rose.

Run as a program of its own: `read_rows.py HOME DATABASE_URL PATH`. Its answer is a line of JSON.
"""

import asyncio
import json
import sys
import threading
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import psutil
from starlette.applications import Starlette

from app.bootstrap import open_services
from app.rest import rest_routes
from app.settings import Settings


class Peak:
    """The highest resident size seen while it is watched."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._stop = threading.Event()
        self.before_bytes = self.peak_bytes = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self.peak_bytes = max(self.peak_bytes, self._process.memory_info().rss)

    def stop(self) -> int:
        self._stop.set()
        self._thread.join()
        return self.peak_bytes - self.before_bytes


async def read(app: Starlette, path: str) -> tuple[int, int]:
    """Status and number of bytes of the body, none of which is kept."""
    status = size_bytes = 0
    plain, _, query = path.partition("?")
    never = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await never.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal status, size_bytes
        status = message.get("status", status)
        size_bytes += len(message.get("body", b""))

    scope = {
        "type": "http",
        "method": "GET",
        "path": plain,
        "raw_path": plain.encode(),
        "query_string": query.encode(),
        "headers": [],
    }
    await app(scope, receive, send)
    return status, size_bytes


async def main(home: str, database_url: str, path: str) -> None:
    app = Starlette(routes=rest_routes())
    async with open_services(Settings(home=Path(home), database_url=database_url)) as services:
        app.state.services = services
        # What is loaded once for any answer does not count.
        await read(app, path + "&limit=10")
        peak = Peak()
        status, size_bytes = await read(app, path)
        rise_bytes = peak.stop()
    print(json.dumps({"status": status, "size_bytes": size_bytes, "rise_bytes": rise_bytes}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
