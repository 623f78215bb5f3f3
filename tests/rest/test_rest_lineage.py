"""`POST /api/v1/lineage`: what is taken and what is refused over HTTP, and a real client on a real server."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import threading
import zlib
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest
import uvicorn
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    column_lineage_dataset,
    dataset_version_dataset,
    output_statistics_output_dataset,
    schema_dataset,
    sql_job,
    symlinks_dataset,
)
from openlineage.client.transport.http import HttpCompression, HttpConfig, HttpTransport
from starlette.applications import Starlette
from starlette.testclient import TestClient

import app.domain.events as domain
from app.asgi import create_app
from app.domain.events import run_key
from app.domain.run_state import RunStatus, merge
from app.lineage.openlineage.parse import parse_events
from app.postgres.pool import open_pool
from app.registry.events import EventLog
from app.rest import rest_routes
from app.services.ingesting import MAX_GZIP_MEMBERS, Ingesting
from app.settings import Settings
from tests.lake_tables import SmallLake
from tests.lineage_events import FIXTURES, RUN_ID, dataset_json, event_json

PATH = "/api/v1/lineage"
JSON = {"Content-Type": "application/json"}
GZIP = JSON | {"Content-Encoding": "gzip"}
MAX_BYTES = 200_000


def lineage_app(database_url: str) -> Starlette:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with await open_pool(database_url) as pool:
            settings = Settings(lineage_max_bytes=MAX_BYTES)
            app.state.services = SimpleNamespace(ingesting=Ingesting(EventLog(pool), settings))
            yield

    return Starlette(routes=rest_routes(), lifespan=lifespan)


@pytest.fixture
def client(database_url: str) -> Iterator[TestClient]:
    """The REST face on a log of this test alone."""
    with TestClient(lineage_app(database_url)) as opened:
        yield opened


def stored(database_url: str, run_id: str | None = None) -> list[Any]:
    """The events in the log, as they came."""

    async def read() -> list[Any]:
        connection = await asyncpg.connect(database_url)
        try:
            rows = await connection.fetch(
                "SELECT body FROM lineage_events WHERE $1::text IS NULL OR run_key = $1 ORDER BY event_id",
                None if run_id is None else run_key(UUID(run_id)),
            )
            return [orjson.loads(row["body"]) for row in rows]
        finally:
            await connection.close()

    return asyncio.run(read())


def test_an_event_is_in_the_log_when_it_is_answered_for(client: TestClient, database_url: str) -> None:
    response = client.post(PATH, json=event_json())

    assert response.status_code == 201
    assert response.json() == {"accepted": 1, "unchanged": 0, "warnings": []}
    assert response.headers["content-type"] == "application/json"
    assert stored(database_url) == [event_json()]


def test_the_same_body_twice_changes_nothing(client: TestClient, database_url: str) -> None:
    client.post(PATH, json=event_json())

    response = client.post(PATH, content=orjson.dumps(event_json(), option=orjson.OPT_INDENT_2), headers=JSON)

    assert response.status_code == 201
    assert response.json() == {"accepted": 0, "unchanged": 1, "warnings": []}
    assert len(stored(database_url)) == 1


def test_a_batch_is_taken_whole_with_the_warnings_of_each(client: TestClient, database_url: str) -> None:
    batch = [event_json("START"), event_json(eventTime="2026-02-15T10:00:00"), event_json("START")]

    response = client.post(PATH, json=batch)

    assert response.json() == {
        "accepted": 2,
        "unchanged": 1,
        "warnings": [{"index": 1, "pointer": "/eventTime", "message": "the time has no zone; it was taken as UTC"}],
    }
    assert len(stored(database_url)) == 2


def test_of_a_batch_with_one_bad_event_nothing_is_taken(client: TestClient, database_url: str) -> None:
    response = client.post(PATH, json=[event_json("START"), event_json(run={"runId": "${uuid}"})])

    problem = response.json()
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert (problem["code"], problem["category"], problem["type"]) == (
        "INVALID_EVENT",
        "INVALID",
        "docs/errors.md#invalid_event",
    )
    assert (problem["pointer"], problem["index"]) == ("/run/runId", 1)
    assert "placeholder" in problem["reason"] and "event 1 of the batch" in problem["detail"]
    assert problem["instance"] == PATH
    assert stored(database_url) == []


def test_warnings_are_read_back(client: TestClient) -> None:
    client.post(
        PATH,
        json=[
            event_json("START", inputs=[dataset_json("a", [])]),
            event_json(producer=None, eventTime="2026-02-15T10:00:01Z"),
        ],
    )

    response = client.get(f"{PATH}/runs/{RUN_ID.upper()}/warnings")

    assert response.status_code == 200
    answer = response.json()
    assert answer["run_id"] == RUN_ID
    assert [(each["pointer"], each["event_time"]) for each in answer["warnings"]] == [
        ("/inputs/0/facets/version/datasetVersion", "2026-02-15T10:00:00+00:00"),
        ("/producer", "2026-02-15T10:00:01+00:00"),
    ]
    assert all(each["message"] and each["received_at"] for each in answer["warnings"])


def test_a_run_without_warnings_has_none_and_an_unknown_one_is_a_404(client: TestClient) -> None:
    client.post(PATH, json=event_json())

    assert client.get(f"{PATH}/runs/{RUN_ID}/warnings").json() == {"run_id": RUN_ID, "warnings": []}
    unknown = client.get(f"{PATH}/runs/{uuid4()}/warnings")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "LINEAGE_RUN_NOT_FOUND")
    malformed = client.get(f"{PATH}/runs/7/warnings")
    assert (malformed.status_code, malformed.json()["code"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP"])
def test_a_body_may_be_compressed(client: TestClient, database_url: str, encoding: str) -> None:
    # Of two members, which is one file all the same (RFC 1952 section 2.2).
    body = orjson.dumps(event_json())
    members = gzip.compress(body[:50]) + gzip.compress(body[50:])

    response = client.post(PATH, content=members, headers=JSON | {"Content-Encoding": encoding})

    assert response.status_code == 201
    assert stored(database_url) == [event_json()]


def padded(size_bytes: int) -> bytes:
    """An event of this size."""
    body = orjson.dumps(event_json(padding=""))
    return body.replace(b'"padding":""', b'"padding":"' + b" " * (size_bytes - len(body)) + b'"')


def test_a_body_may_be_as_large_as_the_setting_says(client: TestClient) -> None:
    assert client.post(PATH, content=padded(MAX_BYTES), headers=JSON).status_code == 201
    assert client.post(PATH, content=gzip.compress(padded(MAX_BYTES)), headers=GZIP).json()["unchanged"] == 1


TOO_LARGE = {
    "one byte too many": (padded(MAX_BYTES + 1), JSON),
    "one byte too many when decompressed": (gzip.compress(padded(MAX_BYTES + 1)), GZIP),
    "a bomb": (gzip.compress(bytes(100 * 1024 * 1024)), GZIP),
    "a bomb in parts": (gzip.compress(bytes(MAX_BYTES)) * 3, GZIP),
}


@pytest.mark.parametrize("case", TOO_LARGE)
def test_larger_ones_are_a_413(client: TestClient, database_url: str, case: str) -> None:
    body, headers = TOO_LARGE[case]

    response = client.post(PATH, content=body, headers=headers)

    assert (response.status_code, response.json()["code"]) == (413, "BODY_TOO_LARGE")
    assert response.json()["limitBytes"] == str(MAX_BYTES)
    assert stored(database_url) == []


def test_a_body_of_unknown_length_is_cut_off(client: TestClient) -> None:
    pieces = iter([b" " * 50_000] * 5)

    assert client.post(PATH, content=pieces, headers=JSON).status_code == 413


BAD_GZIP = {
    "no gzip": b"{}",
    "cut off": gzip.compress(padded(1000))[:-9],
    "empty": b"",
    "with something behind it": gzip.compress(padded(1000)) + b"x",
    "wrong checksum": gzip.compress(padded(1000))[:-8] + bytes(8),
    "deflate": zlib.compress(padded(1000)),
    "of too many parts": gzip.compress(b"") * (MAX_GZIP_MEMBERS + 1),
}


@pytest.mark.parametrize("case", BAD_GZIP)
def test_what_cannot_be_decompressed_is_a_400(client: TestClient, case: str) -> None:
    response = client.post(PATH, content=BAD_GZIP[case], headers=GZIP)

    assert (response.status_code, response.json()["code"]) == (400, "INVALID_EVENT")
    assert "gzip" in response.json()["reason"]


BAD_REQUESTS: dict[str, tuple[str, str, dict[str, str], int, str]] = {
    "get": ("GET", PATH, {}, 405, "METHOD_NOT_ALLOWED"),
    "put": ("PUT", PATH, JSON, 405, "METHOD_NOT_ALLOWED"),
    "post to warnings": ("POST", f"{PATH}/runs/{RUN_ID}/warnings", JSON, 405, "METHOD_NOT_ALLOWED"),
    "a form": ("POST", PATH, {"Content-Type": "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
    "no type": ("POST", PATH, {}, 415, "UNSUPPORTED_MEDIA_TYPE"),
    "XML": ("POST", PATH, {"Content-Type": "application/xml"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
    "brotli": ("POST", PATH, JSON | {"Content-Encoding": "br"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
    "twice": ("POST", PATH, JSON | {"Content-Encoding": "gzip, gzip"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
    "parameter": ("POST", f"{PATH}?dry_run=1", JSON, 400, "INVALID_ARGUMENT"),
    "below": ("POST", f"{PATH}/batch", JSON, 404, "UNKNOWN_PATH"),
    "empty": ("POST", PATH, JSON, 400, "INVALID_EVENT"),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_what_is_no_request_is_a_typed_problem(client: TestClient, case: str) -> None:
    method, path, headers, status, code = BAD_REQUESTS[case]

    response = client.request(method, path, headers=headers)

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.headers.get("allow") is not None) == (status == 405)


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "application/cloudevents+json"])
def test_json_by_other_names_is_taken(client: TestClient, media_type: str) -> None:
    body = orjson.dumps(event_json())

    assert client.post(PATH, content=body, headers={"Content-Type": media_type}).status_code == 201


@pytest.mark.parametrize("document", sorted(FIXTURES.glob("*.json")), ids=lambda path: path.stem)
def test_no_document_of_openlineage_is_our_fault(client: TestClient, document: Any) -> None:
    response = client.post(PATH, content=document.read_bytes(), headers=JSON)

    taken = document.name == "spark-iceberg-rest-session.json"
    assert response.status_code == (201 if taken else 400), response.text
    assert response.json()["accepted"] == 15 if taken else response.json()["reason"]


def test_ids_keep_all_their_bits_on_their_way_into_the_log(client: TestClient, database_url: str) -> None:
    body = orjson.dumps(event_json(inputs=[dataset_json("a", 7536839303534702567)], n="N"))

    client.post(PATH, content=body.replace(b'"N"', b"123456789012345678901234567890"), headers=JSON)

    (event,) = stored(database_url)
    assert event["inputs"][0]["facets"]["version"]["datasetVersion"] == 7536839303534702567


async def disconnecting() -> list[int]:
    """The statuses that a client is sent that hangs up in the middle of its body."""
    messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])
    sent: list[int] = []
    application = Starlette(routes=rest_routes())
    application.state.services = SimpleNamespace(ingesting=SimpleNamespace(max_bytes=MAX_BYTES))
    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": PATH, "headers": headers, "query_string": b"", "root_path": ""}

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message.get("status", 0))

    await application(scope, receive, send)
    return sent


def test_a_client_that_hangs_up_is_no_fault_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    assert asyncio.run(disconnecting())[0] == 499
    assert caplog.records == []


# A real client on a real server


@pytest.fixture(scope="module")
def server_url(shared_lake: SmallLake) -> Iterator[str]:
    """The whole application, listening."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(create_app(shared_lake.settings), log_config=None, lifespan="on")
        server = uvicorn.Server(config)
        started = threading.Event()
        startup = server.startup

        async def announced(sockets: list[socket.socket] | None = None) -> None:
            await startup(sockets)
            started.set()

        server.startup = announced  # type: ignore[method-assign]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            assert started.wait(60)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize("compression", [None, HttpCompression.GZIP], ids=["plain", "gzip"])
