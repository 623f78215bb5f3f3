"""What of a table keeps engines from compacting it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pyiceberg.table.snapshots import Snapshot

from app.domain.compaction.obstacles import CompactionEngine, Obstacle
from app.lake.commits import WRITABLE_FORMAT_VERSION
from app.lake.reading import EQUALITY_DELETES, has_equality_deletes
from app.lake.row_diff.manifests import Tasks
from app.lake.spark.types import find_unknown_type
from app.lake.table import LakeTable


def find_obstacles(table: LakeTable, head: Snapshot, files: Tasks) -> dict[CompactionEngine, Obstacle]:
    """What each engine would not do justice to, the first that is found; `files` are all live files of the head.

    Costs reading the head's manifests of deletes once more, where rows may be deleted by value.
    """
    found = {
        CompactionEngine.LOCAL: next(_local(table, head, files), None),
        CompactionEngine.SPARK: next(_spark(table, files), None),
    }
    return {engine: obstacle for engine, obstacle in found.items() if obstacle is not None}


def _local(table: LakeTable, head: Snapshot, files: Tasks) -> Iterator[Obstacle]:
    version = table.state.format_version
    if version > WRITABLE_FORMAT_VERSION:
        yield Obstacle(
            feature=f"format version {version}",
            reason="its rows have a lineage of their own, which only compaction by Spark keeps",
        )
    if has_equality_deletes(table, head):
        yield Obstacle(feature=EQUALITY_DELETES, reason="it has rows deleted by value, which cannot be applied here")
    if any(task.file.key_metadata is not None for task in files.values()):
        yield Obstacle(feature="encrypted files", reason="their keys are not known here")


def _spark(table: LakeTable, files: Tasks) -> Iterator[Obstacle]:
    if (kind := find_unknown_type(table.metadata.schema())) is not None:
        yield Obstacle(feature=f"a column of type {kind}", reason="Spark has no such type, and opens no such table")
    if any(times > 1 for times in Counter(file.path for file in files).values()):
        # Spark's procedure removes by path: the first group of files would take the rows of the others with it.
        yield Obstacle(
            feature="files that are in it more than once", reason="rewriting one of them would remove all of them"
        )
