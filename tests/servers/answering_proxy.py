"""A proxy before a REST catalog of tests that gives some requests an answer of its own."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

# What Iceberg's own servers call the errors that they answer.
_TYPES = {401: "NotAuthorizedException", 403: "ForbiddenException", 501: "UnsupportedOperationException"}
# They belong to a connection, or are written anew for the answer that is passed on.
_NOT_PASSED_ON = {"connection", "content-length", "keep-alive", "transfer-encoding"}


@dataclass(slots=True, kw_only=True)
class Rule:
    """Requests of a method whose path ends so are answered with a status, `left` of them and then no more.

    With `spoil` they are passed on, and it makes of the catalog's answer what the client gets, with the status if there
    is one.
    """

    method: str
    path_end: str
    status: int | None = None
    left: int | None = None
    spoil: Callable[[Any], Any] | None = None
    answered: int = 0


@dataclass(slots=True, kw_only=True)
class AnsweringProxy:
    """`url` leads to the catalog, but for what rules are about."""

    url: str
    _rules: list[Rule] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def answering(self, table: str, status: int, *, method: str = "GET", times: int | None = None) -> Iterator[Rule]:
        """Within this requests of a table (`namespace.name`) are answered so: loading it, or by POST commits to it."""
        with self._ruled(Rule(method=method, path_end=_path_end(table), status=status, left=times)) as rule:
            yield rule

    @contextmanager
    def hiding(self, namespace: str) -> Iterator[Rule]:
        """Within this it is forbidden to list the tables of a namespace; each of them may be loaded all the same."""
        with self._ruled(Rule(method="GET", path_end=f"/namespaces/{namespace}/tables", status=403)) as rule:
            yield rule

    @contextmanager
    def spoiling(self, table: str, spoil: Callable[[Any], Any], *, status: int | None = None) -> Iterator[Rule]:
        """Within this commits to a table take place, and what is answered is what `spoil` makes of the answer."""
        with self._ruled(Rule(method="POST", path_end=_path_end(table), status=status, spoil=spoil)) as rule:
            yield rule

    @contextmanager
    def _ruled(self, rule: Rule) -> Iterator[Rule]:
        self._rules.append(rule)
        try:
            yield rule
        finally:
            self._rules.remove(rule)

    def take_rule(self, method: str, path: str) -> Rule | None:
        """The rule that a request falls under, which counts it."""
        place = unquote(urlsplit(path).path)
        with self._lock:
            for rule in self._rules:
                if rule.method == method and place.endswith(rule.path_end) and rule.left != 0:
                    rule.answered += 1
                    rule.left = None if rule.left is None else rule.left - 1
                    return rule
        return None


@contextmanager
def answering_proxy(endpoint: str) -> Iterator[AnsweringProxy]:
    """Yield a proxy on 127.0.0.1 that leads to `endpoint`."""
    target = urlsplit(endpoint)
    proxy = AnsweringProxy(url="")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            rule = proxy.take_rule(self.command, self.path)
            if rule is not None and rule.status is not None and rule.spoil is None:
                self._answer(rule.status, {"Content-Type": "application/json"}, _error(rule.status))
                return
            connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=60)
            # Answers that can be read here.
            headers = {name: value for name, value in self.headers.items() if name.lower() != "accept-encoding"}
            connection.request(self.command, self.path, body or None, headers)
            response = connection.getresponse()
            content = response.read()
            connection.close()
            status = response.status
            if rule is not None and rule.spoil is not None:
                status, content = rule.status or status, json.dumps(rule.spoil(json.loads(content))).encode()
            self._answer(status, dict(response.getheaders()), content)

        def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in _NOT_PASSED_ON:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_POST = do_DELETE = _pass  # noqa: N815 - as http.server calls them

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        proxy.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()


def _path_end(table: str) -> str:
    namespace, _, name = table.rpartition(".")
    return f"/namespaces/{namespace}/tables/{name}"


def _error(status: int) -> bytes:
    kind = _TYPES.get(status, "RESTException")
    return json.dumps({"error": {"message": f"told {status} by the test", "type": kind, "code": status}}).encode()
