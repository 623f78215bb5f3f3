"""Spans by themselves: when they are exported, what they carry, and the trace id that clients are told."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from app.errors import DatasetNotFoundError
from app.telemetry.tracing import current_trace_id, is_export_wanted, span


@pytest.mark.parametrize(
    ("case", "env", "is_wanted"),
    [
        ("nothing set", {}, False),
        ("endpoint", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ("traces endpoint", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ("empty endpoint", {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ("exporter named", {"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ("another exporter", {"OTEL_TRACES_EXPORTER": "console"}, False),
        ("traces off", {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a"}, False),
        ("SDK off", {"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a"}, False),
        ("SDK not off", {"OTEL_SDK_DISABLED": "false", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a"}, True),
    ],
)
def test_standard_variables_decide_about_export(case: str, env: dict[str, str], is_wanted: bool) -> None:
    assert is_export_wanted(env) is is_wanted, case


def test_span_carries_its_attributes(spans: InMemorySpanExporter) -> None:
    with span("catalog.load_table", dataset="sales.orders", count=3, is_cached=True):
        pass
    (ended,) = spans.get_finished_spans()
    assert ended.name == "catalog.load_table"
    assert dict(ended.attributes or {}) == {
        "stratigraph.dataset": "sales.orders",
        "stratigraph.count": 3,
        "stratigraph.is_cached": True,
    }
    assert ended.status.status_code is StatusCode.UNSET


def test_expected_error_is_an_attribute_and_no_failure(spans: InMemorySpanExporter) -> None:
    with pytest.raises(DatasetNotFoundError), span("catalog.load_table"):
        raise DatasetNotFoundError("sales.nope")
    (ended,) = spans.get_finished_spans()
    assert dict(ended.attributes or {}) == {"stratigraph.error_code": DatasetNotFoundError("sales.nope").code}
    assert ended.status.status_code is StatusCode.UNSET
    assert ended.events == ()


def test_unknown_error_fails_the_span_with_its_stack(spans: InMemorySpanExporter) -> None:
    with pytest.raises(ZeroDivisionError), span("catalog.load_table"):
        raise ZeroDivisionError("by zero")
    (ended,) = spans.get_finished_spans()
    assert ended.status.status_code is StatusCode.ERROR
    assert ended.status.description == "ZeroDivisionError"
    (event,) = ended.events
    assert event.attributes is not None
    assert event.attributes["exception.type"] == "ZeroDivisionError"
    assert "test_tracing.py" in str(event.attributes["exception.stacktrace"])


def test_trace_id_is_that_of_the_active_span(spans: InMemorySpanExporter) -> None:
    with span("outer") as outer, span("inner"):
        told = current_trace_id()
    assert told == trace.format_trace_id(outer.get_span_context().trace_id)
    assert {ended.context.trace_id for ended in spans.get_finished_spans() if ended.context} == {int(told, 16)}


def test_without_a_span_each_trace_id_is_new() -> None:
    told = {current_trace_id() for _ in range(100)}
    assert len(told) == 100
    assert all(len(trace_id) == 32 and int(trace_id, 16) for trace_id in told)
