"""Parquet files made by hand, page by page: what no writer here writes, and another one may."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from app.lake.compact.copying.footers import MAGIC
from app.lake.parquet.fields import (
    ChunkFields,
    ColumnFields,
    DataPageFields,
    DataPageV2Fields,
    FileFields,
    PageFields,
    RowGroupFields,
)
from app.lake.parquet.row_groups import Chunk, RowGroup, read_row_group, write_row_group
from app.lake.parquet.thrift import Struct, of_int, read_list, write_list, write_struct
from app.lake.parquet.wire import FALSE, I32, I64, STRUCT, TRUE, varint
from tests.unit.lake.compact.parquet_files import footer_fields

PLAIN, RLE, RLE_DICTIONARY = 0, 3, 8
CODECS = {"uncompressed": 0, "snappy": 1, "zstd": 6}


@dataclass(frozen=True, slots=True, kw_only=True)
class MadePage:
    """A data page of numbers, of which None is null: by places in the dictionary, or as they are where `width` is None.

    `cuts` say where a run ends and the next begins, of eight numbers a step; runs of one number are written as such
    where `has_runs`. What a last group is filled up with is `filling`.
    """

    values: Sequence[int | None]
    width: int | None = None
    version: int = 1
    has_crc: bool = False
    is_compressed: bool = True
    has_runs: bool = False
    cuts: Sequence[int] = ()
    filling: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeColumn:
    """A column chunk of numbers of 64 bits; `behind` is what comes after those of the dictionary in its page, of which
    its header says nothing where it `is_hidden`.
    """

    dictionary: Sequence[int] | None
    pages: Sequence[MadePage]
    codec: str = "uncompressed"
    is_optional: bool = True
    dictionary_encoding: int = PLAIN
    behind: bytes = b""
    is_hidden: bool = False

    @property
    def numbers(self) -> list[int | None]:
        """What its values are."""
        found: list[int | None] = []
        for page in self.pages:
            for value in page.values:
                by_place = page.width is not None and value is not None
                found.append((self.dictionary or ())[value or 0] if by_place else value)
        return found


def craft(path: Path, column: MadeColumn, schema: pa.Schema) -> Path:
    """A file of this column alone; `schema` is that of the table."""
    # Schema, statistics and all else that there is to say are Arrow's.
    pq.write_table(pa.table([column.numbers], schema=schema), path, store_schema=False, write_page_index=False)
    fields = footer_fields(path)
    pages = [] if column.dictionary is None else [_dictionary_page(column)]
    first_data = len(MAGIC) + sum(map(len, pages))
    pages += [_data_page(page, column) for page in column.pages]
    content = b"".join(pages)
    (raw,) = read_list(fields[FileFields.ROW_GROUPS])[1]
    (was,) = read_row_group(raw).chunks
    said = {ColumnFields.TYPE, ColumnFields.PATH, ColumnFields.NUM_VALUES, ColumnFields.STATISTICS}
    told: Struct = {field_id: value for field_id, value in was.column.items() if field_id in said}
    told |= {
        ColumnFields.CODEC: of_int(I32, CODECS[column.codec]),
        ColumnFields.ENCODINGS: write_list(I32, [of_int(I32, one)[1] for one in (PLAIN, RLE, RLE_DICTIONARY)]),
        ColumnFields.TOTAL_UNCOMPRESSED_SIZE: of_int(I64, len(content)),
        ColumnFields.TOTAL_COMPRESSED_SIZE: of_int(I64, len(content)),
        ColumnFields.DATA_PAGE_OFFSET: of_int(I64, first_data),
    }
    if column.dictionary is not None:
        told[ColumnFields.DICTIONARY_PAGE_OFFSET] = of_int(I64, len(MAGIC))
    group = RowGroup(
        {
            RowGroupFields.TOTAL_BYTE_SIZE: of_int(I64, len(content)),
            RowGroupFields.NUM_ROWS: of_int(I64, len(column.numbers)),
        },
        [Chunk({ChunkFields.FILE_OFFSET: of_int(I64, 0)}, told)],
    )
    end = write_struct(fields | {FileFields.ROW_GROUPS: write_list(STRUCT, [write_row_group(group)])})
    path.write_bytes(b"".join([MAGIC, content, end, len(end).to_bytes(4, "little"), MAGIC]))
    return path


def _dictionary_page(column: MadeColumn) -> bytes:
    values = column.dictionary or ()
    plain = _plain(values) + column.behind
    body = _compressed(plain, column.codec)
    inner: Struct = {
        DataPageFields.NUM_VALUES: of_int(I32, len(values)),
        DataPageFields.ENCODING: of_int(I32, column.dictionary_encoding),
    }
    size = len(plain) - (len(column.behind) if column.is_hidden else 0)
    header = _header(2, size, body, {PageFields.OF_DICTIONARY: (STRUCT, write_struct(inner))}, has_crc=False)
    return header + body


def _data_page(page: MadePage, column: MadeColumn) -> bytes:
    known = [value for value in page.values if value is not None]
    values = _plain(known) if page.width is None else bytes([page.width]) + _hybrid(page, known, page.width)
    encoding = PLAIN if page.width is None else RLE_DICTIONARY
    flags = [int(value is not None) for value in page.values]
    levels = _levels(flags) if column.is_optional else b""
    if page.version == 1:
        plain = (len(levels).to_bytes(4, "little") + levels if column.is_optional else b"") + values
        body = _compressed(plain, column.codec)
        inner: Struct = {
            DataPageFields.NUM_VALUES: of_int(I32, len(page.values)),
            DataPageFields.ENCODING: of_int(I32, encoding),
            DataPageFields.DEFINITION_ENCODING: of_int(I32, RLE),
            DataPageFields.REPETITION_ENCODING: of_int(I32, RLE),
        }
        fields: Struct = {PageFields.OF_DATA: (STRUCT, write_struct(inner))}
        return _header(0, len(plain), body, fields, has_crc=page.has_crc) + body
    body = levels + (_compressed(values, column.codec) if page.is_compressed else values)
    inner = {
        DataPageV2Fields.NUM_VALUES: of_int(I32, len(page.values)),
        DataPageV2Fields.NUM_NULLS: of_int(I32, len(page.values) - len(known)),
        DataPageV2Fields.NUM_ROWS: of_int(I32, len(page.values)),
        DataPageV2Fields.ENCODING: of_int(I32, encoding),
        DataPageV2Fields.DEFINITION_BYTES: of_int(I32, len(levels)),
        DataPageV2Fields.REPETITION_BYTES: of_int(I32, 0),
        DataPageV2Fields.IS_COMPRESSED: (TRUE if page.is_compressed else FALSE, b""),
    }
    fields = {PageFields.OF_DATA_V2: (STRUCT, write_struct(inner))}
    return _header(3, len(levels) + len(values), body, fields, has_crc=page.has_crc) + body


def _header(kind: int, uncompressed: int, body: bytes, fields: Struct, *, has_crc: bool) -> bytes:
    header: Struct = {
        PageFields.TYPE: of_int(I32, kind),
        PageFields.UNCOMPRESSED_SIZE: of_int(I32, uncompressed),
        PageFields.COMPRESSED_SIZE: of_int(I32, len(body)),
        **fields,
    }
    if has_crc:
        crc = zlib.crc32(body)
        header[PageFields.CRC] = of_int(I32, crc - (crc >> 31 << 32))
    return write_struct(header)


def _compressed(plain: bytes, codec: str) -> bytes:
    return plain if codec == "uncompressed" else pa.Codec(codec).compress(plain, asbytes=True)


def _plain(values: Sequence[int]) -> bytes:
    return b"".join(value.to_bytes(8, "little", signed=True) for value in values)


def _levels(flags: Sequence[int]) -> bytes:
    """One run where all are the same, as writers have it; none of no values."""
    if not flags:
        return b""
    return varint(len(flags) << 1) + bytes([flags[0]]) if len(set(flags)) == 1 else _packed(flags, 1, 0)


def _hybrid(page: MadePage, places: Sequence[int], width: int) -> bytes:
    parts, start = [], 0
    for end in [*(8 * cut for cut in sorted(page.cuts) if 8 * cut < len(places)), len(places)]:
        some = places[start:end]
        if page.has_runs and len(set(some)) == 1:
            parts.append(varint(len(some) << 1) + some[0].to_bytes(-(-width // 8), "little"))
        elif some:
            parts.append(_packed(some, width, page.filling))
        start = end
    return b"".join(parts)


def _packed(values: Sequence[int], width: int, filling: int) -> bytes:
    groups = -(-len(values) // 8)
    whole = [*values, *[filling] * (8 * groups - len(values))]
    number = sum((value & (1 << width) - 1) << (width * place) for place, value in enumerate(whole))
    return varint(groups << 1 | 1) + number.to_bytes(groups * width, "little")
