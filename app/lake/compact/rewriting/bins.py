"""Rewriting one bin: the live rows of its files in new ones, which nothing knows of until they are committed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path

from pyiceberg.manifest import DataFile
from pyiceberg.table import FileScanTask

from app.domain.compaction.rolling import Rolling, RowGroupLimits
from app.errors import UnreadableTableError
from app.lake.compact.rewriting.destinations import destination_of
from app.lake.compact.rewriting.layout import layout_of
from app.lake.compact.rewriting.live_rows import LiveRows, WeighedRows
from app.lake.compact.rewriting.sort_keys import SortKeys, find_sort_keys
from app.lake.compact.rewriting.sorting import sorted_batches
from app.lake.compact.rewriting.stopping import RewriteStoppedError
from app.lake.compact.rewriting.terms import BinTerms
from app.lake.compact.rewriting.writing import RollingWriter, file_overhead_bytes, group_extra_bytes
from app.lake.table import LakeTable

# Of the memory that a bin may take, for rows of row groups; the rest is for what is read, decoded and encoded.
_ROW_GROUPS_SHARE = 0.3
# Where rows are sorted, there are as many again, twice.
_SORT_SHARE, _SORTED_ROW_GROUPS_SHARE = 0.15, 0.25


def rewrite_bin(
    table: LakeTable,
    tasks: Sequence[FileScanTask],
    terms: BinTerms,
    *,
    scratch: Path,
    on_rows: Callable[[int], None] = lambda _: None,
) -> tuple[DataFile, ...]:
    """Data files with the live rows of these, in their order or that of the table; none where all are deleted.

    The tasks have one spec and partition. Rows are in the table's current schema. `scratch` is a folder for rows that
    are sorted, and `on_rows` is told how many rows were done, again and again.

    Blocks; several bins may be rewritten at once. Memory: that of the terms, but for a row, and a batch of values that
    their file has once, that are larger; and a bit for each row of files with deletes. Costs reading the files and
    their delete files whole.

    Raises:
        InvalidTablePropertyError: a table property on how files are written has a value that it cannot have.
        UnsupportedTableError: the sort order is unknown here, or a file was written with a later schema.
        MissingFileError, UnreadableTableError: a file is missing or broken, or has other rows than manifests say.
        BackendUnavailableError: storage, or `scratch`, cannot be written.
        RewriteStoppedError: the terms' `is_stopped` said so.
        In each case what was written is removed.
    """
    keys = find_sort_keys(table)
    destination = destination_of(table, tasks, terms.name)
    live = LiveRows(table, tasks, terms.is_stopped)
    layout = layout_of(table, live.rows, keys.order_id if keys else 0)
    share = _SORTED_ROW_GROUPS_SHARE if keys else _ROW_GROUPS_SHARE
    rolling = Rolling(
        target_bytes=terms.target_bytes,
        outputs=terms.outputs,
        weight=live.weight,
        limits=RowGroupLimits(
            rows=layout.options.row_group_rows,
            file_bytes=layout.options.row_group_bytes,
            # Of those that are encoded, and of the one that is collected.
            memory_bytes=int(terms.memory_bytes * share / (terms.threads + 1)),
        ),
        overhead_bytes=file_overhead_bytes(layout),
        group_extra_bytes=group_extra_bytes(layout),
    )
    ordered = _ordered(live, keys, scratch, int(terms.memory_bytes * _SORT_SHARE))
    with closing(ordered), RollingWriter(table.io, destination, layout, rolling, threads=terms.threads) as writer:
        for rows in ordered:
            if terms.is_stopped():
                raise RewriteStoppedError
            writer.add(rows)
            on_rows(rows.batch.num_rows)
        files = writer.finish()
        if writer.rows_written != live.rows:
            raise UnreadableTableError(
                str(table.state.name), f"{live.rows} live rows were to be written, and {writer.rows_written} were"
            )
    return files


def _ordered(
    live: LiveRows, keys: SortKeys | None, scratch: Path, memory_bytes: int
) -> Generator[WeighedRows, None, None]:
    if keys is None:
        yield from live
        return
    # Where each row came from is not known any more.
    weight = live.weight / max(1, live.rows)
    batches = (rows.batch for rows in live)
    for batch in sorted_batches(batches, keys, scratch=scratch, memory_bytes=memory_bytes):
        yield WeighedRows(batch=batch, weight=batch.num_rows * weight)
