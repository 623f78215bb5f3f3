"""Values of columns as Iceberg's metrics have them: least and greatest ones, as bytes, cut short.

pyiceberg's own way is not used: it knows dates and times as Python's, which end with the year 9999; it cuts texts off
before a surrogate, which is no character; and of row groups without statistics it knows nothing, which are those with
a value above 4,096 bytes.
"""

from __future__ import annotations

import struct
from typing import Any

from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    PrimitiveType,
    StringType,
)

_FORMATS: dict[type[PrimitiveType], str] = {
    BooleanType: "<?",
    IntegerType: "<i",
    DateType: "<i",
    FloatType: "<f",
    DoubleType: "<d",
}
_LAST_CHARACTER = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)


def comparable(kind: PrimitiveType, raw: Any) -> Any:
    """A value of Parquet's statistics, in the order of the type: decimals are bytes in some."""
    return int.from_bytes(raw, "big", signed=True) if isinstance(kind, DecimalType) and isinstance(raw, bytes) else raw


def lower_bound(kind: PrimitiveType, value: Any, length: int | None) -> bytes:
    """The least value, or of a text or bytes its beginning (Iceberg spec, "Binary single-value serialization")."""
    if length is not None and isinstance(kind, StringType):
        return bytes(value.decode()[:length].encode())
    if length is not None and isinstance(kind, BinaryType):
        return bytes(value[:length])
    return _to_bytes(kind, value)


def upper_bound(kind: PrimitiveType, value: Any, length: int | None) -> bytes | None:
    """The greatest value, or what of `length` is above it; None where nothing of that length is."""
    if length is not None and isinstance(kind, StringType):
        return _next_text(value.decode(), length)
    if length is not None and isinstance(kind, BinaryType):
        return _next_bytes(value, length)
    return _to_bytes(kind, value)


def _next_text(text: str, length: int) -> bytes | None:
    if len(text) <= length:
        return text.encode()
    for end in range(length, 0, -1):
        following = ord(text[end - 1]) + 1
        if following in _SURROGATES:
            following = _SURROGATES.stop
        if following <= _LAST_CHARACTER:
            return (text[: end - 1] + chr(following)).encode()
    return None


def _next_bytes(value: bytes, length: int) -> bytes | None:
    if len(value) <= length:
        return bytes(value)
    kept = value[:length].rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else None


def _to_bytes(kind: PrimitiveType, value: Any) -> bytes:
    if isinstance(kind, DecimalType):
        # The fewest bytes that hold the unscaled value with its sign.
        size = (value + (value < 0)).bit_length() // 8 + 1
        return int(value).to_bytes(size, "big", signed=True)
    if isinstance(value, bytes):
        return value
    return struct.pack(_FORMATS.get(type(kind), "<q"), value)
