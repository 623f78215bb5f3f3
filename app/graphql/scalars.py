"""The scalars of the schema: how each is written, and what of a client's input each accepts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NewType
from uuid import UUID

import strawberry
from graphql import GraphQLError, IntValueNode, StringValueNode, ValueNode, print_ast
from strawberry.types.scalar import ScalarDefinition

from app.domain.versions import INT64_MAX, INT64_MIN, parse_instant, parse_snapshot_id
from app.errors import AppError, InvalidArgumentError

SnapshotId = NewType("SnapshotId", int)
BigInt = NewType("BigInt", int)
JSON = NewType("JSON", object)

# JavaScript and both common gateways round JSON numbers above this one.
MAX_SAFE_INTEGER = 2**53 - 1

_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)


def _refusal(error: AppError) -> GraphQLError:
    # The scalar's own error is what graphql-core shows; the AppError inside gives it its code and fields.
    return GraphQLError(error.message, original_error=error)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _digits_of(scalar: str, value: object) -> str:
    """The decimal text of a JSON string or a JSON number that no client has rounded."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise _refusal(
            InvalidArgumentError(scalar, f"{_shown(value)} is neither a decimal string nor a whole JSON number")
        )
    if abs(value) > MAX_SAFE_INTEGER:
        raise _unsafe(scalar, str(value))
    return str(value)


def _unsafe(scalar: str, digits: str) -> GraphQLError:
    reason = "a number above 2^53-1 may have been rounded on its way; write it as a string"
    return _refusal(InvalidArgumentError(scalar, f"{digits[:60]}: {reason}"))


def _literal_value(scalar: str, node: ValueNode) -> object:
    if isinstance(node, StringValueNode):
        return node.value
    if isinstance(node, IntValueNode):
        if len(node.value) > 20:  # Python refuses to parse numbers of thousands of digits
            raise _unsafe(scalar, node.value)
        return int(node.value)
    raise _refusal(InvalidArgumentError(scalar, f"{_shown(print_ast(node))} is neither a string nor a whole number"))


def parse_snapshot_id_value(value: object) -> SnapshotId:
    """A snapshot id from a variable."""
    digits = _digits_of("SnapshotId", value)
    try:
        return SnapshotId(parse_snapshot_id(digits))
    except AppError as error:
        raise _refusal(error) from error


def parse_big_int_value(value: object) -> BigInt:
    """A 64-bit integer from a variable."""
    digits = _digits_of("BigInt", value)
    if not _INTEGER.fullmatch(digits) or not INT64_MIN <= int(digits) <= INT64_MAX:
        raise _refusal(InvalidArgumentError("BigInt", f"{_shown(digits)} is no 64-bit integer in decimal digits"))
    return BigInt(int(digits))


def parse_date_time_value(value: object) -> datetime:
    """An instant in UTC from a variable."""
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        example = "write an RFC 3339 instant such as 2026-02-15T10:00:00Z"
        raise _refusal(InvalidArgumentError("DateTime", f"{_shown(value)} is no instant; {example}"))
    try:
        return parse_instant(value.upper().replace(" ", "T"))
    except AppError as error:
        raise _refusal(error) from error


def write_date_time(instant: datetime) -> str:
    """RFC 3339 in UTC, always with microseconds."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _literal_parser(scalar: str, parse: Callable[[object], object]) -> Callable[..., object]:
    def parse_literal(node: ValueNode, _variables: Mapping[str, object] | None = None) -> object:
        try:
            return parse(_literal_value(scalar, node))
        except GraphQLError as error:
            raise GraphQLError(error.message, node, original_error=error.original_error) from error

    return parse_literal


def parse_uuid(text: str, argument: str) -> UUID:
    """A UUID, as clients write it. Raises InvalidArgumentError."""
    if not _UUID.fullmatch(text):
        raise InvalidArgumentError(argument, f"{_shown(text)} is no UUID")
    return UUID(text)


def to_json(value: Any) -> JSON:
    """A JSON value as clients can read it: whole numbers beyond 2^53-1 are decimal strings.

    What is stored is nested a bounded number of levels deep.
    """
    return JSON(_without_large_integers(value))


def _without_large_integers(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_large_integers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_large_integers(item) for item in value]
    is_large = isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_SAFE_INTEGER
    return str(value) if is_large else value


def _parse_json_value(value: object) -> Any:
    return value


SCALARS: dict[object, ScalarDefinition] = {
    SnapshotId: strawberry.scalar(
        name="SnapshotId",
        description="Signed 64-bit snapshot id, always a decimal string. As input a JSON number is taken too, up to "
        "2^53-1: larger ones are rounded by JavaScript and by gateways.",
        serialize=str,
        parse_value=parse_snapshot_id_value,
        parse_literal=_literal_parser("SnapshotId", parse_snapshot_id_value),
    ),
    BigInt: strawberry.scalar(
        name="BigInt",
        description="Signed 64-bit integer as a decimal string.",
        serialize=str,
        parse_value=parse_big_int_value,
        parse_literal=_literal_parser("BigInt", parse_big_int_value),
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="RFC 3339 instant in UTC, with microseconds: `2026-02-15T10:00:00.000000Z`. As input any offset "
        "is taken.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=write_date_time,
        parse_value=parse_date_time_value,
        parse_literal=_literal_parser("DateTime", parse_date_time_value),
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value. Integers beyond 2^53-1, decimals and NaN are strings in it, so that no client "
        "rounds them.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        serialize=_parse_json_value,
        parse_value=_parse_json_value,
    ),
}
