"""Dictionaries that say of each value what it is, once, in their order: they are the values themselves.

Writers begin each column with a dictionary, and small files end before it has become too large. Where no value comes
twice, the places in it are 0, 1, 2 …, and the page of the dictionary has, byte for byte, what a page of plain values
has.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from app.lake.compact.merging.codecs import decompressed, is_known
from app.lake.compact.merging.pages import Page
from app.lake.parquet.wire import read_varint, varint

_PACKED = 8
# The largest bodies of which it is remembered what they are: those of some thousands of values.
_REMEMBERED_BYTES = 16 * 1024


def is_identity(content: bytes, pages: Sequence[Page], dictionary_values: int, codec: int, deepest: int) -> bool:
    """Whether the places in the dictionary that these pages of a file have, all together, are 0, 1, 2 … to its end.

    `pages` are all data pages of a chunk that go by its dictionary, and `deepest` is the definition level of a value
    that is not null; the column is not repeated. False also where there are nulls, or it cannot be told. Costs
    decompressing the pages.

    Raises:
        MalformedThriftError: a page cannot be decompressed.
    """
    if sum(page.values for page in pages) != dictionary_values:
        return False
    if not is_known(codec):
        return False
    is_single = dictionary_values == len(pages) == 1
    first = 0
    for page in pages:
        how = _How(page.values, page.uncompressed_bytes, page.levels, page.is_compressed, codec, deepest)
        body = content[page.body : page.end]
        if is_single:
            # Of one value there is one place, however it is written.
            return _places(body, how) is not None
        counts_up = _counts_up_again if len(body) <= _REMEMBERED_BYTES else _counts_up
        if not counts_up(body, how, first):
            return False
        first += page.values
    return True


def all_defined(values: int, deepest: int) -> bytes:
    """The definition levels of so many values that are not null; none where values cannot be null."""
    return varint(values << 1) + bytes([deepest]) if deepest else b""


class _How(NamedTuple):
    """How the body of a page is to be read: how many values it has, and what of `Page` it takes."""

    values: int
    uncompressed_bytes: int
    levels: tuple[int, int] | None
    is_compressed: bool
    codec: int
    deepest: int


def _places(body: bytes, how: _How) -> bytes | None:
    """The encoded places of a page without nulls; None of one with nulls."""
    levels = all_defined(how.values, how.deepest)
    if how.levels is not None:
        repetition, definition = how.levels
        if repetition or body[:definition] != levels:
            return None
        rest = body[definition:]
        return decompressed(rest, how.uncompressed_bytes - definition, how.codec) if how.is_compressed else rest
    content = decompressed(body, how.uncompressed_bytes, how.codec)
    if not how.deepest:
        return content
    start = 4 + len(levels)
    return content[start:] if content[:start] == len(levels).to_bytes(4, "little") + levels else None


def _counts_up(body: bytes, how: _How, first: int) -> bool:
    """Whether a page without nulls has the numbers from `first` on, in the hybrid of runs and packed bits that Parquet
    calls RLE.
    """
    places = _places(body, how)
    if places is None:
        return False
    count = how.values
    width = places[0] if places else 0
    # Of numbers that need more bits the last ones may be those of smaller numbers.
    if not 0 < width <= 32 or (first + count - 1) >> width:
        return False
    parts: list[bytes] = []
    position, packed = 1, 0
    size = len(places)
    while packed < count and position < size:
        # Most headers are a byte.
        if (header := places[position]) < 128:
            position += 1
        else:
            header, position = read_varint(places, position)
        if not header & 1:
            return False  # a run of one number
        groups = header >> 1
        end = position + groups * width
        if end > size:
            return False
        parts.append(places[position:end])
        packed += groups * _PACKED
        position = end
    if packed < count or packed - count >= _PACKED:
        return False
    joined = b"".join(parts)
    whole, rest = divmod(count, _PACKED)
    expected = _ascending(width, first, -(-count // _PACKED))
    if joined[: whole * width] != expected[: whole * width]:
        return False
    # What the last group is filled up with means nothing.
    mask = (1 << rest * width) - 1
    ends = (int.from_bytes(some[whole * width : (whole + 1) * width], "little") for some in (joined, expected))
    return len({end & mask for end in ends}) == 1 if rest else True


# Files of as many rows have the same page in every column in which no value comes twice.
_counts_up_again = lru_cache(maxsize=64)(_counts_up)


def _ascending(width: int, first: int, groups: int) -> bytes | memoryview:
    """The numbers from `first` on as packed bits of this width, eight a group: so many groups at least."""
    if first % _PACKED:
        return _packed(width, first, groups)
    skipped = first // _PACKED
    # The same for all pages that begin within twice as many: the bits of the largest dictionaries take megabytes.
    whole = _packed_from_zero(width, 1 << max(0, skipped + groups - 1).bit_length())
    return memoryview(whole)[skipped * width :]


@lru_cache(maxsize=32)
def _packed_from_zero(width: int, groups: int) -> bytes:
    return _packed(width, 0, groups)


def _packed(width: int, first: int, groups: int) -> bytes:
    numbers = np.arange(first, first + groups * _PACKED, dtype="<u4")
    bits = np.unpackbits(numbers.view(np.uint8).reshape(-1, 4), axis=1, bitorder="little")
    return np.packbits(bits[:, :width], bitorder="little").tobytes()
