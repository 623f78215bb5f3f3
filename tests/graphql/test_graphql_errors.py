"""What clients see of errors, and what the log has."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.lake.store import Lake
from tests.graphql.api import Api
from tests.lake_tables import Orders, create_broken

pytestmark = pytest.mark.anyio


class UnexpectedError(Exception):
    """Something that no code translates."""


@pytest.fixture
def broken_lake(monkeypatch: pytest.MonkeyPatch) -> None:
    async def load(*_: object) -> None:
        raise UnexpectedError("secret")

    monkeypatch.setattr(Lake, "load", load)


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    found = InMemorySpanExporter()
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    provider.add_span_processor(SimpleSpanProcessor(found))
    return found


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> Iterator[InMemorySpanExporter]:
    exporter.clear()
    yield exporter
    exporter.clear()


async def test_query_errors_carry_their_facts(api: Api, orders: Orders) -> None:
    answer = await api.run('{ dataset(namespace: "sales", name: "ordres") { id } }')
    assert answer.data == {"dataset": None}
    (error,) = answer.errors
    assert error["path"] == ["dataset"] and error["locations"]
    assert error["extensions"] == {
        "code": "DATASET_NOT_FOUND",
        "category": "NOT_FOUND",
        "fields": {"dataset": "sales.ordres", "suggestions": ["sales.orders"]},
        "docs": "docs/errors.md#dataset_not_found",
        "retryable": False,
    }


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ('version(at: { tag: "x" }) { id }', "TAG_NOT_FOUND"),
        ('version(at: { ref: "1e3" }) { id }', "VERSION_NOT_FOUND"),
        ('version(at: { ref: "a b" }) { id }', "INVALID_REFERENCE"),
        ("version(at: {}) { id }", "AMBIGUOUS_REFERENCE"),
        ('version(at: { tag: "x", branch: "y" }) { id }', "AMBIGUOUS_REFERENCE"),
        ("version(at: { number: 1 }) { id }", "INVALID_ARGUMENT"),
        ('schema(at: { ref: "main~99" }) { schemaId }', "VERSION_NOT_FOUND"),
        ('rows(filter: "nope > 1") { rows }', "INVALID_FILTER"),
        ('rows(filter: "id >") { rows }', "INVALID_FILTER"),
        ("rows(filter: \"id = 'x'\") { rows }", "INVALID_FILTER"),
        ('rows(columns: ["nope"]) { rows }', "UNKNOWN_COLUMN"),
        ('rows(at: { tag: "x" }) { rows }', "TAG_NOT_FOUND"),
        ('current { columnStats(names: ["nope"]) { path } }', "UNKNOWN_COLUMN"),
    ],
)
async def test_bad_reads_cost_their_field_alone(api: Api, orders: Orders, field: str, code: str) -> None:
    answer = await api.run(f'{{ dataset(namespace: "sales", name: "orders") {{ name bad: {field} }} }}')
    assert answer.data["dataset"]["name"] == "orders"
    assert answer.data["dataset"]["bad"] in (None, {"columnStats": None})
    assert answer.codes == [code]


async def test_unknown_namespace_and_names_no_catalog_can_have(api: Api, orders: Orders) -> None:
    for query, code in (
        ('{ datasets(namespace: "sale") { totalCount } }', "NAMESPACE_NOT_FOUND"),
        ('{ datasets(namespace: "") { totalCount } }', "INVALID_NAME"),
        ('{ datasets(namespace: "a/b") { totalCount } }', "INVALID_NAME"),
        ('{ dataset(namespace: "", name: "x") { id } }', "INVALID_NAME"),
        ('{ dataset(namespace: "a\\u0000", name: "x") { id } }', "INVALID_NAME"),
    ):
        assert (await api.run(query)).codes == [code], query
    data = await api.data(
        '{ a: datasets(namePrefix: "\\u0000") { totalCount } b: datasets(tag: "\\u0000 x") { totalCount } '
        'c: dataset(namespace: "sales", name: "orders") { tags(prefix: "\\u0000") { totalCount } } }'
    )
    assert data["a"]["totalCount"] == data["b"]["totalCount"] == data["c"]["tags"]["totalCount"] == 0


@pytest.mark.usefixtures("broken_lake")
async def test_unknown_errors_are_masked_and_logged_once_under_their_trace_id(
    api: Api, orders: Orders, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = await api.run(
            """{ one: dataset(namespace: "sales", name: "orders") { id }
                 two: dataset(namespace: "sales", name: "orders") { id } }"""
        )
    assert answer.codes == ["INTERNAL_ERROR"] * 2
    assert "secret" not in str(answer.errors) and "UnexpectedError" not in str(answer.errors)
    trace_ids = {error["extensions"]["traceId"] for error in answer.errors}
    assert len(trace_ids) == 1
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert trace_ids.pop() in record.getMessage()
    assert record.exc_info and isinstance(record.exc_info[1], UnexpectedError)


@pytest.mark.usefixtures("broken_lake")
async def test_unknown_errors_of_mutations_are_masked_too(api: Api, orders: Orders) -> None:
    answer = await api.run(
        """mutation { createTag(input: { name: "x", on: { dataset: { namespace: "sales", name: "orders" } } })
             { userErrors { message } } }"""
    )
    assert answer.codes == ["INTERNAL_ERROR"] and "secret" not in str(answer.errors)


async def test_expected_errors_are_not_logged(
    api: Api, orders: Orders, caplog: pytest.LogCaptureFixture, catalog: object
) -> None:
    create_broken(catalog)  # type: ignore[arg-type]
    with caplog.at_level(logging.INFO):
        await api.run('{ dataset(namespace: "sales", name: "nope") { id } datasets { nodes { availability } } }')
        await api.run("{ nope }")
        await api.run("{ ")
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def _named(spans: InMemorySpanExporter, start: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name.startswith(start)]


async def test_each_operation_is_a_span_that_holds_those_of_the_stores(
    api: Api, orders: Orders, spans: InMemorySpanExporter
) -> None:
    await api.data('query Look { dataset(namespace: "sales", name: "orders") { id } }')
    await api.data("{ __typename }")
    named, anonymous = _named(spans, "graphql.")
    assert (named.name, anonymous.name) == ("graphql.query Look", "graphql.query anonymous")
    (load,) = _named(spans, "catalog.load_table")
    assert load.context is not None and named.context is not None
    assert load.context.trace_id == named.context.trace_id


@pytest.mark.usefixtures("broken_lake")
async def test_trace_id_of_a_masked_error_is_the_traces(api: Api, orders: Orders, spans: InMemorySpanExporter) -> None:
    answer = await api.run('query Broken { dataset(namespace: "sales", name: "orders") { id } }')
    (span,) = _named(spans, "graphql.")
    assert span.context is not None
    assert answer.errors[0]["extensions"]["traceId"] == trace.format_trace_id(span.context.trace_id)
