"""How manifests are compressed, by a property of the table in Iceberg's words or Avro's."""

from __future__ import annotations

from collections.abc import Mapping

from pyiceberg.avro.codecs import KNOWN_CODECS, AvroCompressionCodec
from pyiceberg.table import TableProperties

from app.errors import InvalidTablePropertyError

# Iceberg's names for what Avro calls otherwise (`Avro.Codec` of its own library), of which pyiceberg lacks the last.
_ICEBERGS: Mapping[str, AvroCompressionCodec] = {"gzip": "deflate", "zstd": "zstandard", "uncompressed": "null"}
_CODECS: Mapping[str, AvroCompressionCodec] = {**{name: name for name in KNOWN_CODECS}, **_ICEBERGS}


def manifest_codec(properties: Mapping[str, str]) -> AvroCompressionCodec:
    """The codec that manifests of a table of these properties are written with, in Avro's name.

    Raises:
        InvalidTablePropertyError: there is no such codec, or it cannot be written here.
    """
    name = TableProperties.WRITE_AVRO_COMPRESSION
    text = properties.get(name, TableProperties.WRITE_AVRO_COMPRESSION_DEFAULT)
    codec = _CODECS.get(text.lower())
    if codec is None:
        raise InvalidTablePropertyError(name, text, "gzip, zstd, snappy or uncompressed is needed")
    compressor = KNOWN_CODECS[codec]
    if compressor is not None:
        try:
            compressor.compress(b"")
        except ImportError as error:
            raise InvalidTablePropertyError(name, text, f"it cannot be written here: {error}") from error
    return codec
