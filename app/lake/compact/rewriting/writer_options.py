"""How Parquet files of a table are written, by its `write.parquet.*` properties."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyiceberg.schema import Schema
from pyiceberg.table import TableProperties
from pyiceberg.types import BooleanType

from app.errors import InvalidTablePropertyError
from app.lake.compact.rewriting.leaves import Leaf
from app.lake.compact.rewriting.properties import fraction, truth, whole_number

_FPP_PREFIX = "write.parquet.bloom-filter-fpp.column."
_NDV_PREFIX = "write.parquet.bloom-filter-ndv.column."
_ENABLED_PREFIX = f"{TableProperties.PARQUET_BLOOM_FILTER_COLUMN_ENABLED_PREFIX}."
# Iceberg's default (`TableProperties.PARQUET_BLOOM_FILTER_COLUMN_FPP_DEFAULT`).
_FPP = 0.01
_LEAST_FILTER_BYTES = 32
# Where pages are to have less than what Arrow's encoder of places in a dictionary takes before its first one, 64 bytes
# for each of up to 32 bits, it ends pages of lists and maps without a value. To its reader that is the column's end.
_LEAST_PAGE_BYTES = 4096
# Ours, of a table whose readers all take several frames of zstd for one page (docs/decisions/0027).
JOINED_FRAMES = "stratigraph.compaction.join-zstd-frames"
# Iceberg's names, in Arrow's words.
_CODECS = {
    "uncompressed": "NONE",
    "none": "NONE",
    "snappy": "SNAPPY",
    "gzip": "GZIP",
    "brotli": "BROTLI",
    "lz4": "LZ4",
    "lz4_raw": "LZ4",
    "zstd": "ZSTD",
}
_WITH_LEVELS = ("GZIP", "BROTLI", "ZSTD")


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterOptions:
    """What a row group has at most, in the file; bytes of its bloom filters; and the arguments of ParquetWriter.

    `joins_frames` says whether several frames of zstd may be one page, for which it takes readers that know of it.
    """

    row_group_bytes: int
    row_group_rows: int
    bloom_bytes: int
    joins_frames: bool
    arguments: Mapping[str, Any]


def writer_options(properties: Mapping[str, str], schema: Schema, columns: Sequence[Leaf], rows: int) -> WriterOptions:
    """The options for files of a table of these properties, with this many rows at most.

    `schema` has the columns' names as the properties have them. Properties of columns that there are not mean nothing.

    Raises:
        InvalidTablePropertyError: a property has a value that it cannot have.
    """
    row_group_rows = whole_number(
        properties, TableProperties.PARQUET_ROW_GROUP_LIMIT, TableProperties.PARQUET_ROW_GROUP_LIMIT_DEFAULT
    )
    blooms, bloom_bytes = _bloom_filters(properties, schema, columns, min(rows, row_group_rows))
    return WriterOptions(
        row_group_bytes=whole_number(
            properties,
            TableProperties.PARQUET_ROW_GROUP_SIZE_BYTES,
            TableProperties.PARQUET_ROW_GROUP_SIZE_BYTES_DEFAULT,
        ),
        row_group_rows=row_group_rows,
        bloom_bytes=bloom_bytes,
        joins_frames=truth(properties, JOINED_FRAMES),
        arguments={
            **_compression(properties),
            "data_page_size": max(
                _LEAST_PAGE_BYTES,
                whole_number(
                    properties, TableProperties.PARQUET_PAGE_SIZE_BYTES, TableProperties.PARQUET_PAGE_SIZE_BYTES_DEFAULT
                ),
            ),
            "max_rows_per_page": whole_number(
                properties, TableProperties.PARQUET_PAGE_ROW_LIMIT, TableProperties.PARQUET_PAGE_ROW_LIMIT_DEFAULT
            ),
            "dictionary_pagesize_limit": whole_number(
                properties, TableProperties.PARQUET_DICT_SIZE_BYTES, TableProperties.PARQUET_DICT_SIZE_BYTES_DEFAULT
            ),
            "store_decimal_as_integer": True,
            # Beside Parquet's schema, with Iceberg's field ids, there is none: readers that go by Arrow's own would be
            # given other types (large_string) of what is read here than of what others wrote.
            "store_schema": False,
            **({"bloom_filter_options": blooms} if blooms else {}),
        },
    )


def compression_of(properties: Mapping[str, str]) -> str:
    """The codec for files of a table of these properties, as Arrow calls it.

    Raises:
        InvalidTablePropertyError: there is none of that name.
    """
    name = TableProperties.PARQUET_COMPRESSION
    text = properties.get(name, TableProperties.PARQUET_COMPRESSION_DEFAULT)
    codec = _CODECS.get(text.lower())
    if codec is None:
        raise InvalidTablePropertyError(name, text, f"one of {', '.join(sorted(_CODECS))} is needed")
    return codec


def _compression(properties: Mapping[str, str]) -> dict[str, Any]:
    codec = compression_of(properties)
    name = TableProperties.PARQUET_COMPRESSION_LEVEL
    level = properties.get(name)
    # Codecs without levels take no notice of one, as in Iceberg's own writer.
    if level is None or codec not in _WITH_LEVELS:
        return {"compression": codec}
    least, most = (
        find(codec.lower()) for find in (pa.Codec.minimum_compression_level, pa.Codec.maximum_compression_level)
    )
    number = whole_number(properties, name, 0, least=-(2**31))
    if not least <= number <= most:
        raise InvalidTablePropertyError(name, level, f"{codec.lower()} has levels from {least} to {most}")
    return {"compression": codec, "compression_level": number}


def _bloom_filters(
    properties: Mapping[str, str], schema: Schema, columns: Sequence[Leaf], rows: int
) -> tuple[dict[str, dict[str, float]], int]:
    """The filters' options by the columns' paths, and how many bytes they take in each row group."""
    most_bytes = whole_number(
        properties,
        TableProperties.PARQUET_BLOOM_FILTER_MAX_BYTES,
        TableProperties.PARQUET_BLOOM_FILTER_MAX_BYTES_DEFAULT,
        least=_LEAST_FILTER_BYTES,
    )
    options: dict[str, dict[str, float]] = {}
    size = 0
    for leaf in columns:
        name = schema.find_column_name(leaf.field_id)
        # Parquet has none of booleans.
        if not truth(properties, f"{_ENABLED_PREFIX}{name}") or isinstance(leaf.kind, BooleanType):
            continue
        fpp = fraction(properties, f"{_FPP_PREFIX}{name}", _FPP)
        values = whole_number(properties, f"{_NDV_PREFIX}{name}", max(1, rows))
        values = min(values, _most_values(most_bytes, fpp))
        options[leaf.path] = {"ndv": values, "fpp": fpp}
        size += _filter_bytes(values, fpp)
    return options, size


def _filter_bytes(values: int, fpp: float) -> int:
    """Bytes of a split block filter, a power of two (Parquet's BloomFilter.md, "Sizing an SBBF")."""
    bits = -8 * values / math.log(1 - fpp ** (1 / 8))
    return max(_LEAST_FILTER_BYTES, 1 << max(0, math.ceil(math.log2(bits / 8))))


def _most_values(most_bytes: int, fpp: float) -> int:
    """How many different values a filter may be made for so that it has no more bytes than these."""
    size = 1 << (most_bytes.bit_length() - 1)
    return max(1, int(size * 8 * -math.log(1 - fpp ** (1 / 8)) / 8))
