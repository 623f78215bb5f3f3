"""Rewrites all files of a table in a process of its own, and prints what it took; see test_rewriting_memory.py."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from pyiceberg.table import StaticTable

from tests.unit.lake.compact.rewriting import rewrite
from tests.unit.lake.row_diff.measure_memory import peak_mb


def main(metadata: str, scratch: str, memory_bytes: str, target_bytes: str) -> None:
    table = StaticTable.from_metadata(metadata)
    begun, before = time.monotonic(), peak_mb()
    files = rewrite(table, memory_bytes=int(memory_bytes), target_bytes=int(target_bytes), root=Path(scratch))
    took = {
        "rows": sum(file.record_count for file in files),
        "files": [file.file_size_in_bytes for file in files],
        "rise_mb": peak_mb() - before,
        "seconds": round(time.monotonic() - begun, 1),
    }
    print(json.dumps(took))


if __name__ == "__main__":
    main(*sys.argv[1:])
