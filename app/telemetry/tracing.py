"""Spans, exported over OTLP where its standard environment variables ask for it.

Without `OTEL_EXPORTER_OTLP_ENDPOINT` (or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, or `OTEL_TRACES_EXPORTER=otlp`) no SDK
is loaded, and a span is the API's no-op: no context, no allocation worth measuring.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode

from app.errors import AppError

_TRACER = trace.get_tracer("stratigraph")
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def is_export_wanted(env: Mapping[str, str] | None = None) -> bool:
    """Whether the standard variables ask for traces to be exported."""
    env = os.environ if env is None else env
    if env.get("OTEL_SDK_DISABLED", "").lower() == "true" or env.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    return env.get("OTEL_TRACES_EXPORTER") == "otlp" or any(env.get(name) for name in _ENDPOINTS)


def start_export() -> bool:
    """Set up the SDK and the OTLP/HTTP exporter once, if they are wanted; answers whether they are."""
    if not is_export_wanted():
        return False
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if isinstance(trace.get_tracer_provider(), TracerProvider):
        return True
    name = os.environ.get("OTEL_SERVICE_NAME", "stratigraph")
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return True


@contextmanager
def span(name: str, **attributes: str | int | bool) -> Iterator[Span]:
    """A span around a block. An answered error (`AppError`) is an attribute, any other exception a failed span."""
    with _TRACER.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as current:
        if current.is_recording():
            current.set_attributes({f"stratigraph.{key}": value for key, value in attributes.items()})
        try:
            yield current
        except AppError as error:
            current.set_attribute("stratigraph.error_code", error.code)
            raise
        except Exception as error:
            current.record_exception(error)
            current.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


@contextmanager
def detached_span(name: str, **attributes: str | int | bool) -> Iterator[None]:
    """A span around a block of a generator, which is left and entered again: it is nobody's current span.

    Its parent is the span that is current when it begins.
    """
    own = _TRACER.start_span(name, record_exception=False, set_status_on_exception=False)
    if own.is_recording():
        own.set_attributes({f"stratigraph.{key}": value for key, value in attributes.items()})
    try:
        yield
    except Exception as error:
        own.set_status(Status(StatusCode.ERROR, type(error).__name__))
        raise
    finally:
        own.end()


def current_trace_id() -> str:
    """The id under which the present request can be found: the trace's where there is one, else a random one."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else secrets.token_hex(16)
