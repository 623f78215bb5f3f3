"""Thrift's compact protocol without an IDL: what was read is written again, and what is hostile is refused soon."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.lake.parquet.thrift import (
    NESTED,
    NO_NUMBER,
    Struct,
    find_number,
    holds_i64,
    of_bytes,
    of_int,
    read_list,
    read_numbers,
    read_struct,
    to_bytes,
    to_int,
    write_list,
    write_struct,
)
from app.lake.parquet.wire import (
    BINARY,
    DOUBLE,
    FALSE,
    I8,
    I16,
    I32,
    I64,
    LIST,
    MAP,
    MAX_DEPTH,
    SET,
    STRUCT,
    TRUE,
    UUID,
    MalformedThriftError,
)
from tests.unit.lake.compact.parquet_files import written

INNER = write_struct({1: of_int(I64, -1)})


@pytest.mark.parametrize(
    ("case", "struct"),
    [
        ("empty", {}),
        ("truth values", {1: (TRUE, b""), 2: (FALSE, b"")}),
        ("numbers", {1: (I8, b"\xff"), 2: of_int(I16, -3), 3: of_int(I32, 2**31 - 1), 4: of_int(I64, -(2**63))}),
        ("a double and a uuid", {1: (DOUBLE, b"12345678"), 2: (UUID, b"1234567812345678")}),
        ("bytes", {1: of_bytes(b""), 2: of_bytes(b"\0" * 300)}),
        ("lists", {1: write_list(STRUCT, [INNER] * 20), 2: write_list(TRUE, [b"\1", b"\2"]), 3: (SET, b"\x18\1a")}),
        ("maps", {1: (MAP, b"\0"), 2: (MAP, b"\1\x86\1a\2")}),
        ("a struct in one of a far id", {1: (STRUCT, INNER), 30_000: of_bytes(b"later")}),
    ],
)
def test_a_struct_is_written_as_it_was_read(case: str, struct: Struct) -> None:
    raw = write_struct(struct)

    assert read_struct(raw) == (struct, len(raw)), case
    assert read_struct(b"before" + raw + b"after", 6) == (struct, 6 + len(raw))
    # And no part of it is taken for a whole.
    for end in range(len(raw)):
        with pytest.raises(MalformedThriftError):
            read_struct(raw[:end])


def test_footers_come_out_as_they_went_in(tmp_path: Path) -> None:
    table = pa.table({"a": [1, None], "b": [["x"], None], "c": [{"d": 1.5}, None]})
    content = written(tmp_path / "a.parquet", table, write_page_index=True).read_bytes()
    raw = content[-8 - int.from_bytes(content[-8:-4], "little") : -8]

    assert write_struct(read_struct(raw)[0]) == raw


@pytest.mark.parametrize("number", [0, 1, -1, 63, -64, 64, 2**31, -(2**63), 2**63 - 1])
def test_numbers_come_back(number: int) -> None:
    assert to_int(of_int(I64, number)) == number


@pytest.mark.parametrize(
    ("case", "raw"),
    [
        ("nothing", b""),
        ("a kind that is not known", b"\x1d\0"),
        ("another one", b"\x1f\0"),
        ("a stop with an id", b"\x10\0"),
        ("a field twice", b"\x15\0\x05\2\0\0"),
        ("a number without an end", b"\x16" + b"\x80" * 50 + b"\1\0"),
        ("a list of a billion in a few bytes", b"\x19\xfc\x80\x94\xeb\xdc\x03\0"),
        ("a text of a terabyte", b"\x18" + b"\x80\x80\x80\x80\x80\x20" + b"\0"),
        ("structs in structs", b"\x1c" * 100_000 + b"\0" * 100_001),
        ("lists in lists", b"\x19" + b"\x19" * 100_000),
        ("maps in maps", b"\x1b" + b"\1\xbb" * 100_000),
        ("unsorted far id", b"\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\0"),
    ],
)
def test_hostile_bytes_are_refused_soon_and_without_memory(case: str, raw: bytes) -> None:
    tracemalloc.start()
    started = time.monotonic()
    with pytest.raises(MalformedThriftError):
        read_struct(raw)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 5_000_000, case
    assert time.monotonic() - started < 5


def test_as_deep_as_it_may_be() -> None:
    raw = b"\x1c" * (MAX_DEPTH - 1) + b"\0" * MAX_DEPTH
    assert write_struct(read_struct(raw)[0]) == raw


def test_a_list_of_very_many_elements_is_not_taken_apart() -> None:
    with pytest.raises(MalformedThriftError, match="2097152 elements"):
        read_list(write_list(STRUCT, [b"\0"] * 2**21))


def test_values_of_another_kind_than_is_expected_are_refused() -> None:
    for read, value in ((to_int, of_bytes(b"1")), (to_bytes, of_int(I32, 1)), (read_list, of_int(I32, 1))):
        with pytest.raises(MalformedThriftError, match="expected"):
            read(value)
    with pytest.raises(MalformedThriftError, match="64 bits"):
        to_int((I64, b"\xff" * 9 + b"\x7f"))


def test_numbers_that_may_be_positions_are_found_at_any_depth() -> None:
    deep = write_struct({1: write_list(STRUCT, [write_struct({3: of_bytes(b"a")}), INNER])})

    assert holds_i64(STRUCT, deep)
    assert holds_i64(I64, b"\0")
    assert holds_i64(LIST, write_list(I64, [b"\0"])[1])
    assert holds_i64(MAP, b"\1\x86\1a\2")
    assert not holds_i64(STRUCT, write_struct({1: of_bytes(b"a"), 2: of_int(I32, 7), 3: (TRUE, b"")}))
    assert not holds_i64(BINARY, of_bytes(b"12345678")[1])


_NUMBERS = st.one_of(
    st.builds(of_int, st.sampled_from([I16, I32, I64]), st.integers(-(2**63), 2**63 - 1)),
    st.sampled_from([(TRUE, b""), (FALSE, b"")]),
)
_OTHERS = st.one_of(
    st.builds(of_bytes, st.binary(max_size=20)),
    st.just((DOUBLE, b"12345678")),
    st.builds(lambda some: write_list(STRUCT, [write_struct(some)]), st.just({1: of_int(I32, 7)})),
)
_IDS = st.integers(1, 30) | st.integers(1, 2**15 - 1)
_INNER = st.dictionaries(_IDS, _NUMBERS | _OTHERS, max_size=5)


@given(own=st.dictionaries(_IDS, _NUMBERS | _OTHERS, max_size=6), inner=st.dictionaries(_IDS, _INNER, max_size=2))
def test_numbers_are_read_as_fields_one_by_one_tell_them(own: Struct, inner: dict[int, Struct]) -> None:
    def told(value: tuple[int, bytes]) -> int:
        kind, _ = value
        if kind in (TRUE, FALSE):
            return int(kind == TRUE)
        return to_int(value) if kind in (I16, I32, I64) else NO_NUMBER

    struct = own | {field_id: (STRUCT, write_struct(fields)) for field_id, fields in inner.items()}
    raw = write_struct(struct)

    numbers, end = read_numbers(b"before" + raw + b"after", 6)

    expected = {field_id: told(value) for field_id, value in struct.items()}
    expected |= {outer * NESTED + one: told(value) for outer, some in inner.items() for one, value in some.items()}
    assert (numbers, end) == (expected, 6 + len(raw))
    for end in range(len(raw)):
        with pytest.raises(MalformedThriftError):
            read_numbers(raw[:end])


@pytest.mark.parametrize(
    ("case", "raw", "reason"),
    [
        ("a field twice", b"\x15\x02" + b"\x05\x02\x04" + b"\0", "field 1 is there twice"),
        ("one of a struct twice", b"\x1c" + b"\x15\x02\x05\x02\x04\0" + b"\0", "field 1 is there twice"),
        ("a field 0", b"\x05\x00\x04\0", "there is a field 0"),
        ("more than 64 bits", b"\x16" + b"\xff" * 9 + b"\x7f\0", "does not fit 64 bits"),
        ("a number without end", b"\x16" + b"\xff" * 12 + b"\0", "more than 64 bits"),
        ("a kind that there is not", b"\x1f\0", "kind 15"),
        ("structs without end", b"\x1c" * 5_000, "deep"),
    ],
)
def test_what_is_no_struct_of_numbers_is_refused(case: str, raw: bytes, reason: str) -> None:
    with pytest.raises(MalformedThriftError, match=reason):
        read_numbers(raw)


def test_what_is_no_number_is_not_taken_for_one() -> None:
    numbers, _ = read_numbers(write_struct({1: of_bytes(b"x"), 2: of_int(I32, 5)}))

    assert (find_number(numbers, 2), find_number(numbers, 3)) == (5, None)
    with pytest.raises(MalformedThriftError, match="field 1 is no number"):
        find_number(numbers, 1)
