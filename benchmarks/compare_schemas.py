"""What it costs to tell how two schemas of very many columns differ."""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import time
from pathlib import Path

from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import IntegerType, LongType, NestedField, StringType

from app.domain.names import DatasetName
from app.domain.schema_diff import VersionSchema, diff_schemas
from app.lake.table import to_state
from benchmarks.compare_tables import NAMESPACE, open_catalog

COLUMNS = 1000
# Of each kind of change: added, dropped, renamed, promoted and moved columns.
_OF_EACH_KIND = 20


def measure_schemas(folder: Path, rounds: int) -> None:
    """Print one case; there is no peer that compares schemas."""
    fields = [NestedField(n + 1, f"column_{n}", IntegerType() if n % 2 else StringType()) for n in range(COLUMNS)]
    with contextlib.closing(open_catalog(folder)) as catalog:
        catalog.create_namespace_if_not_exists(NAMESPACE)
        table = catalog.create_table(f"{NAMESPACE}.wide", Schema(*fields))
        before = _schema(table)
        with table.update_schema(allow_incompatible_changes=True) as update:
            for n in range(_OF_EACH_KIND):
                update.add_column(f"added_{n}", StringType())
                update.delete_column(f"column_{10 * n}")
                update.rename_column(f"column_{10 * n + 1}", f"renamed_{n}")
                update.update_column(f"column_{10 * n + 3}", LongType())
                update.move_first(f"column_{10 * n + 5}")
        table.refresh()
        after = _schema(table)
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        found = diff_schemas(before, after)
        reasons = found.breaking_reasons
        times.append(1000 * (time.perf_counter() - start))
    line = {
        "case": "schemas",
        "columns": COLUMNS,
        "changes": len(found.changes),
        "breaking_reasons": len(reasons),
        # The first one warms up.
        "ms_median": round(statistics.median(times[1:]), 2),
    }
    sys.stdout.write(json.dumps(line) + "\n")


def _schema(table: Table) -> VersionSchema:
    dataset = DatasetName(namespace=NAMESPACE, name="wide")
    state = to_state(table.metadata, table.metadata_location, dataset)
    return VersionSchema(schema=state.current_schema, format_version=state.format_version)
