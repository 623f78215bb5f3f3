"""Headers of pages: what one says, and what no page can be."""

from __future__ import annotations

import pytest

from app.lake.compact.merging.pages import DATA, DATA_V2, DICTIONARY, PLAIN, RLE, Page, plain_page_header, read_pages
from app.lake.parquet.fields import DataPageFields, DataPageV2Fields, PageFields
from app.lake.parquet.thrift import Struct, of_bytes, of_int, write_struct
from app.lake.parquet.wire import FALSE, I32, STRUCT, MalformedThriftError

OF_DATA = {
    DataPageFields.NUM_VALUES: 7,
    DataPageFields.ENCODING: PLAIN,
    DataPageFields.DEFINITION_ENCODING: RLE,
    DataPageFields.REPETITION_ENCODING: RLE,
}
OF_DATA_V2 = {
    DataPageV2Fields.NUM_VALUES: 7,
    DataPageV2Fields.NUM_NULLS: 1,
    DataPageV2Fields.NUM_ROWS: 6,
    DataPageV2Fields.ENCODING: PLAIN,
    DataPageV2Fields.DEFINITION_BYTES: 3,
    DataPageV2Fields.REPETITION_BYTES: 2,
}
OF_DICTIONARY = {DataPageFields.NUM_VALUES: 7, DataPageFields.ENCODING: PLAIN}
KINDS = {
    DATA: (PageFields.OF_DATA, OF_DATA),
    DICTIONARY: (PageFields.OF_DICTIONARY, OF_DICTIONARY),
    DATA_V2: (PageFields.OF_DATA_V2, OF_DATA_V2),
}
BODY = bytes(20)


def page(kind: int, *, outer: Struct | None = None, inner: Struct | None = None, but: int | None = None) -> bytes:
    """A page of this kind, with other fields, or without one of the inner ones."""
    place, fields = KINDS[kind]
    within = {field_id: of_int(I32, number) for field_id, number in fields.items() if field_id != but} | (inner or {})
    header: Struct = {
        PageFields.TYPE: of_int(I32, kind),
        PageFields.UNCOMPRESSED_SIZE: of_int(I32, 30),
        PageFields.COMPRESSED_SIZE: of_int(I32, len(BODY)),
        place: (STRUCT, write_struct(within)),
    }
    return write_struct(header | (outer or {})) + BODY


def test_each_kind_of_page_is_told_by_its_header() -> None:
    pages = [
        page(DICTIONARY, outer={PageFields.CRC: of_int(I32, -1)}),
        page(DATA),
        page(DATA_V2, inner={DataPageV2Fields.IS_COMPRESSED: (FALSE, b"")}),
    ]
    content = b"PAR1" + b"".join(pages) + b"more"

    found = read_pages(content, 4, len(content) - 4)

    starts = [4, 4 + len(pages[0]), 4 + len(pages[0]) + len(pages[1])]
    ends = [start + len(one) for start, one in zip(starts, pages, strict=True)]
    told = {"uncompressed_bytes": 30, "values": 7}
    expected = [
        {"kind": DICTIONARY, "encodings": (PLAIN,), "crc": 2**32 - 1, "levels": None, "is_compressed": True},
        {"kind": DATA, "encodings": (PLAIN, RLE, RLE), "crc": None, "levels": None, "is_compressed": True},
        {"kind": DATA_V2, "encodings": (PLAIN, RLE), "crc": None, "levels": (2, 3), "is_compressed": False},
    ]
    assert found == [
        Page(start=start, body=end - len(BODY), end=end, **told, **more)
        for start, end, more in zip(starts, ends, expected, strict=True)
    ]


@pytest.mark.parametrize(
    ("case", "raw", "reason"),
    [
        ("fewer than no values", page(DATA, inner={DataPageFields.NUM_VALUES: of_int(I32, -7)}), "has -7 values"),
        ("fewer than no bytes", page(DATA, outer={PageFields.UNCOMPRESSED_SIZE: of_int(I32, -1)}), "and -1 bytes"),
        ("a body of fewer than none", page(DATA, outer={PageFields.COMPRESSED_SIZE: of_int(I32, -1)}), "has -1 bytes"),
        (
            "levels of fewer than none",
            page(DATA_V2, inner={DataPageV2Fields.REPETITION_BYTES: of_int(I32, -2)}),
            "levels of -2 and 3",
        ),
        (
            "levels that are longer than it",
            page(DATA_V2, inner={DataPageV2Fields.DEFINITION_BYTES: of_int(I32, 19)}),
            "levels of 2 and 19",
        ),
        ("no values told", page(DATA, but=DataPageFields.NUM_VALUES), "has no field 5.1"),
        ("no encoding told", page(DICTIONARY, but=DataPageFields.ENCODING), "has no field 7.2"),
        (
            "a text for a number",
            page(DATA_V2, inner={DataPageV2Fields.ENCODING: of_bytes(b"x")}),
            "field 4 is no number",
        ),
        ("a kind that there is not", page(DATA, outer={PageFields.TYPE: of_int(I32, 9)}), "is of kind 9"),
        ("another kind's header", page(DATA, outer={PageFields.TYPE: of_int(I32, DATA_V2)}), "has no field 8.4"),
        (
            "a body that is longer than its chunk",
            page(DATA, outer={PageFields.COMPRESSED_SIZE: of_int(I32, 21)}),
            "a page ends at byte",
        ),
    ],
)
def test_what_is_no_page_is_refused(case: str, raw: bytes, reason: str) -> None:
    with pytest.raises(MalformedThriftError, match=reason):
        read_pages(raw, 0, len(raw))


@pytest.mark.parametrize("crc", [None, 0, 2**32 - 1])
def test_the_header_of_a_made_page_is_read_as_it_was_meant(crc: int | None) -> None:
    levels = b"\x0e\x01"
    raw = plain_page_header(7, levels, 18, 56, crc) + levels + bytes(18)

    (found,) = read_pages(raw, 0, len(raw))

    assert (found.kind, found.values, found.encodings, found.levels) == (DATA_V2, 7, (PLAIN, RLE), (0, 2))
    assert (found.end - found.body, found.uncompressed_bytes, found.crc) == (20, 58, crc)
