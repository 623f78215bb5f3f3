"""A row group of all rows of several files: pages as they are, and where they cannot be, columns encoded anew."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import MetricModeTypes
from pyiceberg.manifest import DataFile

from app.lake.compact.copying.errors import BrokenParquetError
from app.lake.compact.copying.footers import MAGIC, Footer, notes_of, read_open_footer
from app.lake.compact.copying.joinable import find_obstacle
from app.lake.compact.copying.key_values import merge_key_values
from app.lake.compact.copying.survey import Span
from app.lake.compact.merging.codecs import CODEC_IDS, is_concatenable
from app.lake.compact.merging.columns import ColumnShape, MergedChunk, SourceChunk, merge_chunks
from app.lake.compact.merging.decoding import SourceFile, decoded
from app.lake.compact.merging.errors import UnmergeableError
from app.lake.compact.merging.files import in_memory, moved
from app.lake.compact.merging.schemas import is_same_schema, parquet_leaves, with_required
from app.lake.compact.merging.statistics import are_exact, key_of
from app.lake.compact.rewriting.dictionaries import with_dictionaries
from app.lake.compact.rewriting.layout import FileLayout
from app.lake.compact.rewriting.leaves import Leaf
from app.lake.compact.rewriting.metrics import FileMetrics
from app.lake.compact.rewriting.row_groups import Bytes, EncodedGroup, encode_columns
from app.lake.deleted_positions import naming_file
from app.lake.parquet.fields import ChunkFields, ColumnFields, FileFields, RowGroupFields
from app.lake.parquet.row_groups import Chunk, RowGroup, get_int, read_row_group, write_row_group
from app.lake.parquet.thrift import Struct, of_int, to_bytes
from app.lake.parquet.wire import I64

_MERGED = "merged row groups"


@dataclass(frozen=True, kw_only=True)
class Merging:
    """What all row groups of a bin have in common; `written` is the footer of a file that is written in the layout.

    Of the columns `with_nans` manifests say how many values are NaN. A field that is encoded anew takes `decoded_bytes`
    at most in each row group, and a batch of rows.
    """

    layout: FileLayout
    with_nans: Collection[int]
    written: Footer
    decoded_bytes: int
    _parts: dict[int, tuple[FileLayout, Footer]] = field(default_factory=dict)

    @classmethod
    def to(cls, layout: FileLayout, with_nans: Collection[int], like: Footer, decoded_bytes: int) -> Merging:
        """Row groups of files of this layout, in which columns are required that are so in the first of the sources."""
        with naming_file(like.location):
            layout = replace(layout, arrow_schema=with_required(layout.arrow_schema, like))
        _, footer = encode_columns(layout.arrow_schema.empty_table(), layout, [])
        return cls(layout=layout, with_nans=with_nans, written=footer, decoded_bytes=decoded_bytes)

    @cached_property
    def shapes(self) -> Sequence[ColumnShape]:
        """What the chunks of each column have to be like."""
        arguments = self.layout.options.arguments
        codec = CODEC_IDS[arguments["compression"]]
        return [
            ColumnShape(
                codec=codec,
                key=key_of(leaf.kind, parquet.physical),
                deepest=parquet.deepest,
                is_repeated=parquet.is_repeated,
                width=parquet.width,
                page_bytes=arguments["data_page_size"],
                page_rows=arguments["max_rows_per_page"],
                is_concatenable=is_concatenable(codec, joins_frames=self.layout.options.joins_frames),
            )
            for leaf, parquet in zip(self.layout.columns, parquet_leaves(self.written), strict=True)
        ]

    def _part(self, field: int) -> tuple[FileLayout, Footer]:
        """Files that have this field alone: their layout, and the footer of one without rows."""
        if field not in self._parts:
            part = self.layout.of_fields([field])
            self._parts[field] = (part, encode_columns(part.arrow_schema.empty_table(), part, [])[1])
        return self._parts[field]

    def source(self, file: DataFile, content: bytes) -> SourceFile:
        """A file of which these are all bytes.

        Raises:
            UnmergeableError: it cannot be merged.
            BrokenParquetError: it is broken, or is not what the manifest says of it.
        """
        location = file.file_path
        with naming_file(location), pa.BufferReader(content) as stream:
            footer = read_open_footer(stream, location, len(content), keeps_decoded=True)
            if footer.rows != file.record_count:
                reason = f"it has {footer.rows} rows, and its manifest says {file.record_count}"
                raise BrokenParquetError(location, reason)
            obstacle, is_same = find_obstacle([footer]), is_same_schema(footer, self.written)
        if obstacle is not None:
            raise UnmergeableError(str(obstacle))
        if not is_same:
            raise UnmergeableError(f"{location} has another schema than the table has now")
        if footer.without_statistics:
            raise UnmergeableError(f"{location} has columns without least and greatest values")
        if max(footer.fields) > FileFields.LAST:
            raise UnmergeableError(f"{location} has fields in its footer that are not known")
        return SourceFile(file=file, content=content, footer=footer)

    def group(self, sources: Sequence[SourceFile]) -> EncodedGroup:
        """The row group that has the rows of these files, one behind the other.

        Raises:
            UnmergeableError: they cannot be merged.
            OSError: one is broken; its name is in the message.
        """
        columns: list[tuple[Struct, Sequence[Bytes]] | None] = []
        for place, shape in enumerate(self.shapes):
            merged = self._merged(sources, place, shape)
            columns.append(None if merged is None else (merged.column, merged.parts))
        anew = self._encoded(sources, [place for place, found in enumerate(columns) if found is None])
        whole = [anew.get(place, found) for place, found in enumerate(columns)]
        known = [found for found in whole if found is not None]
        for leaf, (column, _) in zip(self.layout.columns, known, strict=True):
            if not self._tells_enough(leaf, column):
                # As where a text is longer than Arrow writes them.
                where = f"{leaf.path} of {sources[0].location} and those after it"
                raise UnmergeableError(f"{where} would have no least and greatest values")
        return self._assembled(sources, known, has_own=bool(anew))

    def _tells_enough(self, leaf: Leaf, column: Struct) -> bool:
        """Whether a chunk tells its least and greatest value: readers take those of other row groups for the file's."""
        if Chunk({}, column).has_statistics() is False:
            return False
        return self.layout.modes[leaf.field_id].type is not MetricModeTypes.FULL or are_exact(column)

    def _merged(self, sources: Sequence[SourceFile], place: int, shape: ColumnShape) -> MergedChunk | None:
        chunks = [
            SourceChunk(source.location, source.content, group.chunks[place], group.rows)
            for source in sources
            for group in source.footer.decoded
        ]
        merged = merge_chunks(chunks, shape)
        if merged is None or not self._tells_enough(self.layout.columns[place], merged.column):
            # Spark tells NaN for the greatest number, which is none; others cut off what is long.
            return None
        return merged

    def _encoded(
        self, sources: Sequence[SourceFile], places: Sequence[int]
    ) -> Mapping[int, tuple[Struct, Sequence[Bytes]]]:
        """The chunks of these columns, decoded and encoded."""
        fields = sorted({self.layout.columns[place].field_place for place in places})
        found: dict[int, tuple[Struct, Sequence[Bytes]]] = {}
        # Field by field: of many columns, decoded, one is a small part.
        for one in fields:
            part, like = self._part(one)
            whole = [place for place, leaf in enumerate(self.layout.columns) if leaf.field_place == one]
            rows = decoded(sources, whole, like, part.arrow_schema, self.decoded_bytes)
            content, footer = encode_columns(rows, part, with_dictionaries(rows, part.columns))
            (raw,) = footer.row_groups
            for place, chunk in zip(whole, read_row_group(raw).chunks, strict=True):
                parts = [content.slice(chunk.start, chunk.end - chunk.start)]
                found[place] = (moved(chunk.column, -chunk.start), parts)
        return found

    def _assembled(
        self, sources: Sequence[SourceFile], columns: Sequence[tuple[Struct, Sequence[Bytes]]], *, has_own: bool
    ) -> EncodedGroup:
        start = position = len(MAGIC)
        chunks: list[Chunk] = []
        parts: list[Bytes] = []
        for column, some in columns:
            size = get_int(column, ColumnFields.TOTAL_COMPRESSED_SIZE)
            chunks.append(Chunk({ChunkFields.FILE_OFFSET: of_int(I64, 0)}, moved(column, position)))
            parts += some
            position += size
        rows = sum(source.footer.rows for source in sources)
        uncompressed = sum(get_int(column, ColumnFields.TOTAL_UNCOMPRESSED_SIZE) for column, _ in columns)
        group = RowGroup(
            {
                RowGroupFields.TOTAL_BYTE_SIZE: of_int(I64, uncompressed),
                RowGroupFields.NUM_ROWS: of_int(I64, rows),
                RowGroupFields.FILE_OFFSET: of_int(I64, start),
                RowGroupFields.TOTAL_COMPRESSED_SIZE: of_int(I64, position - start),
            },
            chunks,
        )
        footer = self._footer(sources, write_row_group(group), rows, (start, position), has_own=has_own)
        metrics = FileMetrics(self.layout.columns, self.layout.modes)
        metrics.read(pq.read_metadata(pa.BufferReader(in_memory([], footer, footer.row_groups))))
        for source in sources:
            nans = source.file.nan_value_counts or {}
            metrics.count_nans({field_id: nans[field_id] for field_id in self.with_nans})
        return EncodedGroup(parts=parts, footer=footer, chunks=len(chunks), metrics=metrics)

    def _footer(
        self, sources: Sequence[SourceFile], row_group: bytes, rows: int, data: Span, *, has_own: bool
    ) -> Footer:
        """That of a file with this row group alone, which says of its writers what theirs say; `has_own`: and ours."""
        told = [source.footer for source in sources]
        if has_own:
            told.append(replace(self.written, notes=told[0].notes))
        said = merge_key_values(told).fields
        return Footer(
            location=_MERGED,
            size_bytes=data[1],
            fields=self.written.fields,
            rows=rows,
            version=max(footer.version for footer in told),
            created_by=to_bytes(said[FileFields.CREATED_BY]),
            notes=notes_of(said),
            row_groups=(row_group,),
            row_group_bytes=data[1] - data[0],
            data=(data,),
        )
