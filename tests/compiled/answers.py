"""What the modules that may be compiled answer to bytes that are as they should be, and to some that are not.

Prints a line for each question. Compiled and interpreted, all are the same, errors and their messages too.
"""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module

import pyarrow as pa
import pyarrow.parquet as pq

from app.lake.compact.copying.survey import survey_row_groups
from app.lake.compact.merging.columns import ColumnShape, SourceChunk, merge_chunks
from app.lake.compact.merging.pages import read_pages
from app.lake.compact.merging.statistics import merge_statistics
from app.lake.parquet.compiled import is_compiled
from app.lake.parquet.fields import FileFields, StatisticsFields
from app.lake.parquet.row_groups import read_row_group, write_row_group
from app.lake.parquet.thrift import (
    Struct,
    holds_i64,
    of_int,
    read_list,
    read_numbers,
    read_struct,
    to_bytes,
    to_int,
    write_struct,
)
from app.lake.parquet.wire import BINARY, I64, LIST, MAP, STRUCT, element_end, read_varint, unzigzag, varint, zigzag
from tests.compiled.modules import NAMES

CHANGES = 400
EDGES = [0, 1, 127, 128, 2**31, 2**61 - 1, 2**61, 2**62 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**69, 2**70]
CODECS = {"none": 0, "snappy": 1, "zstd": 6}

Question = tuple[str, Callable[[], object]]


def main() -> None:
    """Ask all, and say first what answers."""
    print("compiled" if all(is_compiled(import_module(name)) for name in NAMES) else "interpreted")
    for name, ask in (*numbers(), *structs(), *footers(), *chunks()):
        try:
            answer = ask()
        except Exception as error:  # noqa: BLE001  whatever it is, it has to be the same
            answer = f"{type(error).__name__}: {error}"
        text = repr(answer)
        print(name, text if len(text) < 300 else hashlib.sha256(text.encode()).hexdigest())


def numbers() -> Iterator[Question]:
    """Of any size, and where they begin outside of the bytes."""
    for number in (*EDGES, *(-edge for edge in EDGES)):
        yield f"zigzag {number}", partial(zigzag, number)
        yield f"unzigzag {number}", partial(unzigzag, number)
        yield f"to_int {number}", lambda number=number: to_int(of_int(I64, number))
        yield f"statistics of {number} nulls", lambda number=number: merge_statistics([nulls(number)] * 2, None)
    for number in EDGES:
        yield f"varint {number}", lambda number=number: read_varint(varint(number), 0)
    raw = write_struct({1: of_int(I64, 5), 2: (BINARY, b"\3abc"), 40_000: of_int(I64, -5)})
    for position in (*range(len(raw) + 2), 2**31, 2**62, 2**63 - 1):
        yield f"struct at {position}", partial(read_struct, raw, position)
        yield f"numbers at {position}", partial(read_numbers, raw, position)
        for kind in range(16):
            yield f"kind {kind} at {position}", partial(element_end, raw, position, kind, 1)
    for length in EDGES:
        yield f"bytes of {length}", lambda length=length: read_struct(b"\x18" + varint(length) + b"abc\0")
        yield f"a number of {length}", lambda length=length: read_numbers(b"\x16" + varint(length) + b"\x05\0\2\0")
        yield f"bytes to {length}", lambda length=length: to_bytes((BINARY, varint(length) + b"abc"))
        yield f"elements of {length}", lambda length=length: read_list((LIST, b"\xf6" + varint(length) + b"\2\2\2\2"))
        yield f"pairs of {length}", lambda length=length: read_struct(b"\x1b" + varint(length) + b"\x66\2\2\2\2\0")
    for depth in (1, 30, 31, 32, 33, 34, 1000):
        yield f"{depth} deep", partial(read_struct, b"\x1c" * depth + b"\0" * (depth + 1))
        yield f"numbers {depth} deep", partial(read_numbers, b"\x1c" * depth + b"\0" * (depth + 1))
        yield f"a number {depth} deep", partial(holds_i64, STRUCT, b"\x1c" * depth + b"\x16\2" + b"\0" * (depth + 1))
        yield f"{depth} lists deep", partial(holds_i64, LIST, b"\x19" * depth + b"\x16\2")
    yield "of a map", partial(holds_i64, MAP, b"\0")


def nulls(number: int) -> Struct:
    return {StatisticsFields.NULL_COUNT: of_int(I64, number)}