def test_openlineages_own_client_posts_a_run(
    server_url: str, shared_lake: SmallLake, compression: HttpCompression | None
) -> None:
    client = OpenLineageClient(transport=HttpTransport(HttpConfig(url=server_url, compression=compression)))
    run, job = Run(runId=str(uuid4())), Job("nightly", "load", facets={"sql": sql_job.SQLJobFacet(query="select 1")})
    source = InputDataset(
        "file",
        "/warehouse/sales/orders",
        facets={
            "version": dataset_version_dataset.DatasetVersionDatasetFacet(
                datasetVersion=str(shared_lake.orders.second)
            ),
            "symlinks": symlinks_dataset.SymlinksDatasetFacet(
                identifiers=[symlinks_dataset.Identifier(namespace="cat", name="sales.orders", type="TABLE")]
            ),
        },
    )
    used = column_lineage_dataset.InputField(
        namespace="file",
        name="/warehouse/sales/orders",
        field="price",
        transformations=[column_lineage_dataset.Transformation(type="DIRECT", subtype="AGGREGATION")],
    )
    columns = column_lineage_dataset.ColumnLineageDatasetFacet(
        fields={"total": column_lineage_dataset.Fields(inputFields=[used])}
    )
    fields = [schema_dataset.SchemaDatasetFacetFields(name="total", type="decimal(12,2)")]
    target = OutputDataset(
        "file",
        "/warehouse/gold/totals",
        facets={"columnLineage": columns, "schema": schema_dataset.SchemaDatasetFacet(fields=fields)},
        outputFacets={
            "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=3)
        },
    )

    for state, time in ((RunState.START, "2026-02-15T10:00:00Z"), (RunState.COMPLETE, "2026-02-15T10:00:09.5Z")):
        client.emit(RunEvent(eventType=state, eventTime=time, run=run, job=job, inputs=[source], outputs=[target]))
    client.close()

    assert shared_lake.settings.database_url is not None
    bodies = stored(shared_lake.settings.database_url, run.runId)
    events = [parse_events(orjson.dumps(body))[0].event for body in bodies]
    assert [event.warnings for event in events] == [(), ()]
    found = merge(event for event in events if isinstance(event, domain.RunEvent))
    assert (found.status, found.facts.sql) == (RunStatus.SUCCESS, "select 1")
    (read,), (written,) = found.inputs, found.outputs
    assert (read.use.version, read.use.aliases[0].name) == (str(shared_lake.orders.second), "sales.orders")
    assert (written.use.version, written.use.row_count) == (None, 3)
    assert [(use.column, use.field, use.transformation) for use in written.use.columns] == [
        ("total", "price", "DIRECT/AGGREGATION")
    ]
