"""Making a bin: by copying where that does, else by rewriting."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import FileScanTask

from app.domain.compaction.packing import Bin
from app.domain.compaction.policy import MIB
from app.errors import UnreadableTableError
from app.lake.catalog import reading_files
from app.lake.compact.copying.data_files import join_data_files
from app.lake.compact.copying.errors import JoinStoppedError
from app.lake.compact.copying.footers import Footer, read_footer
from app.lake.compact.copying.joinable import find_obstacle
from app.lake.compact.memory import MemoryBudget
from app.lake.compact.merging.bins import merge_bin
from app.lake.compact.merging.codecs import CODEC_IDS, is_concatenable
from app.lake.compact.merging.errors import UnmergeableError
from app.lake.compact.outcomes import MadeBin, Way
from app.lake.compact.planning import PlannedTable
from app.lake.compact.rewriting.bins import rewrite_bin
from app.lake.compact.rewriting.destinations import destination_of
from app.lake.compact.rewriting.leaves import leaves
from app.lake.compact.rewriting.properties import truth
from app.lake.compact.rewriting.stopping import RewriteStoppedError
from app.lake.compact.rewriting.terms import BinTerms
from app.lake.compact.rewriting.writer_options import JOINED_FRAMES, compression_of
from app.lake.compact.running import CompactionStoppedError, IsStopped

logger = logging.getLogger(__name__)

# Small row groups cost a request each for every column, in whatever file they are (docs/decisions/0023).
COPY_MIN_ROW_GROUP_BYTES = 8 * MIB
# Smaller pages cost every reader more than what rewriting them takes (docs/decisions/0024).
MERGE_MIN_CHUNK_BYTES = 32 * 1024
# Where pages are put together, files become larger by it below this (docs/decisions/0027).
_JOIN_MIN_CHUNK_BYTES = 8 * 1024
# How a bin was made whose pages stayed.
MERGED = "their pages stay as they are in larger row groups"
# Rows decoded, together with what is encoded of them, come to so many times their files; seldom to more.
_DECODED_GROWTH = 16
# Footers are read so many at once, of each bin.
_READERS = 8
# Iceberg spec, "Sort Orders": id 0 is for files that are in none.
_UNSORTED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BinMaker:
    """Makes the files of bins, several of them at once, which have `memory_bytes` together, and `threads` each.

    `name` becomes part of the names of new files, so that one that nothing names tells whose it was. With `way` bins
    are made so wherever that can be, whatever their row groups and the table's sort order.
    """

    name: str
    memory_bytes: int
    scratch: Path
    threads: int = 1
    copy_min_row_group_bytes: int = COPY_MIN_ROW_GROUP_BYTES
    merge_min_chunk_bytes: int = MERGE_MIN_CHUNK_BYTES
    way: Way | None = None
    _memory: MemoryBudget = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_memory", MemoryBudget(self.memory_bytes))

    def __call__(self, planned: PlannedTable, some: Bin, is_stopped: IsStopped) -> MadeBin:
        """The files that have the rows of a bin.

        Raises:
            CompactionStoppedError: `is_stopped` said so; nothing is left.
            MissingFileError, UnreadableTableError: a file is missing or broken.
            BackendUnavailableError: storage, or the folder for what is sorted, cannot be written.
            InvalidTablePropertyError: a table property on how files are written has a value that it cannot have.
            UnsupportedTableError: the table's sort order is unknown here.
        """
        tasks = list(planned.tasks_of(some).values())
        table = planned.table
        try:
            with reading_files(table.state.name):
                why, footers = self._why_not_copied(planned, some, tasks, is_stopped)
                if why is None:
                    return MadeBin(way=Way.COPY, added=(self._copy(planned, tasks, footers, is_stopped),))
            with self._memory.held(self._wanted_bytes(some), is_stopped) as memory_bytes:
                if memory_bytes is None:
                    raise CompactionStoppedError
                terms = BinTerms(
                    outputs=some.outputs,
                    target_bytes=planned.plan.policy.target_bytes,
                    memory_bytes=memory_bytes,
                    # One that has all the memory has all the processors too.
                    threads=self.threads if memory_bytes == self.memory_bytes else 1,
                    name=self.name,
                    is_stopped=is_stopped,
                )
                files, how = self._rewritten(planned, some, tasks, terms)
        except (JoinStoppedError, RewriteStoppedError) as error:
            raise CompactionStoppedError from error
        return MadeBin(way=Way.REWRITE, added=files, why=f"{why}; {how}" if how else why)

    def _rewritten(
        self, planned: PlannedTable, some: Bin, tasks: Sequence[FileScanTask], terms: BinTerms
    ) -> tuple[tuple[DataFile, ...], str]:
        """The rows of a bin in new row groups, and in words how they came there; none where there is but one way."""
        if self.way is not None or not self._is_mergeable(planned, some, tasks):
            return rewrite_bin(planned.table, tasks, terms, scratch=self.scratch), ""
        try:
            return merge_bin(planned.table, tasks, terms), MERGED
        except (UnmergeableError, UnreadableTableError) as error:
            # What is broken for the one may be read by the other, such as pages of a kind that came later; and what is
            # not, the other tells.
            logger.info("%s is rewritten row by row: %s", planned.table.state.name, error)
            return rewrite_bin(planned.table, tasks, terms, scratch=self.scratch), f"row by row: {error}"

    def _why_not_copied(
        self, planned: PlannedTable, some: Bin, tasks: Sequence[FileScanTask], is_stopped: IsStopped
    ) -> tuple[str | None, Sequence[Footer]]:
        """Why the files of a bin cannot stay as they are within a larger one, and their footers where they can."""
        if self.way is Way.REWRITE:
            return "rewriting was asked for", ()
        if some.has_deletes:
            return "there are deletes to apply", ()
        if some.outputs > 1:
            return f"{some.outputs} files are to be made of them", ()
        if any(task.file.file_format is not FileFormat.PARQUET for task in tasks):
            return "not all of them are Parquet files", ()
        if not planned.table.metadata.sort_order().is_unsorted and self.way is None:
            return "the table has a sort order", ()
        # Each file with rows has a row group at least: of thousands of small files no footer needs to be read.
        most = some.size_bytes / max(1, sum(task.file.record_count > 0 for task in tasks))
        if (why := self._why_small(most)) is not None:
            return why, ()
        with ThreadPoolExecutor(_READERS, thread_name_prefix="footers-") as readers:
            io = planned.table.io
            footers = list(
                readers.map(
                    lambda task: None if is_stopped() else read_footer(io, task.file.file_path, _size(task)), tasks
                )
            )
        known = [footer for footer in footers if footer is not None]
        if len(known) < len(footers):
            raise JoinStoppedError
        if (obstacle := find_obstacle(known)) is not None:
            return str(obstacle), ()
        groups = sum(len(footer.row_groups) for footer in known)
        average = sum(footer.row_group_bytes for footer in known) / max(1, groups)
        if (why := self._why_small(average)) is not None:
            return why, ()
        return None, known

    def _is_mergeable(self, planned: PlannedTable, some: Bin, tasks: Sequence[FileScanTask]) -> bool:
        """Whether the pages of a bin's files may stay, as far as manifests tell, and are not too small for it."""
        metadata = planned.table.metadata
        columns = len(leaves(metadata.schema()))
        codec = CODEC_IDS[compression_of(metadata.properties)]
        least_bytes = self.merge_min_chunk_bytes
        if is_concatenable(codec, joins_frames=truth(metadata.properties, JOINED_FRAMES)):
            least_bytes = min(least_bytes, _JOIN_MIN_CHUNK_BYTES)
        return (
            not some.has_deletes
            and metadata.sort_order().is_unsorted
            and all(task.file.file_format is FileFormat.PARQUET for task in tasks)
            and some.size_bytes >= least_bytes * columns * len(tasks)
        )

    def _wanted_bytes(self, some: Bin) -> int:
        """The memory that rewriting a bin should have: for all of its rows, decoded, and for what they become."""
        return max(self.memory_bytes // (2 * self.threads), some.size_bytes * _DECODED_GROWTH)

    def _why_small(self, row_group_bytes: float) -> str | None:
        """Why row groups of so many bytes on average, or of fewer, are not to stay."""
        if row_group_bytes >= self.copy_min_row_group_bytes or self.way is not None:
            return None
        return (
            f"their row groups of {row_group_bytes / MIB:.1f} MB on average are smaller than "
            f"{self.copy_min_row_group_bytes / MIB:.1f} MB, and would stay so"
        )

    def _copy(
        self, planned: PlannedTable, tasks: Sequence[FileScanTask], footers: Sequence[Footer], is_stopped: IsStopped
    ) -> DataFile:
        table = planned.table
        destination = destination_of(table, tasks, self.name)
        current = table.metadata.schema()
        schemas = [schema for schema in table.metadata.schemas if schema.schema_id != current.schema_id] + [current]
        joined = join_data_files(
            table.io,
            [task.file for task in tasks],
            footers,
            destination.location(0),
            schemas=schemas,
            is_stopped=is_stopped,
        )
        return DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=joined.file.location,
            file_format=FileFormat.PARQUET,
            partition=destination.partition,
            record_count=joined.file.rows,
            file_size_in_bytes=joined.file.size_bytes,
            split_offsets=list(joined.file.split_offsets),
            sort_order_id=_UNSORTED,
            **asdict(joined.metrics),
        )


def _size(task: FileScanTask) -> int:
    return int(task.file.file_size_in_bytes)
