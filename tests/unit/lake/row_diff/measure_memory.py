"""Compares two versions of a table in a process of its own, and prints what it took; see test_row_diff_memory.py."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from pyiceberg.table import StaticTable

from app.domain.names import DatasetName
from app.domain.row_diffs import RowDiffRequest
from app.domain.version_relation import relate
from app.lake.row_diff.planning import TableVersion, plan_row_diff
from app.lake.row_diff.resources import Resources
from app.lake.row_diff.running import RowDiffRun
from app.lake.table import LakeTable, to_state


def peak_mb() -> int:
    """The most that this program has held; what `getrusage` says is that of whoever started it, where that was more."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def main(metadata: str, from_id: str, scratch: str, memory_bytes: str, keys: str) -> None:
    handle = StaticTable.from_metadata(metadata)
    table = LakeTable(
        state=to_state(handle.metadata, metadata, DatasetName(namespace="sales", name="orders")), handle=handle
    )
    first, last = int(from_id), handle.metadata.snapshots[-1].snapshot_id
    sides = [TableVersion(table=table, snapshot_id=number, schema_id=0) for number in (first, last)]
    request = RowDiffRequest(keys=tuple(filter(None, keys.split(","))), sample_size=10)
    plan = plan_row_diff(sides[0], sides[1], request, relate(table.state.history, first, last))
    begun, before = time.monotonic(), peak_mb()
    resources = Resources(scratch=Path(scratch), memory_bytes=int(memory_bytes), threads=2)
    found = RowDiffRun(plan, resources).run()
    took = {
        "rows": [found.rows_added, found.rows_removed, found.rows_changed],
        "before_mb": before,
        "peak_mb": peak_mb(),
        "seconds": round(time.monotonic() - begun, 1),
    }
    print(json.dumps(took))


if __name__ == "__main__":
    main(*sys.argv[1:])
