"""Tables with the history that a test wants: real metadata files, in front of one real data file."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.serializers import ToOutputFile
from pyiceberg.table import Table
from pyiceberg.table.refs import SnapshotRef
from pyiceberg.table.snapshots import SnapshotLogEntry

from app.domain.history import History

ROWS = pa.table({"id": pa.array([1, 2, 3], pa.int64())})


def register(catalog: Catalog, name: str, history: History, properties: Mapping[str, str], now_ms: int) -> Table:
    """A table with these snapshots and refs, last changed at `now_ms`; every snapshot has the same rows."""
    table = catalog.create_table(name, ROWS.schema)
    table.append(ROWS)
    (real,) = table.metadata.snapshots
    made = list(history.snapshots.values())
    # Iceberg refuses a log whose last entry is not main's head, or is later than the table's last change.
    head = history.head
    log = [] if head is None else [_log_entry(head.snapshot_id, min(head.timestamp_ms, now_ms))]
    metadata = table.metadata.model_copy(
        update={
            "properties": dict(properties),
            "last_updated_ms": now_ms,
            "last_sequence_number": len(made),
            "current_snapshot_id": history.head_id,
            "snapshots": [
                real.model_copy(
                    update={
                        "snapshot_id": snapshot.snapshot_id,
                        "parent_snapshot_id": snapshot.parent_id,
                        "sequence_number": place,
                        "timestamp_ms": snapshot.timestamp_ms,
                    }
                )
                for place, snapshot in enumerate(made, start=1)
            ],
            "refs": {
                name: SnapshotRef.model_validate(
                    {
                        "type": ref.kind.value,
                        "snapshot-id": ref.snapshot_id,
                        "min-snapshots-to-keep": ref.min_snapshots_to_keep,
                        "max-snapshot-age-ms": ref.max_snapshot_age_ms,
                        "max-ref-age-ms": ref.max_ref_age_ms,
                    }
                )
                for name, ref in history.refs.items()
            },
            "snapshot_log": log,
        }
    )
    location = f"{table.location()}/metadata/{len(made):05}-{uuid.uuid4()}.metadata.json"
    ToOutputFile.table_metadata(metadata, table.io.new_output(location))
    catalog.drop_table(name)
    return catalog.register_table(name, location)


def _log_entry(snapshot_id: int, timestamp_ms: int) -> SnapshotLogEntry:
    return SnapshotLogEntry(snapshot_id=snapshot_id, timestamp_ms=timestamp_ms)