def structs() -> Iterator[Question]:
    """Of bytes at random, most of which are none."""
    chance = random.Random(1)
    # Mostly of what occurs in structs.
    weights = [20 if byte in (0, 0x15, 0x16, 0x18, 0x19, 0x1C) else 1 for byte in range(256)]
    for number in range(CHANGES * 5):
        raw = bytes(chance.choices(range(256), weights, k=24))
        yield f"struct {number}", partial(read_struct, raw)
        yield f"numbers {number}", partial(read_numbers, raw)
        yield f"list {number}", partial(read_list, (LIST, raw))
        yield f"row group {number}", partial(read_row_group, raw)


def files() -> Iterator[tuple[str, bytes]]:
    """Of several pages a column chunk, by dictionary and not, with nulls and without."""
    table = pa.table(
        {
            "id": pa.array(range(600), pa.int64()),
            "text": [f"text {number % 7}" if number % 5 else None for number in range(600)],
            "size": [number / 3 for number in range(600)],
            "list": [[number, number + 1] if number % 3 else [] for number in range(600)],
        }
    )
    for codec in CODECS:
        for version in ("1.0", "2.0"):
            out = io.BytesIO()
            pq.write_table(
                table,
                out,
                compression=codec,
                data_page_version=version,
                row_group_size=300,
                data_page_size=400,
                write_batch_size=50,
                use_dictionary=["id", "text"],
                write_page_index=True,
                write_page_checksum=True,
            )
            yield f"{codec} {version}", out.getvalue()


def footer_of(content: bytes) -> bytes:
    return content[-8 - int.from_bytes(content[-8:-4], "little") : -8]


def changed(raw: bytes, chance: random.Random, count: int = 2) -> bytes:
    """With some bytes that are others, or cut off."""
    out = bytearray(raw)
    for _ in range(chance.randint(1, count)):
        out[chance.randrange(len(out))] = chance.choice((0, 1, 2, 127, 128, 255, chance.randrange(256)))
    return bytes(out[: chance.randrange(len(out))] if chance.random() < 0.1 else out)


def footers() -> Iterator[Question]:
    """What is where in a file, of its footer and of changed ones."""
    chance = random.Random(2)
    for name, content in files():
        raws = read_list(read_struct(footer_of(content))[0][FileFields.ROW_GROUPS])[1]
        for number in range(CHANGES):
            some = [changed(raw, chance) for raw in raws] if number else raws
            yield f"{name} survey {number}", partial(survey, some, content)
            yield f"{name} again {number}", lambda some=some: [write_row_group(read_row_group(raw)) for raw in some]


def survey(raws: Sequence[bytes], content: bytes) -> object:
    return survey_row_groups(raws, len(content) - 8, lambda start, length: content[start : start + length], leaves=4)


def chunks() -> Iterator[Question]:
    """One column chunk of two, of their bytes and of changed ones."""
    chance = random.Random(3)
    for name, content in files():
        raws = read_list(read_struct(footer_of(content))[0][FileFields.ROW_GROUPS])[1]
        groups = [read_row_group(raw) for raw in raws]
        for place in range(4):
            shape = ColumnShape(
                codec=CODECS[name.split()[0]],
                key=bytes,
                deepest=1,
                is_repeated=place == 3,
                width=None if place == 1 else 8,
                page_bytes=2_000,
                page_rows=400,
                is_concatenable=not name.startswith("snappy"),
            )
            pairs = [group.chunks[place] for group in groups]
            for number in range(CHANGES // 4):
                sources = []
                for chunk, group in zip(pairs, groups, strict=True):
                    other, start, end = bytearray(content), chunk.start, chunk.end
                    if number:
                        # Most of it in the header of a page.
                        end = min(end, start + 60) if chance.random() < 0.8 else end
                        other[start:end] = changed(content[start:end], chance).ljust(end - start, b"\0")
                    sources.append(SourceChunk("a", bytes(other), chunk, group.rows))
                first = (sources[0].content, pairs[0].start, pairs[0].end)
                yield f"{name} {place} pages {number}", partial(read_pages, *first)
                yield f"{name} {place} merged {number}", partial(merged, sources, shape)


def merged(sources: Sequence[SourceChunk], shape: ColumnShape) -> object:
    made = merge_chunks(sources, shape)
    return None if made is None else (made.column, b"".join(made.parts), made.size_bytes, made.uncompressed_bytes)


if __name__ == "__main__":
    main()
