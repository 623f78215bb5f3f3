"""Long texts and bytes stand in the engine by their beginnings and digests, or a few thousand rows would be gigabytes.

Two of them are equal just when their stand-ins are, as far as SHA-256 tells values apart; and as a stand-in is longer
than any value that stands for itself, none is taken for the other. What is shown of them is read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_LONGEST_BYTES = 128
# So much that a digest of 64 digits makes it longer than the longest, wherever a character ends.
_BEGINNING_BYTES = 72

_OFFSETS: Mapping[pa.DataType, type[np.signedinteger[Any]]] = {
    pa.string(): np.int32,
    pa.binary(): np.int32,
    pa.large_string(): np.int64,
    pa.large_binary(): np.int64,
}

# Stand-ins, by the column that they are in.
StandIns = dict[int, set[bytes]]
Originals = Mapping[tuple[int, bytes], bytes]


def shortened(array: pa.Array) -> pa.Array:
    """A column of texts or bytes with stand-ins for what is long; any other as it is."""
    is_long = _is_long(array)
    if is_long is None:
        return array
    stand_ins = [_stand_in(value, array.type) for value in _long_values(array, is_long)]
    return pc.replace_with_mask(array, is_long, pa.array(stand_ins, pa.binary()).cast(array.type))


def stand_ins_in(table: pa.Table, prefix: str) -> StandIns:
    """The stand-ins in the columns that are named so: `prefix`, `c` and their place."""
    found: StandIns = {}
    for name in table.column_names:
        place = name.removeprefix(f"{prefix}c")
        if not place.isdigit():
            continue
        for chunk in table.column(name).chunks:
            if (is_long := _is_long(chunk)) is not None:
                found.setdefault(int(place), set()).update(_long_values(chunk, is_long))
    return found


def originals_in(array: pa.Array, stand_ins: set[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Those of the stand-ins that stand for values of this column, each with the value."""
    is_long = _is_long(array)
    if is_long is not None:
        for value in _long_values(array, is_long):
            if (stand_in := _stand_in(value, array.type)) in stand_ins:
                yield stand_in, value


def restored(table: pa.Table, prefix: str, originals: Originals) -> pa.Table:
    """A table with the values that its stand-ins stand for."""
    places = {place for place, _ in originals}
    for number, name in enumerate(table.column_names):
        place = name.removeprefix(f"{prefix}c")
        if place.isdigit() and int(place) in places:
            column = table.column(name)
            values = [originals.get((int(place), raw), raw) for raw in column.cast(pa.binary()).to_pylist()]
            table = table.set_column(number, name, pa.array(values, pa.binary()).cast(column.type))
    return table


def _is_long(array: pa.Array) -> pa.Array | None:
    """Which of these are long; None where none is, or they are no texts or bytes."""
    offsets = _OFFSETS.get(array.type)
    if offsets is None or len(array) == 0:
        return None
    ends = np.frombuffer(array.buffers()[1], offsets)[array.offset : array.offset + len(array) + 1]
    # Read off the offsets, as nearly always none is. Of nulls they may say anything.
    if int(np.max(ends[1:] - ends[:-1])) <= _LONGEST_BYTES:
        return None
    is_long = pc.fill_null(pc.greater(pc.binary_length(array), _LONGEST_BYTES), False)
    return is_long if pc.any(is_long).as_py() else None


def _long_values(array: pa.Array, is_long: pa.Array) -> list[bytes]:
    values: list[bytes] = array.filter(is_long).cast(pa.binary()).to_pylist()
    return values


def _stand_in(value: bytes, kind: pa.DataType) -> bytes:
    beginning = value[:_BEGINNING_BYTES]
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        beginning = beginning.decode(errors="ignore").encode()
    return beginning + hashlib.sha256(value).hexdigest().encode()
