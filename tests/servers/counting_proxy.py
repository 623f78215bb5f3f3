"""A proxy before an HTTP server of tests that counts what is asked of it."""

from __future__ import annotations

import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import parse_qs, urlsplit

_REQUEST_LINE = re.compile(rb"(?:^|\n)(GET|HEAD|PUT|POST|DELETE) (\S+) HTTP/1\.[01]\r\n")
_CHUNK_BYTES = 65_536
# A request line may come in two pieces.
_TAIL_BYTES = 4_096


@contextmanager
def counting_proxy(endpoint: str) -> Iterator[tuple[str, Counter[str]]]:
    """Yield a URL on 127.0.0.1 that leads to `endpoint`, and the requests so far.

    They are counted by method, those of S3 with their own names by these: `GET`, `HEAD`, `PUT`, `list`, `delete-many`.
    """
    counts: Counter[str] = Counter()
    target = urlsplit(endpoint)
    address = (target.hostname or "", target.port or 80)
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_accept, args=(server, address, counts), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", counts
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def _accept(server: socket.socket, address: tuple[str, int], counts: Counter[str]) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        upstream = socket.create_connection(address)
        for pair in ((client, upstream, counts), (upstream, client, None)):
            threading.Thread(target=_pump, args=pair, daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket, counts: Counter[str] | None) -> None:
    seen = b""
    with suppress(OSError):
        while chunk := source.recv(_CHUNK_BYTES):
            if counts is not None:
                seen += chunk
                end = 0
                for match in _REQUEST_LINE.finditer(seen):
                    counts[_name_of(match[1].decode(), match[2].decode())] += 1
                    end = match.end()
                seen = seen[max(end, len(seen) - _TAIL_BYTES) :]
            sink.sendall(chunk)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _name_of(method: str, path: str) -> str:
    query = parse_qs(urlsplit(path).query, keep_blank_values=True)
    if "delete" in query:
        return "delete-many"
    return "list" if "list-type" in query else method
