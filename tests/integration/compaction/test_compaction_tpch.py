"""All rows and all 22 queries of TPC-H: the same before and after compaction, and at a tag of before."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from app.bootstrap import Services
from app.domain.names import DatasetName
from app.lake.sample.tpch import _generator
from app.services.compaction.entries import TableEntry
from tests.integration.compaction.tables import COMMAND, compact
from tests.integration.compaction.tpch_queries import QUERIES
from tests.unit.lake.local_tables import delete_rows

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PARTS = 12
WHOLE = ("nation", "region")
CUT = ("customer", "lineitem", "orders", "part", "partsupp", "supplier")
TAG = "before_2026_11_30"


SCALES = [pytest.param("0.03", id="short"), pytest.param("0.1", id="full", marks=pytest.mark.long)]


@pytest.fixture(params=SCALES)
def tables(request: pytest.FixtureRequest, catalog: Catalog, tmp_path: Path) -> dict[str, Table]:
    """The tables, each part a file; of two of them rows are deleted in files of positions."""
    catalog.create_namespace("tpch")
    found = {}
    for names, more in ((WHOLE, []), (CUT, ["--parts", str(PARTS)])):
        command = [
            str(_generator()),
            "parquet",
            "--scale-factor",
            request.param,
            "--tables",
            ",".join(names),
            "--quiet",
        ]
        subprocess.run([*command, *more, "--output-dir", str(tmp_path), "--no-progress"], check=True)
    for name in (*WHOLE, *CUT):
        paths = sorted(tmp_path.glob(f"{name}.parquet")) + sorted((tmp_path / name).glob("*.parquet"))
        parts = [without_views(pq.read_table(path)) for path in paths]
        found[name] = catalog.create_table(f"tpch.{name}", parts[0].schema)
        with found[name].transaction() as change:
            for rows in parts:
                change.append(rows)
    delete_rows(found["lineitem"], "l_suppkey", pc.field("l_suppkey") < 20)
    delete_rows(found["orders"], "o_custkey", pc.field("o_custkey") < 100)
    return found


def without_views(rows: pa.Table) -> pa.Table:
    plain = [field.with_type(pa.string()) if field.type == pa.string_view() else field for field in rows.schema]
    return rows.cast(pa.schema(plain))


async def test_every_row_and_every_query_answers_the_same(services: Services, tables: dict[str, Table]) -> None:
    before = {name: table.scan().to_arrow() for name, table in tables.items()}
    expected = answers(before)
    assert not [number for number, rows in expected.items() if not rows]
    for name in tables:
        await services.versioning.create_tag(DatasetName(namespace="tpch", name=name), TAG, None, COMMAND)

    told: dict[str, TableEntry] = {}
    for entry in await compact(services, *(DatasetName(namespace="tpch", name=name) for name in tables)):
        told[entry["table"]] = entry

    assert {name: told[name]["files_after"] for name in CUT} == dict.fromkeys(CUT, 1)
    assert {name: told[name]["run_id"] for name in WHOLE} == dict.fromkeys(WHOLE)
    assert told["lineitem"]["dropped_delete_files"] > 0
    for table in tables.values():
        table.refresh()
    # DuckDB reads the files themselves: there are no deletes any more
    assert not any(task.delete_files for table in tables.values() for task in table.scan().plan_files())
    assert answers(tables) == expected
    tagged = {
        name: table.scan(snapshot_id=table.metadata.refs[TAG].snapshot_id).to_arrow() for name, table in tables.items()
    }
    assert answers(tagged) == expected
    for name, table in tables.items():
        after = table.scan().to_arrow()
        assert after.schema == before[name].schema
        assert ordered(after) == ordered(before[name]) == ordered(tagged[name]), name


def answers(tables: Mapping[str, Table] | Mapping[str, pa.Table]) -> dict[int, list[tuple[object, ...]]]:
    with duckdb.connect() as connection:
        for name, table in tables.items():
            if isinstance(table, pa.Table):
                connection.register(name, table)
            else:
                paths = [task.file.file_path.removeprefix("file://") for task in table.scan().plan_files()]
                connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({paths})")
        return {number: connection.execute(query).fetchall() for number, query in QUERIES.items()}


def ordered(rows: pa.Table) -> pa.Table:
    """By all columns, so that only which rows there are counts."""
    return rows.sort_by([(name, "ascending") for name in rows.column_names]).combine_chunks()
