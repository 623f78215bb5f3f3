"""Operations as plain entries: the one shape in which REST, Python and the CLI show them."""

from __future__ import annotations

from typing import TypedDict

from app.domain.operations import Operation
from app.errors import JsonValue
from app.services.listings import to_utc_text


class OperationErrorEntry(TypedDict):
    """What an operation failed of; `fields` are the facts of the error."""

    code: str
    message: str
    fields: dict[str, JsonValue]


class OperationListEntry(TypedDict):
    """One operation among others, without its result; times are RFC 3339 in UTC, `progress` is from 0 to 1."""

    id: str
    kind: str
    status: str
    progress: float
    message: str | None
    started_at: str | None
    ended_at: str | None
    error: OperationErrorEntry | None
    request: dict[str, JsonValue]
    requested_at: str
    requested_by: str
    reason: str | None
    cancel_requested: bool


class OperationEntry(OperationListEntry):
    """One operation with its result; None as long as it has not succeeded."""

    result: JsonValue


def operation_list_entry(operation: Operation) -> OperationListEntry:
    """The entry of an operation in a list."""
    failure = operation.failure
    return OperationListEntry(
        id=str(operation.operation_id),
        kind=operation.kind.value,
        status=operation.status.value,
        progress=operation.progress,
        message=operation.message,
        started_at=None if operation.started_at is None else to_utc_text(operation.started_at),
        ended_at=None if operation.ended_at is None else to_utc_text(operation.ended_at),
        error=None
        if failure is None
        else OperationErrorEntry(code=failure.code, message=failure.message, fields=dict(failure.fields)),
        request=dict(operation.request),
        requested_at=to_utc_text(operation.requested_at),
        requested_by=operation.requested_by.subject,
        reason=operation.reason,
        cancel_requested=operation.is_cancel_requested,
    )


def operation_entry(operation: Operation, result: JsonValue) -> OperationEntry:
    """The entry of an operation by itself."""
    return OperationEntry(**operation_list_entry(operation), result=result)
