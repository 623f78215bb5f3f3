"""Pages of a column chunk: what their headers say, and where their bytes are."""

from __future__ import annotations

import time
import zlib
from typing import Final, NamedTuple

from app.lake.parquet.fields import DataPageFields, DataPageV2Fields, PageFields
from app.lake.parquet.thrift import NESTED, Struct, find_number, of_int, read_numbers, write_struct
from app.lake.parquet.wire import I32, STRUCT, MalformedThriftError

_PAGES_IN_A_ROW: Final = 1024

DATA: Final = 0
DICTIONARY: Final = 2
DATA_V2: Final = 3

PLAIN: Final = 0
# Of places in a dictionary in the format's first version, and there also of the dictionary, whose values are plain.
PLAIN_DICTIONARY: Final = 2
RLE: Final = 3
_RLE_DICTIONARY: Final = 8
_BY_DICTIONARY = frozenset({PLAIN_DICTIONARY, _RLE_DICTIONARY})


class WrongChecksumError(ValueError):
    """A page has other bytes than were written."""


class Page(NamedTuple):
    """A page: of what kind it is, from where to where its header and its body are, and what it has.

    `levels` are how many bytes of repetition and of definition levels its body begins with, which are not compressed;
    None where they are compressed with the values. `encodings` are that of the values, and those of levels. `crc` is
    the CRC-32 of its body as it is written, None where its writer tells none.
    """

    kind: int
    start: int
    body: int
    end: int
    uncompressed_bytes: int
    values: int
    encodings: tuple[int, ...]
    crc: int | None
    levels: tuple[int, int] | None
    is_compressed: bool

    @property
    def is_by_dictionary(self) -> bool:
        """Whether its values are places in the chunk's dictionary."""
        return self.kind != DICTIONARY and self.encodings[0] in _BY_DICTIONARY


def read_pages(content: bytes, start: int, end: int) -> list[Page]:
    """The pages of the column chunk that is there in a file. About 6 µs a page.

    Raises:
        MalformedThriftError: there is something else.
    """
    pages = []
    while start < end:
        page = _read_page(content, start)
        if page.end > end:
            raise MalformedThriftError(f"a page ends at byte {page.end}, and its column chunk at {end}")
        pages.append(page)
        start = page.end
        if not len(pages) % _PAGES_IN_A_ROW:
            # Compiled, nothing else in here lets other threads have their turn.
            time.sleep(0)
    return pages


def _read_page(content: bytes, start: int) -> Page:
    header, body = read_numbers(content, start)
    kind, size = _number(header, PageFields.TYPE), _number(header, PageFields.COMPRESSED_SIZE)
    if size < 0:
        raise MalformedThriftError(f"a page has {size} bytes")
    levels: tuple[int, int] | None = None
    is_compressed = True
    if kind == DATA:
        inner = PageFields.OF_DATA * NESTED
        encodings = [
            _number(header, inner + DataPageFields.ENCODING),
            _number(header, inner + DataPageFields.DEFINITION_ENCODING),
            _number(header, inner + DataPageFields.REPETITION_ENCODING),
        ]
    elif kind == DICTIONARY:
        inner = PageFields.OF_DICTIONARY * NESTED
        encodings = [_number(header, inner + DataPageFields.ENCODING)]
    elif kind == DATA_V2:
        inner = PageFields.OF_DATA_V2 * NESTED
        encodings = [_number(header, inner + DataPageV2Fields.ENCODING), RLE]
        levels = (
            _number(header, inner + DataPageV2Fields.REPETITION_BYTES),
            _number(header, inner + DataPageV2Fields.DEFINITION_BYTES),
        )
        is_compressed = header.get(inner + DataPageV2Fields.IS_COMPRESSED, 1) == 1
    else:
        raise MalformedThriftError(f"a page is of kind {kind}, which is not known")
    uncompressed_bytes = _number(header, PageFields.UNCOMPRESSED_SIZE)
    values = _number(header, inner + DataPageFields.NUM_VALUES)
    if uncompressed_bytes < 0 or values < 0:
        raise MalformedThriftError(f"a page has {values} values, and {uncompressed_bytes} bytes uncompressed")
    if levels is not None and (min(levels) < 0 or sum(levels) > min(size, uncompressed_bytes)):
        raise MalformedThriftError(f"a page of {size} bytes has levels of {levels[0]} and {levels[1]}")
    crc = find_number(header, PageFields.CRC)
    return Page(
        kind=kind,
        start=start,
        body=body,
        end=body + size,
        uncompressed_bytes=uncompressed_bytes,
        values=values,
        encodings=tuple(encodings),
        # Thrift has no unsigned numbers.
        crc=None if crc is None else crc & 0xFFFFFFFF,
        levels=levels,
        is_compressed=is_compressed,
    )


def check(content: bytes, page: Page) -> None:
    """Have nothing made of a page that is not as it was written, as far as its writer told its checksum.

    Raises:
        WrongChecksumError: it is another one.
    """
    if page.crc is not None and zlib.crc32(memoryview(content)[page.body : page.end]) != page.crc:
        raise WrongChecksumError(f"the page at byte {page.start} is broken: it has another checksum than it tells")


def _number(header: dict[int, int], key: int) -> int:
    number = find_number(header, key)
    if number is None:
        outer, inner = divmod(key, NESTED)
        raise MalformedThriftError(f"the header of a page has no field {f'{outer}.{inner}' if outer else inner}")
    return number


def plain_page_header(values: int, levels: bytes, body_bytes: int, uncompressed_bytes: int, crc: int | None) -> bytes:
    """The header of a data page of values that are not null, as they are, behind their definition levels.

    Of version 2, whose levels are not compressed. `body_bytes` and `uncompressed_bytes` are those of the values alone.
    """
    of_data: Struct = {
        DataPageV2Fields.NUM_VALUES: of_int(I32, values),
        DataPageV2Fields.NUM_NULLS: of_int(I32, 0),
        DataPageV2Fields.NUM_ROWS: of_int(I32, values),
        DataPageV2Fields.ENCODING: of_int(I32, PLAIN),
        DataPageV2Fields.DEFINITION_BYTES: of_int(I32, len(levels)),
        DataPageV2Fields.REPETITION_BYTES: of_int(I32, 0),
    }
    header: Struct = {
        PageFields.TYPE: of_int(I32, DATA_V2),
        PageFields.UNCOMPRESSED_SIZE: of_int(I32, uncompressed_bytes + len(levels)),
        PageFields.COMPRESSED_SIZE: of_int(I32, body_bytes + len(levels)),
        PageFields.OF_DATA_V2: (STRUCT, write_struct(of_data)),
    }
    if crc is not None:
        # Thrift has no unsigned numbers.
        header[PageFields.CRC] = of_int(I32, crc - (crc >> 31 << 32))
    return write_struct(header)
