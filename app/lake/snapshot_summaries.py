"""What a snapshot's summary says of the files that it added and removed (Iceberg spec, "Optional Snapshot Summary")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pyiceberg.manifest import DataFile
from pyiceberg.table.snapshots import Operation, Snapshot, Summary, UpdateMetrics, update_snapshot_summaries

from app.lake.partitions import unify_nan

_TOTAL = "total-records"


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
        partitions.add(unify_nan(file.partition))
    for file in removed:
        metrics.remove_file(file)
        partitions.add(unify_nan(file.partition))
    changed = {"changed-partition-count": str(len(partitions))} if partitions else {}
    own = Summary(operation=Operation.OVERWRITE, **metrics.to_dict(), **changed, **properties)
    before = parent.summary.additional_properties if parent is not None and parent.summary is not None else {}
    # pyiceberg adds up totals for the operations that it makes itself only; they are the same sums for `replace`. It
    # takes totals that the parent does not tell for none, and readers would take that for an empty table.
    if parent is not None and _TOTAL not in before:
        return Summary(operation=operation, **own.additional_properties)
    totals = update_snapshot_summaries(own, before or None)
    return Summary(operation=operation, **totals.additional_properties)
