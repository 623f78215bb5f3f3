"""What a whole process does with its spans: nothing by default, OTLP over HTTP where the environment asks for it."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from app.settings import Settings

ROOT = Path(__file__).parents[3]

# A server's whole life: it opens its services, answers one operation, and ends.
SERVE_ONE_OPERATION = """
import asyncio, json, sys
import httpx
import app.client
from app.asgi import create_app
from app.settings import Settings
from app.telemetry.tracing import span

async def main():
    server = create_app(Settings(home=sys.argv[1], database_url=sys.argv[2]))
    async with server.router.lifespan_context(server):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(server), base_url="http://lake") as client:
            body = {"query": "query Names { datasets { nodes { name } } }"}
            return (await client.post("/graphql", json=body)).json()

answer = asyncio.run(main())
modules = [name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))]
with span("probe") as probe:
    is_recorded = probe.is_recording()
print(json.dumps({"answer": answer, "modules": modules, "is_recorded": is_recorded}))
"""


class Collector:
    """An OTLP collector on a loopback port, which keeps what it is sent."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.requests: list[ExportTraceServiceRequest] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.paths.append(self.path)
                collector.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class's name)
                """Keep the tests' output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    @property
    def services(self) -> set[str]:
        return {
            attribute.value.string_value
            for request in self.requests
            for resource in request.resource_spans
            for attribute in resource.resource.attributes
            if attribute.key == "service.name"
        }

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        collector.server.shutdown()
        collector.server.server_close()
        thread.join()


def serve_one_operation(home: Path, database_url: str, **env: str) -> dict[str, Any]:
    """Run a server for one operation; answers which modules of OpenTelemetry's SDK it loaded, and if it records."""
    settings = Settings(home=home)
    settings.warehouse.mkdir(parents=True)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "STRATIGRAPH_"))}
    done = subprocess.run(
        [sys.executable, "-c", SERVE_ONE_OPERATION, str(home), database_url],
        cwd=ROOT,
        env={**clean, "NO_PROXY": "127.0.0.1", **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["answer"] == {"data": {"datasets": {"nodes": []}}}
    return found


def test_no_sdk_is_loaded_by_default(tmp_path: Path, database_url: str, collector: Collector) -> None:
    found = serve_one_operation(tmp_path / "home", database_url)
    assert found["modules"] == []
    assert not found["is_recorded"]
    assert collector.requests == []


def test_spans_go_where_the_standard_variable_says(tmp_path: Path, database_url: str, collector: Collector) -> None:
    # Given a collector that the environment names, when a server answers one operation and ends
    found = serve_one_operation(
        tmp_path / "home",
        database_url,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_SERVICE_NAME="lake-of-tests",
    )

    # Then the operation's spans have arrived, the store's below the operation's
    assert "opentelemetry.sdk.trace" in found["modules"]
    assert found["is_recorded"]
    assert set(collector.paths) == {"/v1/traces"}
    assert collector.services == {"lake-of-tests"}
    by_name = {span.name: span for span in collector.spans}
    operation, listing = by_name["graphql.query Names"], by_name["catalog.list_tables"]
    assert listing.trace_id == operation.trace_id
    assert listing.parent_span_id == operation.span_id


def test_an_unreachable_collector_costs_no_answer(tmp_path: Path, database_url: str) -> None:
    closed = Collector()
    closed.server.server_close()
    found = serve_one_operation(
        tmp_path / "home",
        database_url,
        OTEL_EXPORTER_OTLP_ENDPOINT=closed.url,
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
    )
    assert "opentelemetry.sdk.trace" in found["modules"]
    assert found["is_recorded"]
