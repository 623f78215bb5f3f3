"""Pages of a column chunk: what their headers say, and where their bytes are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.lake.parquet.fields import DataPageFields, DataPageV2Fields, PageFields
from app.lake.parquet.row_groups import get_int
from app.lake.parquet.thrift import Struct, of_int, read_struct, to_int, write_struct
from app.lake.parquet.wire import I32, STRUCT, TRUE, MalformedThriftError

DATA: Final = 0
DICTIONARY: Final = 2
DATA_V2: Final = 3

PLAIN: Final = 0
# Of places in a dictionary in the format's first version, and there also of the dictionary, whose values are plain.
PLAIN_DICTIONARY: Final = 2
RLE: Final = 3
_RLE_DICTIONARY: Final = 8
_BY_DICTIONARY = frozenset({PLAIN_DICTIONARY, _RLE_DICTIONARY})


@dataclass(frozen=True, slots=True)
class Page:
    """A page: of what kind it is, from where to where its header and its body are, and what it has.

    `levels` are how many bytes of repetition and of definition levels its body begins with, which are not compressed;
    None where they are compressed with the values. `encodings` are that of the values, and those of levels.
    """

    kind: int
    start: int
    body: int
    end: int
    uncompressed_bytes: int
    values: int
    encodings: tuple[int, ...]
    has_crc: bool
    levels: tuple[int, int] | None
    is_compressed: bool

    @property
    def is_by_dictionary(self) -> bool:
        """Whether its values are places in the chunk's dictionary."""
        return self.kind != DICTIONARY and self.encodings[0] in _BY_DICTIONARY


def read_pages(content: bytes, start: int, end: int) -> list[Page]:
    """The pages of the column chunk that is there in a file. About 10 µs a page.

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
    return pages


def _read_page(content: bytes, start: int) -> Page:
    header, body = read_struct(content, start)
    kind, size = get_int(header, PageFields.TYPE), get_int(header, PageFields.COMPRESSED_SIZE)
    if size < 0:
        raise MalformedThriftError(f"a page has {size} bytes")
    levels, is_compressed = None, True
    encodings: tuple[int, ...]
    if kind == DATA_V2:
        inner = _inner(header, PageFields.OF_DATA_V2)
        encodings = (get_int(inner, DataPageV2Fields.ENCODING), RLE)
        levels = (get_int(inner, DataPageV2Fields.REPETITION_BYTES), get_int(inner, DataPageV2Fields.DEFINITION_BYTES))
        is_compressed = inner.get(DataPageV2Fields.IS_COMPRESSED, (TRUE, b""))[0] == TRUE
    elif kind == DATA:
        inner = _inner(header, PageFields.OF_DATA)
        wanted = (DataPageFields.ENCODING, DataPageFields.DEFINITION_ENCODING, DataPageFields.REPETITION_ENCODING)
        encodings = tuple(get_int(inner, field_id) for field_id in wanted)
    elif kind == DICTIONARY:
        inner = _inner(header, PageFields.OF_DICTIONARY)
        encodings = (get_int(inner, DataPageFields.ENCODING),)
    else:
        raise MalformedThriftError(f"a page is of kind {kind}, which is not known")
    return Page(
        kind=kind,
        start=start,
        body=body,
        end=body + size,
        uncompressed_bytes=get_int(header, PageFields.UNCOMPRESSED_SIZE),
        values=to_int(inner[DataPageFields.NUM_VALUES]),
        encodings=encodings,
        has_crc=PageFields.CRC in header,
        levels=levels,
        is_compressed=is_compressed,
    )


def _inner(header: Struct, field_id: int) -> Struct:
    kind, raw = header.get(field_id, (STRUCT, b""))
    if kind != STRUCT or not raw:
        raise MalformedThriftError(f"the header of a page has no field {field_id}")
    inner = read_struct(raw)[0]
    if DataPageFields.NUM_VALUES not in inner:
        raise MalformedThriftError("the header of a page does not say how many values there are")
    return inner


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
