"""Thrift's compact protocol, read and written without an IDL: what nobody here knows of is kept as the bytes it is.

A struct is read one level deep. Its fields are bytes until somebody asks for more, so that what is copied need not be
understood, costs no more than finding its end, and comes out as it went in.

Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md; why it is our own is in
docs/decisions/0019.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from app.lake.parquet.wire import (
    BINARY,
    FALSE,
    I16,
    I64,
    LIST,
    LONG_FORM,
    MAP,
    SET,
    STOP,
    STRUCT,
    TRUE,
    MalformedThriftError,
    element_end,
    field_end,
    integer_end,
    list_header,
    read_varint,
    unzigzag,
    varint,
    zigzag,
)

# Of bytes, a position and the kind of the value there: reads it, and answers where it ends.
ReadInner = Callable[[bytes, int, int], int]
# Of a list that is taken apart: no table has as many columns, and no file as many row groups.
MAX_ELEMENTS = 2**20
# More than there are fields in a struct.
NESTED: Final = 2**16
# In place of values that are none: less than any number of 64 bits.
NO_NUMBER: Final = -(2**63) - 1

# Of each field, by its id: the kind of its value, and the value as it is in the file.
Struct = dict[int, tuple[int, bytes]]


def read_struct(data: bytes, start: int = 0, inner: Mapping[int, ReadInner] | None = None) -> tuple[Struct, int]:
    """A struct that begins at `start`, and where it ends. About a microsecond a field.

    Fields of `inner` are not in it: they are read where they are, by the function that is given for each.

    Raises:
        MalformedThriftError: there is no struct.
    """
    struct: Struct = {}
    position, field_id = start, 0
    try:
        while (header := data[position]) != STOP:
            position += 1
            kind = header & 15
            if delta := header >> 4:
                field_id += delta
            else:
                number, position = read_varint(data, position)
                field_id = unzigzag(number)
            if field_id in struct:
                raise MalformedThriftError(f"field {field_id} is there twice")
            if inner and field_id in inner:
                position = inner[field_id](data, position, kind)
                continue
            # Most of what there is, without a call more.
            end = integer_end(data, position) if I16 <= kind <= I64 else field_end(data, position, kind, 1)
            struct[field_id] = (kind, data[position:end])
            position = end
    except IndexError as error:
        raise MalformedThriftError(f"it ends in the middle of a struct, at byte {len(data)}") from error
    return struct, position + 1


def read_numbers(data: bytes, start: int = 0) -> tuple[dict[int, int], int]:
    """The numbers of a struct that begins at `start`, by the ids of their fields, and where it ends.

    Those of structs in it are there too, by the id of the outer field times `NESTED` and their own; truth values are 1
    and 0, and all other values NO_NUMBER. Half a microsecond a field, and a tenth of that compiled: nothing is copied.

    Raises:
        MalformedThriftError: there is no struct.
    """
    numbers: dict[int, int] = {}
    try:
        return numbers, _read_numbers(data, start, numbers, 0)
    except IndexError as error:
        raise MalformedThriftError(f"it ends in the middle of a struct, at byte {len(data)}") from error


def find_number(numbers: Mapping[int, int], key: int) -> int | None:
    """Of what `read_numbers` answers, the number that may be there.

    Raises:
        MalformedThriftError: it is something else.
    """
    number = numbers.get(key)
    if number == NO_NUMBER:
        raise MalformedThriftError(f"field {key % NESTED} is no number")
    return number


def _read_numbers(data: bytes, position: int, numbers: dict[int, int], base: int) -> int:
    field_id = 0
    while (header := data[position]) != STOP:
        position += 1
        kind = header & 15
        if delta := header >> 4:
            field_id += delta
        else:
            number, position = read_varint(data, position)
            field_id = unzigzag(number)
        if not 0 < field_id < NESTED:
            raise MalformedThriftError(f"there is a field {field_id}")
        key = base + field_id
        if key in numbers:
            raise MalformedThriftError(f"field {field_id} is there twice")
        if I16 <= kind <= I64:
            if (byte := data[position]) < 128:
                numbers[key] = unzigzag(byte)
                position += 1
            else:
                number, position = read_varint(data, position)
                numbers[key] = _of_64_bits(unzigzag(number))
        elif kind in (TRUE, FALSE):
            numbers[key] = int(kind == TRUE)
        else:
            numbers[key] = NO_NUMBER
            if kind == STRUCT and base == 0:
                position = _read_numbers(data, position, numbers, field_id * NESTED)
            else:
                position = element_end(data, position, kind, 2)
    return position + 1


def read_structs(read: Callable[[bytes, int], int]) -> ReadInner:
    """A reader of a list of structs, each with `read`, which answers where it ends."""

    def read_inner(data: bytes, position: int, kind: int) -> int:
        element, count, position = list_header(data, position) if kind == LIST else (kind, 1, position)
        if element != STRUCT or kind != LIST:
            raise MalformedThriftError(f"structs are expected, and there are values of kind {element}")
        for _ in range(count):
            position = read(data, position)
        return position

    return read_inner


def write_struct(struct: Struct) -> bytes:
    """The struct as bytes, its fields in the order of their ids."""
    out = bytearray()
    last = 0
    for field_id, (kind, raw) in sorted(struct.items()):
        delta = field_id - last
        if 0 < delta <= LONG_FORM:
            out.append(delta << 4 | kind)
        else:
            out.append(kind)
            out += varint(zigzag(field_id))
        out += raw
        last = field_id
    out.append(STOP)
    return bytes(out)


def read_list(value: tuple[int, bytes] | None) -> tuple[int, list[bytes]]:
    """The kind of a list's elements, and each of them as bytes; of None, no elements.

    Raises:
        MalformedThriftError: it is no list.
    """
    if value is None:
        return STRUCT, []
    kind, raw = value
    if kind not in (LIST, SET):
        raise MalformedThriftError(f"a list is expected, and there is a value of kind {kind}")
    element, count, position = list_header(raw, 0)
    if count > MAX_ELEMENTS:
        raise MalformedThriftError(f"a list has {count} elements")
    elements = []
    for _ in range(count):
        end = element_end(raw, position, element, 1)
        elements.append(raw[position:end])
        position = end
    return element, elements


def write_list(kind: int, elements: list[bytes]) -> tuple[int, bytes]:
    """A list of elements of one kind."""
    count = len(elements)
    head = bytes([count << 4 | kind]) if count < LONG_FORM else bytes([LONG_FORM << 4 | kind]) + varint(count)
    return LIST, head + b"".join(elements)


def to_int(value: tuple[int, bytes]) -> int:
    """The number that a field of 16 to 64 bits has.

    Raises:
        MalformedThriftError: it is no such field.
    """
    kind, raw = value
    if not I16 <= kind <= I64:
        raise MalformedThriftError(f"a number is expected, and there is a value of kind {kind}")
    return _of_64_bits(unzigzag(read_varint(raw, 0)[0]))


def _of_64_bits(number: int) -> int:
    if not -(2**63) <= number < 2**63:
        raise MalformedThriftError(f"{number} does not fit 64 bits")
    return number


def of_int(kind: int, number: int) -> tuple[int, bytes]:
    """A field of a number."""
    return kind, varint(zigzag(number))


def to_bytes(value: tuple[int, bytes]) -> bytes:
    """The bytes that a field of bytes, or of a text, has.

    Raises:
        MalformedThriftError: it is no such field.
    """
    kind, raw = value
    if kind != BINARY:
        raise MalformedThriftError(f"bytes are expected, and there is a value of kind {kind}")
    return raw[read_varint(raw, 0)[1] :]


def of_bytes(content: bytes) -> tuple[int, bytes]:
    """A field of bytes, or of a text in UTF-8."""
    return BINARY, varint(len(content)) + content


def holds_i64(kind: int, raw: bytes) -> bool:
    """Whether a value is or has in it a number of 64 bits, at any depth; true of maps, which are not looked into."""
    if kind == STRUCT:
        return any(holds_i64(*field) for field in read_struct(raw)[0].values())
    if kind in (LIST, SET):
        element, elements = read_list((kind, raw))
        return any(holds_i64(element, one) for one in elements)
    return kind in (I64, MAP)
