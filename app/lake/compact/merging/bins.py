"""Merging the files of one bin: larger row groups of their small ones, pages staying what they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from pyiceberg.manifest import DataFile
from pyiceberg.table import FileScanTask

from app.domain.compaction.rolling import Rolling, RowGroupLimits
from app.errors import UnreadableTableError
from app.lake.catalog import reading_files
from app.lake.compact.copying.errors import BrokenParquetError
from app.lake.compact.copying.footers import read_footer
from app.lake.compact.merging.errors import UnmergeableError
from app.lake.compact.merging.groups import Merging
from app.lake.compact.rewriting.destinations import destination_of
from app.lake.compact.rewriting.layout import FileLayout, layout_of
from app.lake.compact.rewriting.row_groups import EncodedGroup
from app.lake.compact.rewriting.stopping import RewriteStoppedError
from app.lake.compact.rewriting.terms import BinTerms
from app.lake.compact.rewriting.writing import RollingWriter, file_overhead_bytes, group_extra_bytes
from app.lake.table import LakeTable
from app.lake.whole_files import WholeFiles

# Of the memory that a bin may take, for what row groups are made of; the rest is for columns that are encoded anew.
_ROW_GROUPS_SHARE = 0.3
# Larger ones save few requests, and who looks for one row reads a whole one (docs/decisions/0024).
_ROW_GROUP_BYTES = 16 * 2**20
# A file that is larger is a row group by itself, where it is no more than a part of this.
_FILE_SHARE = 0.5
# For fields that are encoded anew, one for each row group, decoded.
_DECODED_SHARE = 0.4
# Files of a row group are read so many at once, but for local ones.
_READERS = 4


def merge_bin(table: LakeTable, tasks: Sequence[FileScanTask], terms: BinTerms) -> tuple[DataFile, ...]:
    """Data files with the rows of these, in their order; as `rewrite_bin`, for files without deletes.

    Each row group has those of whole files. Costs reading the files, 10 µs a page, and decoding and encoding columns
    with dictionaries that are worth it.

    Raises:
        UnmergeableError: it cannot be done so; nothing is left.
        InvalidTablePropertyError, MissingFileError, UnreadableTableError, BackendUnavailableError,
        RewriteStoppedError: as `rewrite_bin`.
    """
    rows = sum(task.file.record_count for task in tasks)
    layout = layout_of(table, rows, 0)
    files = [task.file for task in tasks if task.file.record_count]
    weight = float(sum(file.file_size_in_bytes for file in files))
    limits = RowGroupLimits(
        rows=layout.options.row_group_rows,
        file_bytes=layout.options.row_group_bytes,
        memory_bytes=min(_ROW_GROUP_BYTES, int(terms.memory_bytes * _ROW_GROUPS_SHARE / (terms.threads + 1))),
    )
    _refuse(layout, files, limits, min(terms.target_bytes, int(terms.memory_bytes * _FILE_SHARE / (terms.threads + 1))))
    rolling = Rolling(
        target_bytes=terms.target_bytes,
        outputs=terms.outputs,
        weight=weight,
        limits=limits,
        overhead_bytes=file_overhead_bytes(layout),
        group_extra_bytes=group_extra_bytes(layout),
    )
    with reading_files(table.state.name):
        _check_empty(table, [task.file for task in tasks if not task.file.record_count])
        if not files:
            return ()
        first = read_footer(table.io, files[0].file_path)
        merging = Merging.to(layout, _told_nans(files), first, int(terms.memory_bytes * _DECODED_SHARE / terms.threads))
    whole = WholeFiles(table.io, table.metadata.location)
    with (
        ThreadPoolExecutor(_READERS, thread_name_prefix="sources-") as readers,
        RollingWriter(
            table.io, destination_of(table, tasks, terms.name), layout, rolling, threads=terms.threads
        ) as writer,
    ):

        def make(some: Sequence[DataFile]) -> EncodedGroup:
            def read(file: DataFile) -> bytes:
                if terms.is_stopped():
                    raise RewriteStoppedError
                return whole.read(file.file_path)

            with reading_files(table.state.name):
                contents = map(read, some) if whole.is_local else readers.map(read, some)
                sources = [merging.source(file, content) for file, content in zip(some, contents, strict=True)]
                return merging.group(sources)

        for some in _row_groups(files, limits, terms):
            if terms.is_stopped():
                raise RewriteStoppedError
            writer.add_group(partial(make, some), float(sum(file.file_size_in_bytes for file in some)))
        added = writer.finish()
        if writer.rows_written != rows:
            raise UnreadableTableError(
                str(table.state.name), f"{rows} rows were to be written, and {writer.rows_written} were"
            )
    return added


def _check_empty(table: LakeTable, files: Sequence[DataFile]) -> None:
    """See that files without rows have none: of a manifest that is wrong rows would be lost."""
    for file in files:
        if rows := read_footer(table.io, file.file_path).rows:
            raise BrokenParquetError(file.file_path, f"it has {rows} rows, and its manifest says 0")


def _told_nans(files: Sequence[DataFile]) -> frozenset[int]:
    """The columns of which the manifests of all files say how many values are NaN; not all writers do."""
    told = [set(file.nan_value_counts or {}) for file in files]
    return frozenset(set.intersection(*told) if told else ())


def _refuse(layout: FileLayout, files: Sequence[DataFile], limits: RowGroupLimits, most_bytes: int) -> None:
    """Refuse what pages cannot be taken over for, as far as manifests and properties tell."""
    arguments = layout.options.arguments
    if "bloom_filter_options" in arguments:
        raise UnmergeableError("Bloom filters are asked for")
    if "compression_level" in arguments:
        raise UnmergeableError("a level of compression is asked for")
    most_bytes = min(limits.file_bytes, most_bytes)
    for file in files:
        if file.file_size_in_bytes > most_bytes or file.record_count > limits.rows:
            raise UnmergeableError(f"{file.file_path} is larger than a row group may be")


def _row_groups(files: Sequence[DataFile], limits: RowGroupLimits, terms: BinTerms) -> Iterator[Sequence[DataFile]]:
    """The files of each row group: as many as the limits leave room for, and one at least.

    All of them come into the same new file: that in which the middle of each lies, where they are filled evenly.
    """
    some: list[DataFile] = []
    rows = size = done = place = 0
    most_bytes = min(limits.file_bytes, limits.memory_bytes, terms.target_bytes)
    filled_bytes = min(terms.target_bytes, sum(file.file_size_in_bytes for file in files) / terms.outputs)
    for file in files:
        before, place = place, int((done + file.file_size_in_bytes / 2) / filled_bytes)
        is_too_large = rows + file.record_count > limits.rows or size + file.file_size_in_bytes > most_bytes
        if some and (is_too_large or place > before):
            yield some
            some, rows, size = [], 0, 0
        some.append(file)
        rows += file.record_count
        size += file.file_size_in_bytes
        done += file.file_size_in_bytes
    if some:
        yield some
