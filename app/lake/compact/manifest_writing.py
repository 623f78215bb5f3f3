"""Manifests whose entries are gathered into blocks, and whose files are copied from other ones where that can be.

pyiceberg's writers make a block of each entry, compressed by itself, and encode each file field by field in Python.
"""

from __future__ import annotations

from types import TracebackType

from pyiceberg.avro.codecs import AvroCompressionCodec
from pyiceberg.avro.encoder import BinaryEncoder
from pyiceberg.avro.file import _SCHEMA_KEY, MAGIC, META_SCHEMA, AvroFileHeader, AvroOutputFile
from pyiceberg.avro.resolver import construct_writer
from pyiceberg.io import OutputFile
from pyiceberg.manifest import (
    DEFAULT_READ_VERSION,
    ManifestContent,
    ManifestEntry,
    ManifestWriter,
    ManifestWriterV1,
    ManifestWriterV2,
)
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema

from app.lake.delete_manifests import DeleteManifestWriter
from app.lake.encoded_files import EncodedFile, EntryLayout, encode_long

# As Avro's own library for Java (`DataFileConstants.DEFAULT_SYNC_INTERVAL`), which Iceberg's leaves as it is.
BLOCK_BYTES = 64_000


def open_manifest(
    format_version: int,
    content: ManifestContent,
    spec: PartitionSpec,
    schema: Schema,
    output: OutputFile,
    snapshot_id: int,
    codec: AvroCompressionCodec,
    layout: EntryLayout | None = None,
) -> ManifestWriter:
    """A writer of a manifest: pyiceberg's own but for how the file is made.

    With a `layout` it takes only files whose bytes are known in that, and copies them with all fields that they have.
    """
    if content == ManifestContent.DELETES:
        return _DeletesWriter(spec, schema, output, snapshot_id, codec, layout)
    if format_version == 1:
        return _WriterV1(spec, schema, output, snapshot_id, codec, layout)
    if format_version == 2:
        return _WriterV2(spec, schema, output, snapshot_id, codec, layout)
    raise ValueError(f"manifests of format version {format_version} cannot be written")


class _BlockFile(AvroOutputFile[ManifestEntry]):
    """pyiceberg's file, with many entries in a block."""

    def __init__(
        self,
        output: OutputFile,
        file_schema: Schema,
        read_schema: Schema,
        meta: dict[str, str],
        layout: EntryLayout | None,
    ) -> None:
        super().__init__(output, file_schema, "manifest_entry", read_schema, meta)
        self._layout = layout
        self._heads: dict[tuple[int, int | None, int | None, int | None], bytes] = {}
        self._block = _BlockEncoder()
        self._entries = 0

    def __exit__(
        self,
        exctype: type[BaseException] | None,
        excinst: BaseException | None,
        exctb: TracebackType | None,
    ) -> None:
        """End the file, with the block that is being made."""
        try:
            self._end_block()
        finally:
            super().__exit__(exctype, excinst, exctb)

    def write_block(self, objects: list[ManifestEntry]) -> None:
        """Add entries to the block that is being made."""
        for entry in objects:
            if self._layout is None:
                self.writer.write(self._block, entry)
            else:
                self._copy(entry, self._layout)
            self._entries += 1
            if len(self._block.content) >= BLOCK_BYTES:
                self._end_block()

    def tell(self) -> int:
        """How many bytes it has, with those of the block that is being made as they are before they are compressed."""
        return super().tell() + len(self._block.content)

    def _copy(self, entry: ManifestEntry, layout: EntryLayout) -> None:
        file = entry.data_file
        if not isinstance(file, EncodedFile) or file.layout is not layout:
            raise ValueError(f"{file.file_path} is not known in the layout of this manifest")
        key = (entry.status, entry.snapshot_id, entry.sequence_number, entry.file_sequence_number)
        head = self._heads.get(key)
        if head is None:
            head = self._heads[key] = layout.head_of(entry)
        self._block.content += head
        self._block.content += file.encoded

    def _end_block(self) -> None:
        if self._entries == 0:
            return
        content = bytes(self._block.content)
        codec = self.compression_codec()
        self.encoder.write_int(self._entries)
        self.encoder.write_bytes(content if codec is None else codec.compress(content)[0])
        self.encoder.write(self.sync_bytes)
        self._block.content.clear()
        self._entries = 0

    def _write_header(self) -> None:
        if self._layout is None:
            super()._write_header()
            return
        meta = {**self.metadata, _SCHEMA_KEY: self._layout.schema}
        construct_writer(META_SCHEMA).write(self.encoder, AvroFileHeader(MAGIC, meta, self.sync_bytes))


class _BlockEncoder(BinaryEncoder):
    """pyiceberg's, into memory: it calls its stream for each byte of a number."""

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, b: bytes) -> None:
        """Add bytes as they are."""
        self.content += b

    def write_int(self, integer: int) -> None:
        """Add a number."""
        # Most are ids of columns, and counts.
        if 0 <= integer < 0x40:
            self.content.append(integer << 1)
        else:
            self.content += encode_long(integer)


class _InBlocks(ManifestWriter):
    def __init__(
        self,
        spec: PartitionSpec,
        schema: Schema,
        output: OutputFile,
        snapshot_id: int,
        codec: AvroCompressionCodec,
        layout: EntryLayout | None,
    ) -> None:
        super().__init__(spec, schema, output, snapshot_id, codec)
        self._layout = layout

    def new_writer(self) -> AvroOutputFile[ManifestEntry]:
        """The file that it writes to."""
        schemas = self._with_partition(self.version), self._with_partition(DEFAULT_READ_VERSION)
        return _BlockFile(self._output_file, *schemas, self._meta, self._layout)


class _WriterV1(_InBlocks, ManifestWriterV1):
    pass


class _WriterV2(_InBlocks, ManifestWriterV2):
    pass


class _DeletesWriter(_InBlocks, DeleteManifestWriter):
    pass
