"""One column chunk of several: their pages one behind the other, as they are."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from app.lake.compact.merging.codecs import UNCOMPRESSED
from app.lake.compact.merging.identities import all_defined, is_identity
from app.lake.compact.merging.pages import (
    DATA_V2,
    DICTIONARY,
    PLAIN,
    PLAIN_DICTIONARY,
    RLE,
    Page,
    check,
    plain_page_header,
    read_pages,
)
from app.lake.compact.merging.statistics import Key, merge_statistics
from app.lake.deleted_positions import naming_file
from app.lake.parquet.fields import ColumnFields, EncodingStatsFields, SizeStatisticsFields
from app.lake.parquet.row_groups import Chunk, get_int
from app.lake.parquet.thrift import Struct, find_number, of_int, read_numbers, read_struct, write_list, write_struct
from app.lake.parquet.wire import I32, I64, STRUCT, MalformedThriftError

# Iceberg's writers end a dictionary at 2 MiB, unless told otherwise, and look after each batch of values.
_MAX_PAGE_BYTES = 3 * 2**20
_EMPTY = (STRUCT, b"\0")
# Before each plain value of a text, or of bytes.
_LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnShape:
    """What is the same of all chunks of a column: its codec, how values are compared, and how deep they lie.

    `deepest` is the definition level of a value that is not null, and `width` the bytes of one, None where they differ.
    Pages that are made have so many bytes and rows at most, but for a dictionary that is larger; of several ones only
    where the codec `is_concatenable`.
    """

    codec: int
    key: Key | None
    deepest: int
    is_repeated: bool
    width: int | None
    page_bytes: int
    page_rows: int
    is_concatenable: bool


@dataclass(frozen=True, slots=True)
class SourceChunk:
    """A column chunk of a file, of which `content` is all bytes, and how many rows its row group has."""

    location: str
    content: bytes
    chunk: Chunk
    rows: int


@dataclass(slots=True)
class MergedChunk:
    """A column chunk: its bytes, one part behind the other, and its metadata, as if it were at the first byte."""

    shape: ColumnShape
    column: Struct = field(default_factory=dict)
    parts: list[bytes | memoryview] = field(default_factory=list)
    size_bytes: int = 0
    uncompressed_bytes: int = 0
    _pages: Counter[tuple[int, int]] = field(default_factory=Counter)
    _encodings: set[int] = field(default_factory=set)
    # Of the page that is put together: what it is made of, how many values that has, and how many bytes, uncompressed.
    _bodies: list[memoryview] = field(default_factory=list)
    _values: int = 0
    _bytes: int = 0
    _has_crc: bool = True

    def copy(self, content: bytes, pages: Sequence[Page]) -> None:
        """Data pages, as they are."""
        self._put_page()
        start, end = pages[0].start, pages[0].end
        for page in pages[1:]:
            if page.start > end:
                self._put(memoryview(content)[start:end])
                start = page.start
            end = page.end
        self._put(memoryview(content)[start:end])
        for page in pages:
            self._count(page.kind, page.encodings)
            self.uncompressed_bytes += page.body - page.start + page.uncompressed_bytes

    def put_values(self, content: bytes, dictionary: Page, *, is_apart: bool) -> None:
        """The values of a dictionary, each once and none null: a page of its own, or where it need not be, a part."""
        if (
            is_apart
            or self._values + dictionary.values > self.shape.page_rows
            or self._bytes + dictionary.uncompressed_bytes > self.shape.page_bytes
        ):
            self._put_page()
        self._bodies.append(memoryview(content)[dictionary.body : dictionary.end])
        self._values += dictionary.values
        self._bytes += dictionary.uncompressed_bytes
        self._has_crc = self._has_crc and dictionary.crc is not None
        if is_apart:
            self._put_page()

    def _put_page(self) -> None:
        if not self._bodies:
            return
        levels = all_defined(self._values, self.shape.deepest)
        size = sum(len(body) for body in self._bodies)
        crc = None
        if self._has_crc:
            crc = zlib.crc32(levels)
            for body in self._bodies:
                crc = zlib.crc32(body, crc)
        header = plain_page_header(self._values, levels, size, self._bytes, crc)
        self._put(header + levels)
        for body in self._bodies:
            self._put(body)
        self._count(DATA_V2, (PLAIN, RLE))
        self.uncompressed_bytes += len(header) + len(levels) + self._bytes
        self._bodies, self._values, self._bytes, self._has_crc = [], 0, 0, True

    def finish(self, chunks: Sequence[SourceChunk]) -> None:
        """What there is to say of it as the column of these."""
        self._put_page()
        first = chunks[0].chunk.column
        values = sum(get_int(source.chunk.column, ColumnFields.NUM_VALUES) for source in chunks)
        self.column = {field_id: first[field_id] for field_id in (ColumnFields.TYPE, ColumnFields.PATH)}
        self.column |= {
            ColumnFields.CODEC: first[ColumnFields.CODEC],
            ColumnFields.ENCODINGS: write_list(I32, [of_int(I32, one)[1] for one in sorted(self._encodings)]),
            ColumnFields.NUM_VALUES: of_int(I64, values),
            ColumnFields.TOTAL_UNCOMPRESSED_SIZE: of_int(I64, self.uncompressed_bytes),
            ColumnFields.TOTAL_COMPRESSED_SIZE: of_int(I64, self.size_bytes),
            ColumnFields.DATA_PAGE_OFFSET: of_int(I64, 0),
            ColumnFields.ENCODING_STATS: write_list(STRUCT, list(self._encoding_stats())),
        }
        statistics = [read_struct(source.chunk.column.get(ColumnFields.STATISTICS, _EMPTY)[1])[0] for source in chunks]
        if (merged := merge_statistics(statistics, self.shape.key)) is not None:
            self.column[ColumnFields.STATISTICS] = (STRUCT, write_struct(merged))

    def _put(self, part: bytes | memoryview) -> None:
        self.parts.append(part)
        self.size_bytes += len(part)

    def _count(self, kind: int, encodings: tuple[int, ...]) -> None:
        self._pages[kind, encodings[0]] += 1
        self._encodings.update(encodings)

    def _encoding_stats(self) -> Iterator[bytes]:
        for (kind, encoding), count in sorted(self._pages.items()):
            yield write_struct(
                {
                    EncodingStatsFields.PAGE_TYPE: of_int(I32, kind),
                    EncodingStatsFields.ENCODING: of_int(I32, encoding),
                    EncodingStatsFields.COUNT: of_int(I32, count),
                }
            )


def merge_chunks(chunks: Sequence[SourceChunk], shape: ColumnShape) -> MergedChunk | None:
    """The chunks' pages in one chunk, one behind the other; None where they cannot stay what they are.

    A chunk has one codec and one dictionary. So they can where all have the codec that is asked for, and none has a
    dictionary but one that says of each value what it is, once and in order: that becomes a page of values, or a part
    of one. Costs about 10 µs a page, and where there are dictionaries, decompressing the places in them.

    Raises:
        OSError: a chunk is broken; the name of its file is in the message.
    """
    found: list[_Pages] = []
    merged = MergedChunk(shape)
    with naming_file(chunks[0].location) as at:
        for source in chunks:
            at.path = source.location
            if get_int(source.chunk.column, ColumnFields.CODEC) != shape.codec:
                return None
            pages = _Pages.of(source)
            if not shape.is_repeated and pages.values != source.rows:
                raise MalformedThriftError(f"a column chunk of {source.rows} rows has {pages.values} values")
            if not pages.may_stay(shape):
                return None
            found.append(pages)
        for source, pages in zip(chunks, found, strict=True):
            at.path = source.location
            dictionary = pages.dictionary
            if dictionary is not None and pages.by_dictionary:
                # What is copied keeps its checksum; these get another one, or none.
                for page in (dictionary, *pages.by_dictionary):
                    check(source.content, page)
                if not is_identity(source.content, pages.by_dictionary, dictionary.values, shape.codec, shape.deepest):
                    return None
                is_apart = not (shape.is_concatenable and pages.has_values_alone(source.chunk.column, shape))
                merged.put_values(source.content, dictionary, is_apart=is_apart)
            if pages.others:
                merged.copy(source.content, pages.others)
    merged.finish(chunks)
    return merged


@dataclass(frozen=True, slots=True)
class _Pages:
    """The pages of a chunk: that of its dictionary, data pages that go by it, and data pages that do not.

    Data pages without values are left out.
    """

    dictionary: Page | None
    by_dictionary: Sequence[Page]
    others: Sequence[Page]

    @property
    def values(self) -> int:
        """How many there are, nulls included."""
        return sum(page.values for page in (*self.by_dictionary, *self.others))

    @classmethod
    def of(cls, source: SourceChunk) -> _Pages:
        chunk = source.chunk
        pages = read_pages(source.content, chunk.start, chunk.end)
        dictionary = pages.pop(0) if pages and pages[0].kind == DICTIONARY else None
        values, told = sum(page.values for page in pages), get_int(chunk.column, ColumnFields.NUM_VALUES)
        if values != told or any(page.kind == DICTIONARY for page in pages):
            raise MalformedThriftError(f"a column chunk of {told} values has pages of {values}")
        # Arrow takes a page without values for the end, which it may have been.
        pages = [page for page in pages if page.values]
        count = next((number for number, page in enumerate(pages) if not page.is_by_dictionary), len(pages))
        return cls(dictionary, pages[:count], pages[count:])

    def may_stay(self, shape: ColumnShape) -> bool:
        """Whether headers leave it possible that no dictionary is needed."""
        if any(page.is_by_dictionary for page in self.others):
            return False
        if not self.by_dictionary:
            return True
        return (
            self.dictionary is not None
            and self.dictionary.encodings[0] in (PLAIN, PLAIN_DICTIONARY)
            and not shape.is_repeated
            and self.dictionary.uncompressed_bytes <= _MAX_PAGE_BYTES
            and self.dictionary.values == sum(page.values for page in self.by_dictionary)
        )

    def has_values_alone(self, column: Struct, shape: ColumnShape) -> bool:
        """Whether it is certain that there is nothing behind the values of the dictionary, which readers would not see,
        and which would be the beginning of those that come after it.
        """
        if self.dictionary is None:
            return False
        size, values = self.dictionary.uncompressed_bytes, self.dictionary.values
        if shape.codec == UNCOMPRESSED and self.dictionary.end - self.dictionary.body != size:
            return False
        if shape.width is not None:
            return size == shape.width * values
        if self.others or ColumnFields.SIZE_STATISTICS not in column:
            return False
        told, _ = read_numbers(column[ColumnFields.SIZE_STATISTICS][1])
        unencoded = find_number(told, SizeStatisticsFields.UNENCODED_BYTES)
        return unencoded is not None and size == unencoded + _LENGTH_BYTES * values
