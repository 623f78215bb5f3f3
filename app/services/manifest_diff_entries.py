"""What manifests tell of two versions as plain data: the shape that REST, the command line and Python answer with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from app.domain.column_stats import ColumnStats, ColumnStatsDelta
from app.domain.file_diffs import FileDiff, PartitionDelta
from app.domain.versions import LATEST
from app.errors import JsonValue


class PartitionEntry(TypedDict):
    """Data files and their rows that came to a partition and left it; deletes are not taken off the rows."""

    partition: dict[str, str | None]
    spec_id: int
    files_added: int
    files_removed: int
    records_added: int
    records_removed: int


class FileDiffEntry(TypedDict):
    """The files that one version has and the other has not; the versions are as they were asked for.

    `partitions` are those with most files, of `partition_count`.
    """

    from_version: str
    to_version: str
    files_added: int
    files_removed: int
    bytes_added: int
    bytes_removed: int
    delete_files_added: int
    delete_files_removed: int
    rewritten_only: bool
    partition_count: int
    partitions: list[PartitionEntry]


class ColumnStatsEntry(TypedDict):
    """What the manifests of one version tell of a column; None is what a file does not tell."""

    path: str
    null_count: int | None
    value_count: int | None
    null_rate: float | None
    size_bytes: int | None
    lower: JsonValue
    upper: JsonValue


# A key is no name in Python where it is a keyword.
ColumnStatsDeltaEntry = TypedDict(
    "ColumnStatsDeltaEntry",
    {
        "field_id": int,
        "path": str,
        "from": ColumnStatsEntry | None,
        "to": ColumnStatsEntry | None,
        "null_rate_delta": float | None,
        "range_changed": bool,
        "changed": bool,
    },
)


class StatsDiffEntry(TypedDict):
    """The statistics of columns in two versions; the versions are as they were asked for."""

    from_version: str
    to_version: str
    columns: list[ColumnStatsDeltaEntry]


def file_diff_entry(
    from_version: str | None, to_version: str | None, diff: FileDiff, partitions: Sequence[PartitionDelta]
) -> FileDiffEntry:
    """A file diff, with these of its partitions; a version that was not named is `latest`."""
    return FileDiffEntry(
        from_version=from_version or LATEST,
        to_version=to_version or LATEST,
        files_added=diff.files_added,
        files_removed=diff.files_removed,
        bytes_added=diff.bytes_added,
        bytes_removed=diff.bytes_removed,
        delete_files_added=diff.delete_files_added,
        delete_files_removed=diff.delete_files_removed,
        rewritten_only=diff.is_rewritten_only,
        partition_count=diff.partition_count,
        partitions=[
            PartitionEntry(
                partition=dict(delta.partition),
                spec_id=delta.spec_id,
                files_added=delta.files_added,
                files_removed=delta.files_removed,
                records_added=delta.records_added,
                records_removed=delta.records_removed,
            )
            for delta in partitions
        ],
    )


def stats_diff_entry(
    from_version: str | None, to_version: str | None, deltas: Sequence[ColumnStatsDelta]
) -> StatsDiffEntry:
    """Statistics of columns in two versions; a version that was not named is `latest`."""
    return StatsDiffEntry(
        from_version=from_version or LATEST,
        to_version=to_version or LATEST,
        columns=[
            {
                "field_id": delta.field_id,
                "path": delta.path,
                "from": _stats(delta.before),
                "to": _stats(delta.after),
                "null_rate_delta": delta.null_rate_delta,
                "range_changed": delta.is_range_changed,
                "changed": delta.is_changed,
            }
            for delta in deltas
        ],
    )


def _stats(stats: ColumnStats | None) -> ColumnStatsEntry | None:
    if stats is None:
        return None
    return ColumnStatsEntry(
        path=stats.path,
        null_count=stats.null_count,
        value_count=stats.value_count,
        null_rate=stats.null_rate,
        size_bytes=stats.size_bytes,
        lower=stats.lower,
        upper=stats.upper,
    )
