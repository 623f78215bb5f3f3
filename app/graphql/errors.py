"""What clients are shown of errors: expected ones with their facts, unknown ones masked under a trace id."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from graphql import GraphQLError, GraphQLSyntaxError

from app.errors import AppError, Category
from app.telemetry.tracing import current_trace_id

INTERNAL_ERROR = "INTERNAL_ERROR"
PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
BAD_REQUEST = "BAD_REQUEST"

# GraphQL quotes the text it refuses, however long.
MAX_MESSAGE_CHARS = 500

_log = logging.getLogger(__name__)


def error_of(
    error: AppError, path: Sequence[str | int] | None = None, located: GraphQLError | None = None
) -> GraphQLError:
    """The GraphQL error that tells an expected error, with its facts in `extensions`."""
    return GraphQLError(
        located.message if located else error.message,
        nodes=located.nodes if located else None,
        source=located.source if located else None,
        positions=located.positions if located else None,
        path=list(path) if path is not None else None,
        original_error=error,
        extensions={
            "code": error.code,
            "category": error.category.value,
            "fields": error.fields,
            "docs": error.docs,
            "retryable": error.handling.is_retryable,
        },
    )


def cause_of(error: GraphQLError) -> Exception | None:
    """The exception below GraphQL's own wrappers; None where GraphQL itself refused the request."""
    cause: Exception | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause


def present_errors(errors: Sequence[GraphQLError]) -> list[GraphQLError]:
    """The errors as clients are shown them; each unknown cause is logged once, with its stack.

    Errors of parsing and validation stay as they are, with a code.
    """
    trace_id = current_trace_id()
    logged: set[int] = set()
    shown = []
    for error in errors:
        cause = cause_of(error)
        if isinstance(cause, AppError):
            shown.append(error_of(cause, error.path, error))
        elif cause is None or _is_of_a_literal(error, cause):
            shown.append(_with_code(error))
        else:
            if id(cause) not in logged:
                logged.add(id(cause))
                where = ".".join(map(str, error.path or ())) or "the request"
                _log.error("GraphQL: %s failed unexpectedly, trace %s", where, trace_id, exc_info=cause)
            shown.append(_masked(error, trace_id))
    return shown


def is_internal(error: GraphQLError) -> bool:
    """Whether an error, once presented, hides an unknown one."""
    return (error.extensions or {}).get("code") == INTERNAL_ERROR


def _is_of_a_literal(error: GraphQLError, cause: Exception) -> bool:
    # GraphQL's own scalars let some literals through to Python: an Int of 5,000 digits is a ValueError of `int`.
    return isinstance(cause, ValueError) and error.path is None and bool(error.nodes)


def _with_code(error: GraphQLError) -> GraphQLError:
    code = PARSE_FAILED if isinstance(error, GraphQLSyntaxError) else VALIDATION_FAILED
    extensions = {"code": code, "category": Category.INVALID.value, **(error.extensions or {})}
    message = error.message if len(error.message) <= MAX_MESSAGE_CHARS else error.message[:MAX_MESSAGE_CHARS] + "…"
    return GraphQLError(message, error.nodes, error.source, error.positions, error.path, None, extensions)


def _masked(error: GraphQLError, trace_id: str) -> GraphQLError:
    return GraphQLError(
        "Something went wrong here; the log tells more under the trace id.",
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions={"code": INTERNAL_ERROR, "traceId": trace_id},
    )
