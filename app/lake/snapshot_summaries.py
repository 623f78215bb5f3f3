"""What a snapshot's summary says of the files that it added and removed (Iceberg spec, "Optional Snapshot Summary")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pyiceberg.manifest import DataFile
from pyiceberg.table.snapshots import Operation, Snapshot, Summary, UpdateMetrics, update_snapshot_summaries


def summarise(
    operation: Operation,
    parent: Snapshot | None,
    *,
    added: Iterable[DataFile],
    removed: Iterable[DataFile],
    properties: Mapping[str, str],
) -> Summary:
    """Counts and bytes of data and delete files, with totals where the parent has them; `properties` beside."""
    metrics, partitions = UpdateMetrics(), set()
    for file in added:
        metrics.add_file(file)
        partitions.add(file.partition)
    for file in removed:
        metrics.remove_file(file)
        partitions.add(file.partition)
    changed = {"changed-partition-count": str(len(partitions))} if partitions else {}
    # pyiceberg adds up totals for the operations that it makes itself only; they are the same sums for `replace`.
    totals = update_snapshot_summaries(
        Summary(operation=Operation.OVERWRITE, **metrics.to_dict(), **changed, **properties),
        parent.summary.additional_properties if parent and parent.summary else None,
    )
    return Summary(operation=operation, **totals.additional_properties)
