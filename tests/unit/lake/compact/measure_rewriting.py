"""Rewrites or merges all files of a table in a process of its own, and prints what it took; see the tests of memory."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pyiceberg.manifest import DataFile
from pyiceberg.table import StaticTable

from app.lake.compact.merging.bins import merge_bin
from app.lake.compact.merging.errors import UnmergeableError
from tests.unit.lake.compact.rewriting import rewrite, tasks_of, terms
from tests.unit.lake.local_tables import as_lake_table
from tests.unit.lake.row_diff.measure_memory import peak_mb


def main(metadata: str, scratch: str, memory_bytes: str, target_bytes: str, way: str = "rewrite") -> None:
    table = StaticTable.from_metadata(metadata)
    begun, before = time.monotonic(), peak_mb()
    options = {"memory_bytes": int(memory_bytes), "target_bytes": int(target_bytes)}
    files: Sequence[DataFile] = ()
    why = ""
    if way == "merge":
        try:
            files = merge_bin(as_lake_table(table), tasks_of(table), terms(**options))
        except UnmergeableError as error:
            why = str(error)
    else:
        files = rewrite(table, root=Path(scratch), **options)
    took = {
        "why": why,
        "rows": sum(file.record_count for file in files),
        "files": [file.file_size_in_bytes for file in files],
        "rise_mb": peak_mb() - before,
        "seconds": round(time.monotonic() - begun, 1),
    }
    print(json.dumps(took))


if __name__ == "__main__":
    main(*sys.argv[1:])
