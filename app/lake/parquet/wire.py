"""Where values of Thrift's compact protocol end, and its numbers: all that can be told of it without an IDL."""

from __future__ import annotations

from typing import Final

STOP: Final = 0
TRUE: Final = 1
FALSE: Final = 2
I8: Final = 3
I16: Final = 4
I32: Final = 5
I64: Final = 6
DOUBLE: Final = 7
BINARY: Final = 8
LIST: Final = 9
SET: Final = 10
MAP: Final = 11
STRUCT: Final = 12
UUID: Final = 13

# Of elements of a list: of truth values that are fields, the kind says all.
_FIXED_BYTES = {TRUE: 1, FALSE: 1, I8: 1, DOUBLE: 8, UUID: 16}
# Parquet's own structs are six deep.
MAX_DEPTH: Final = 32
_MAX_VARINT_BYTES = 10
LONG_FORM: Final = 15


class MalformedThriftError(ValueError):
    """These bytes are not of the compact protocol, or of a kind that it did not have when this was written."""


def field_end(data: bytes, position: int, kind: int, depth: int) -> int:
    """Where a value of a struct ends."""
    return position if kind in (TRUE, FALSE) else element_end(data, position, kind, depth)


def element_end(data: bytes, position: int, kind: int, depth: int) -> int:
    """Where an element of a list, or a value of a struct that is no truth value, ends."""
    if I16 <= kind <= I64:
        return integer_end(data, position)
    if kind == BINARY:
        length, position = read_varint(data, position)
        end = position + length
    elif kind in _CONTAINERS:
        if depth > MAX_DEPTH:
            raise MalformedThriftError(f"structs and lists lie in one another more than {MAX_DEPTH} deep")
        return _CONTAINERS[kind](data, position, depth)
    elif kind in _FIXED_BYTES:
        end = position + _FIXED_BYTES[kind]
    else:
        raise MalformedThriftError(f"there is a value of kind {kind}, which is not known")
    if end > len(data):
        raise MalformedThriftError(f"a value ends at byte {end} of {len(data)}")
    return end


def integer_end(data: bytes, position: int) -> int:
    """Where a number of 16 to 64 bits ends."""
    end = position
    while data[end] >= 128:
        end += 1
    end += 1
    if end - position > _MAX_VARINT_BYTES:
        raise MalformedThriftError("a number has more than 64 bits")
    return end


def _struct_end(data: bytes, position: int, depth: int) -> int:
    while (header := data[position]) != STOP:
        position += 1
        if header < 16:
            position = integer_end(data, position)
        kind = header & 15
        # Most of what there is, without a call more.
        if I16 <= kind <= I64:
            position = integer_end(data, position)
        elif kind not in (TRUE, FALSE):
            position = element_end(data, position, kind, depth + 1)
    return position + 1


def _list_end(data: bytes, position: int, depth: int) -> int:
    element, count, position = list_header(data, position)
    for _ in range(count):
        position = element_end(data, position, element, depth + 1)
    return position


def _map_end(data: bytes, position: int, depth: int) -> int:
    count, position = read_varint(data, position)
    if count == 0:
        return position
    _check_count(data, count)
    kinds = data[position]
    position += 1
    for _ in range(count):
        for kind in (kinds >> 4, kinds & 15):
            position = element_end(data, position, kind, depth + 1)
    return position


_CONTAINERS: Final = {STRUCT: _struct_end, LIST: _list_end, SET: _list_end, MAP: _map_end}


def list_header(data: bytes, position: int) -> tuple[int, int, int]:
    """Of a list: the kind of its elements, how many there are, and where the first begins."""
    header = data[position]
    position += 1
    count = header >> 4
    if count == LONG_FORM:
        count, position = read_varint(data, position)
    _check_count(data, count)
    return header & 15, count, position


def _check_count(data: bytes, count: int) -> None:
    # Every element has a byte at least.
    if count > len(data):
        raise MalformedThriftError(f"there cannot be {count} elements in {len(data)} bytes")


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """A number that is written in as many bytes as it needs, and where it ends."""
    number = shift = 0
    while True:
        try:
            byte = data[position]
        except IndexError as error:
            raise MalformedThriftError(f"it ends in the middle of a number, at byte {position}") from error
        position += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, position
        shift += 7
        if shift >= 7 * _MAX_VARINT_BYTES:
            raise MalformedThriftError("a number has more than 64 bits")


def varint(number: int) -> bytes:
    """A number that is not negative in as many bytes as it needs."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def zigzag(number: int) -> int:
    """A number of 64 bits as one that is not negative: 0, -1, 1, -2 … as 0, 1, 2, 3 …."""
    return (number << 1) ^ (number >> 63)


def unzigzag(number: int) -> int:
    """The number that `zigzag` made this of."""
    return (number >> 1) ^ -(number & 1)
