"""Reading the JSON body of a request: strictly, and with the JSON pointer of whatever is wrong with it."""

from __future__ import annotations

import difflib
import json
import re
from typing import Any, NoReturn, Self, TypeVar

import anyio
from anyio import to_thread
from anyio.lowlevel import RunVar
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from starlette.requests import Request

from app.domain.json_values import GREATEST_INTEGER, LEAST_INTEGER, MAX_NESTING, find_fault, pointer_step
from app.errors import BodyTooLargeError, InvalidBodyError
from app.rest.problems import HttpProblemError

JSON = "application/json"
JSON_TYPE = re.compile(r"application/([\w.-]+\+)?json")
# Up to this size reading takes a few milliseconds, less than it costs to go to a thread and back under load.
INLINE_BYTES = 64 * 1024
# Large bodies take many times their size as values: a few at once, and the others wait.
LARGE_AT_ONCE = 2
_MAX_INTEGER_CHARS = len(str(LEAST_INTEGER))
_REASONS = {
    "missing": "it is missing",
    "string_type": "a text is needed",
    "bool_type": "true or false is needed",
    "int_type": "a whole number is needed",
    "float_type": "a number is needed",
    "list_type": "a list is needed",
    "dict_type": "an object is needed",
    "model_type": "an object is needed",
}


class Body(BaseModel):
    """The members of a JSON object: those that are declared and no others, each of exactly its type."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, arbitrary_types_allowed=True)

    @model_validator(mode="before")
    @classmethod
    def _know_all_members(cls, value: Any) -> Any:
        # Ahead of pydantic, which would make an error of each of a million unknown members.
        if isinstance(value, dict):
            for name in value:
                if name not in cls.model_fields:
                    close = difflib.get_close_matches(name[:64], cls.model_fields, n=1, cutoff=0.5)
                    raise PydanticCustomError("unknown_member", "unknown", {"member": name, "suggestions": close})
        return value

    @classmethod
    def read(cls, value: object) -> Self:
        """The body that a JSON value is. Raises InvalidBodyError with the first thing that is wrong."""
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            _refuse(error)


BodyType = TypeVar("BodyType", bound=Body)


async def read_body(
    request: Request, body_type: type[BodyType], *, max_bytes: int, is_optional: bool = False
) -> BodyType:
    """The body of a request. An optional one may be empty, which is an object without members.

    Raises:
        InvalidBodyError: it is no JSON, or not the JSON that is wanted.
        BodyTooLargeError: it has more than `max_bytes`.
        HttpProblemError: it is sent as something else than JSON, or compressed.
    """
    data = await read_bytes(request, max_bytes)
    if not data and is_optional:
        return body_type.read({})
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # A form of another site can send anything but JSON without asking (CORS), so that the type is insisted on.
    if not JSON_TYPE.fullmatch(media_type):
        raise HttpProblemError(415, "UNSUPPORTED_MEDIA_TYPE", f"The body is sent as {JSON}.", {"Accept": JSON})
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        raise HttpProblemError(
            415, "UNSUPPORTED_MEDIA_TYPE", "The body is not compressed here.", {"Accept-Encoding": "identity"}
        )
    if len(data) <= INLINE_BYTES:
        return body_type.read(parse_json(data))
    return await to_thread.run_sync(lambda: body_type.read(parse_json(data)), limiter=_large())


async def read_bytes(request: Request, max_bytes: int) -> bytes:
    """The bytes of a body, never many more than `max_bytes` of them.

    Raises:
        BodyTooLargeError: there are more.
        ClientDisconnect: the client has hung up.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > max_bytes:
        raise BodyTooLargeError(max_bytes)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise BodyTooLargeError(max_bytes)
    return bytes(body)


def parse_json(data: bytes) -> object:
    """The value of a JSON text in UTF-8, of which all can be kept.

    Raises:
        InvalidBodyError: it is no JSON, names a member twice, or holds what cannot be kept (numbers beyond 64 bits,
            NaN, NUL, lone surrogates, deep nesting).
    """
    repeated: list[tuple[dict[str, object], str]] = []

    def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names: set[str] = set()
            twice = next(name for name, _ in pairs if name in names or names.add(name))  # type: ignore[func-returns-value]
            repeated.append((found, twice))
        return found

    try:
        text = data.decode("utf-8-sig")
        # Not orjson: it rounds integers above 2^64 to floats, and lets a member be named twice.
        value = json.loads(text, parse_int=_whole, parse_constant=float, object_pairs_hook=members)
    except UnicodeDecodeError as error:
        raise InvalidBodyError("", f"it is not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise InvalidBodyError("", f"it is no JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise InvalidBodyError("", f"it is nested deeper than {MAX_NESTING} levels") from error
    if (fault := find_fault(value)) is not None:
        raise InvalidBodyError(*fault)
    if repeated:
        where, name = repeated[0]
        raise InvalidBodyError(_pointer_to(value, where) + pointer_step(name), "the member is there twice")
    return value


def _whole(text: str) -> int:
    # Python refuses to parse numbers of thousands of digits; none of that length fits anyway.
    return int(text) if len(text) <= _MAX_INTEGER_CHARS else 2 * GREATEST_INTEGER


def _pointer_to(root: object, wanted: object) -> str:
    waiting: list[tuple[object, str]] = [(root, "")]
    while waiting:
        item, pointer = waiting.pop()
        if item is wanted:
            return pointer
        if isinstance(item, dict):
            waiting += [(child, pointer + pointer_step(key)) for key, child in item.items()]
        elif isinstance(item, list):
            waiting += [(child, f"{pointer}/{place}") for place, child in enumerate(item)]
    return ""


def _refuse(error: ValidationError) -> NoReturn:
    first = error.errors(include_url=False, include_input=False)[0]
    pointer = "".join(pointer_step(step) for step in first["loc"])
    context = first.get("ctx", {})
    if first["type"] == "unknown_member":
        raise InvalidBodyError(
            pointer + pointer_step(context["member"]), "there is no such member", suggestions=context["suggestions"]
        ) from error
    reason = str(context["error"]) if first["type"] == "value_error" else _REASONS.get(first["type"], first["msg"])
    raise InvalidBodyError(pointer, reason) from error


def _large() -> anyio.CapacityLimiter:
    try:
        return _limiter.get()
    except LookupError:
        _limiter.set(limiter := anyio.CapacityLimiter(LARGE_AT_ONCE))
        return limiter


# One for each event loop.
_limiter: RunVar[anyio.CapacityLimiter] = RunVar("large bodies")
