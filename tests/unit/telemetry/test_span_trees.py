"""The spans of whole operations, on real services: what the stores do hangs below what was asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from starlette.applications import Starlette

from app.bootstrap import Services, open_services
from app.graphql.http import graphql_routes
from app.rest.routes import rest_routes
from app.settings import Settings
from tests.lake_tables import SmallLake, small_lake

pytestmark = pytest.mark.anyio

ORDERS = {"namespace": "sales", "name": "orders"}
QUERY = """query Look {
    dataset(namespace: "sales", name: "orders") { current { snapshotId } tags { nodes { name createdBy { subject } } } }
}"""
MUTATION = "mutation Tag($input: CreateTagInput!) { createTag(input: $input) { userErrors { errorCode } } }"


class SpanTree:
    """Finished spans of one trace, by parent."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self.spans = sorted(exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def get(self, name: str) -> ReadableSpan:
        (found,) = (span for span in self.spans if span.name == name)
        return found

    @property
    def roots(self) -> list[str]:
        return [span.name for span in self.spans if span.parent is None]

    def below(self, parent: ReadableSpan) -> list[ReadableSpan]:
        """Children, in the order in which they began."""
        return [span for span in self.spans if span.parent and span.parent.span_id == _span_id(parent)]

    def names_below(self, name: str) -> list[str]:
        return [span.name for span in self.below(self.get(name))]


@pytest.fixture
def lake(database_url: str, tmp_path: Path) -> Iterator[SmallLake]:
    with small_lake(database_url, tmp_path / "home") as opened:
        yield opened


@pytest.fixture
async def services(lake: SmallLake) -> AsyncIterator[Services]:
    async with open_services(lake.settings) as opened:
        yield opened


@pytest.fixture
async def client(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """Both faces, without the repair in the background, whose spans are nobody's here."""
    server = Starlette(routes=[*graphql_routes(Settings()), *rest_routes()])
    server.state.services = services
    async with httpx.AsyncClient(transport=httpx.ASGITransport(server), base_url="http://lake") as opened:
        yield opened


async def test_query_is_a_tree_with_its_store_calls(client: httpx.AsyncClient, spans: InMemorySpanExporter) -> None:
    await _graphql(client, QUERY)
    tree = SpanTree(spans)
    assert tree.roots == ["graphql.query Look"]
    assert tree.names_below("graphql.query Look") == [
        "catalog.load_table",
        "postgres.remember_names",
        "postgres.tag_records",
    ]
    load = tree.get("catalog.load_table")
    assert dict(load.attributes or {}) == {"stratigraph.dataset": "sales.orders"}
    # One trace, and nothing left open that would hold it.
    assert len({span.context.trace_id for span in tree.spans if span.context}) == 1


async def test_mutation_is_a_tree_in_the_order_that_makes_it_safe(
    client: httpx.AsyncClient, spans: InMemorySpanExporter
) -> None:
    answer = await _graphql(client, MUTATION, input={"on": {"dataset": ORDERS}, "name": "release_1"})
    assert answer["data"]["createTag"]["userErrors"] == []
    tree = SpanTree(spans)
    assert tree.roots == ["graphql.mutation Tag"]
    assert "change.tag_created" in tree.names_below("graphql.mutation Tag")
    steps = tree.names_below("change.tag_created")
    # The intention is written ahead of the commit, and its outcome after it, as the decision record has it.
    crucial = ("postgres.intend_change", "catalog.commit_table", "postgres.settle_change")
    assert [step for step in steps if step in crucial] == list(crucial)
    assert "catalog.load_table" in steps[: steps.index("postgres.intend_change")]
    settled = tree.get("postgres.settle_change")
    assert dict(settled.attributes or {}) == {"stratigraph.state": "DONE"}


async def test_refusal_is_told_by_its_code_on_every_span_it_passes(
    client: httpx.AsyncClient, spans: InMemorySpanExporter
) -> None:
    on = {"dataset": {"namespace": "sales", "name": "nope"}}
    answer = await _graphql(client, MUTATION, input={"on": on, "name": "release_1"})
    (error,) = answer["data"]["createTag"]["userErrors"]
    tree = SpanTree(spans)
    for name in ("change.tag_created", "catalog.load_table"):
        span = tree.get(name)
        assert (span.attributes or {})["stratigraph.error_code"] == error["errorCode"] == "DATASET_NOT_FOUND"
        assert span.status.status_code is StatusCode.UNSET


async def test_rest_request_is_a_tree_too(client: httpx.AsyncClient, spans: InMemorySpanExporter) -> None:
    answer = await client.get("/api/v1/datasets/sales/orders/data?format=json")
    assert answer.status_code == 200
    tree = SpanTree(spans)
    assert tree.roots == ["rest.data"]
    assert {"catalog.load_table", "lake.plan_scan"} <= set(tree.names_below("rest.data"))


async def test_masked_error_tells_the_trace_of_its_request(
    client: httpx.AsyncClient, services: Services, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a store with a bug
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(services.lake, "_load", fail)

    # When each face meets it
    graphql = await _graphql(client, QUERY)
    graphql_root = SpanTree(spans).get("graphql.query Look")
    spans.clear()
    rest = await client.get("/api/v1/datasets/sales/orders/tags")
    rest_root = SpanTree(spans).get("rest.tags")

    # Then what the client is told finds the trace, and in it the span that failed
    (error,) = graphql["errors"]
    assert error["extensions"]["traceId"] == _trace_id(graphql_root)
    assert rest.status_code == 500
    assert rest.json()["trace_id"] == rest.headers["X-Trace-Id"] == _trace_id(rest_root)
    failed = SpanTree(spans).get("catalog.load_table")
    assert failed.status.status_code is StatusCode.ERROR


async def _graphql(client: httpx.AsyncClient, query: str, **variables: Any) -> Any:
    return (await client.post("/graphql", json={"query": query, "variables": variables})).json()


def _span_id(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


def _trace_id(span: ReadableSpan) -> str:
    assert span.context is not None
    return trace.format_trace_id(span.context.trace_id)
