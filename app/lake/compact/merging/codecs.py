"""How pages are compressed, by the ids that parquet.thrift has for it ("CompressionCodec")."""

from __future__ import annotations

import pyarrow as pa

from app.lake.parquet.wire import MalformedThriftError

UNCOMPRESSED = 0
_ZSTD = 6
# Of each id: what Arrow's writer is asked for, and what decompresses it.
_CODECS = {
    UNCOMPRESSED: ("NONE", ""),
    1: ("SNAPPY", "snappy"),
    2: ("GZIP", "gzip"),
    4: ("BROTLI", "brotli"),
    _ZSTD: ("ZSTD", "zstd"),
    7: ("LZ4", "lz4_raw"),
}
CODEC_IDS = {written: codec for codec, (written, _) in _CODECS.items()}


def is_known(codec: int) -> bool:
    """Whether pages of it can be decompressed here."""
    return codec in _CODECS


def is_concatenable(codec: int, *, joins_frames: bool) -> bool:
    """Whether compressed bytes of it may stand one behind the other in a page.

    Of zstd what they are then is the compressed form of both (RFC 8878, section 3), which not all readers know. Of
    gzip's members it is too, but Arrow reads the first one alone.
    """
    return codec == UNCOMPRESSED or (codec == _ZSTD and joins_frames)


def decompressed(body: bytes, size: int, codec: int) -> bytes:
    """What a body of a known codec is, which has so many bytes then.

    Raises:
        MalformedThriftError: it cannot be decompressed.
    """
    if codec == UNCOMPRESSED:
        return bytes(body)
    if size == 0:
        return b""
    try:
        return bytes(pa.Codec(_CODECS[codec][1]).decompress(body, decompressed_size=size, asbytes=True))
    except (pa.ArrowException, OSError) as error:
        raise MalformedThriftError(f"a page cannot be decompressed: {error}") from error
