"""Iceberg's Avro files, block by block and strictly: what is cut short is an error, and never the end of the file.

pyiceberg's own reader takes an end in the middle of a number, or where a block would begin, for the end of the file. Of
a manifest that was cut short the rest of the files would then be in no answer, and count as unreachable.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from threading import Lock
from typing import Any

from cachetools import LRUCache
from pyiceberg.avro.codecs import KNOWN_CODECS
from pyiceberg.avro.decoder import new_decoder
from pyiceberg.avro.reader import Reader
from pyiceberg.avro.resolver import resolve_reader
from pyiceberg.schema import Schema
from pyiceberg.typedef import EMPTY_DICT, StructProtocol
from pyiceberg.utils.schema_conversion import AvroSchemaConversion

_MAGIC = b"Obj\x01"
_SYNC_BYTES = 16
_MAX_READERS = 256


@dataclass(frozen=True, slots=True)
class AvroFile:
    """A file's schema as it has it, its blocks (records, their bytes) decompressed one after the other, its size."""

    schema: str
    size_bytes: int
    _data: bytes
    _first: int
    _codec: Callable[[bytes], bytes] | None

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """How many records each block has, and their bytes.

        Raises:
            EOFError: the file is cut short.
            ValueError: it is broken.
        """
        data, end, sync = self._data, len(self._data), self._data[self._first - _SYNC_BYTES : self._first]
        at = self._first
        while at < end:
            count, at = _read_long(data, at)
            length, at = _read_long(data, at)
            if count < 0 or length < 0:
                raise ValueError("a block of negative size")
            after = at + length
            if data[after : after + _SYNC_BYTES] != sync:
                if after + _SYNC_BYTES > end:
                    raise EOFError("it is cut short")
                raise ValueError("a block does not end where it should")
            block = data[at:after]
            yield count, block if self._codec is None else self._codec(block)
            at = after + _SYNC_BYTES

    def records(self, reader: Reader) -> Iterator[Any]:
        """Each record, as a reader of the file's schema makes it.

        Raises:
            EOFError, ValueError: as `blocks`; other errors where a record is none, which are the reader's own.
        """
        for record, _, _, _ in self.located_records(reader):
            yield record

    def located_records(self, reader: Reader) -> Iterator[tuple[Any, bytes, int, int]]:
        """Each record, the block that it is in, and where in that it begins and ends.

        Raises: as `records`.
        """
        for count, block in self.blocks():
            decoder, size, begin = new_decoder(block), len(block), 0
            for _ in range(count):
                record = reader.read(decoder)
                end = decoder.tell()
                if end > size:
                    raise EOFError("a record goes beyond its block")
                yield record, block, begin, end
                begin = end
            if begin != size:
                raise ValueError("a block holds more than its records")


def parse_avro(data: bytes) -> AvroFile:
    """A file, of all its bytes.

    Raises:
        EOFError, LookupError, ValueError: it is cut short or broken, or is another kind of file.
    """
    if data[: len(_MAGIC)] != _MAGIC:
        raise ValueError("it is no Avro file" if data else "it is empty")
    meta, at = _read_map(data, len(_MAGIC))
    if at + _SYNC_BYTES > len(data):
        raise EOFError("it is cut short")
    codec = meta.get("avro.codec", b"null").decode()
    if codec not in KNOWN_CODECS:
        raise ValueError(f"codec {codec!r} is not known")
    known = KNOWN_CODECS[codec]
    return AvroFile(
        schema=meta["avro.schema"].decode(),
        size_bytes=len(data),
        _data=data,
        _first=at + _SYNC_BYTES,
        _codec=None if known is None else known.decompress,
    )


class Readers:
    """pyiceberg's readers of records, made once for each schema that files have: that takes longer than to read one."""

    def __init__(
        self,
        wanted: Schema,
        read_types: Mapping[int, Callable[..., StructProtocol]],
        read_enums: Mapping[int, Callable[..., Enum]] = EMPTY_DICT,
    ) -> None:
        """`wanted` are the fields to be read; all others are skipped. Without `read_enums` those are plain numbers."""
        self._wanted = wanted
        self._read_types = dict(read_types)
        self._read_enums = dict(read_enums)
        self._lock = Lock()
        self._readers: LRUCache[str, Reader] = LRUCache(_MAX_READERS)

    def of(self, schema: str) -> Reader:
        """The reader of records of an Avro schema."""
        with self._lock:
            reader = self._readers.get(schema)
            if reader is None:
                written = AvroSchemaConversion().avro_to_iceberg(json.loads(schema))
                reader = resolve_reader(written, self._wanted, self._read_types, self._read_enums)
                self._readers[schema] = reader
        return reader


def _read_map(data: bytes, at: int) -> tuple[dict[str, bytes], int]:
    found: dict[str, bytes] = {}
    while True:
        count, at = _read_long(data, at)
        if count == 0:
            return found, at
        if count < 0:  # followed by its size in bytes
            count = -count
            _, at = _read_long(data, at)
        for _ in range(count):
            key, at = _read_bytes(data, at)
            found[key.decode()], at = _read_bytes(data, at)


def _read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    length, at = _read_long(data, at)
    if length < 0 or at + length > len(data):
        raise EOFError("it is cut short")
    return data[at : at + length], at + length


def _read_long(data: bytes, at: int) -> tuple[int, int]:
    """Avro's variable-length zig-zag number, and where the next thing begins."""
    shift = value = 0
    while True:
        if at >= len(data):
            raise EOFError("it is cut short")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")
