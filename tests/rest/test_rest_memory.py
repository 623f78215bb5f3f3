import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from app.settings import Settings
from tests.conftest import _temporary_database
from tests.lake_tables import open_catalog

ROOT = Path(__file__).resolve().parents[2]
FILES = 2
ROWS_PER_FILE = 2_000_000
ROWS_PER_GROUP = 50_000
TIMEOUT_S = 240


@dataclass(frozen=True)
class BigLake:
    """`big.rows`: a table of two large files of many row groups, `size_bytes` large as decoded rows."""

    settings: Settings
    size_bytes: int


@pytest.fixture(scope="module")
def big_lake(postgres_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigLake]:
    ids = pa.array(range(ROWS_PER_FILE), pa.int64())
    text = pc.binary_join_element_wise(ids.cast(pa.string()), pa.scalar("a longer text " * 13), " ")
    part = pa.table({"id": ids, "text": text})
    databases = _temporary_database(postgres_url, template=template_database)
    with contextlib.closing(databases):
        settings = Settings(home=tmp_path_factory.mktemp("big"), database_url=next(databases))
        with open_catalog(settings) as catalog:
            catalog.create_namespace("big")
            properties = {
                "write.parquet.row-group-limit": str(ROWS_PER_GROUP),
                "write.target-file-size-bytes": str(2**31),
            }
            table = catalog.create_table("big.rows", part.schema, properties=properties)
            for _ in range(FILES):
                table.append(part)
        yield BigLake(settings, int(part.nbytes) * FILES)


@pytest.mark.slow
@pytest.mark.parametrize("row_format", ["json", "csv", "arrow", "parquet"])
def test_memory_does_not_grow_with_the_table(big_lake: BigLake, row_format: str) -> None:
    path = f"/api/v1/datasets/big/rows/data?format={row_format}"
    program = Path(__file__).with_name("read_rows.py")

    done = subprocess.run(
        [sys.executable, str(program), str(big_lake.settings.home), str(big_lake.settings.database_url), path],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        cwd=ROOT,
        check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )

    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["status"] == 200
    assert found["size_bytes"] > big_lake.size_bytes / 100
    # Some row groups are held; a file would be half of it.
    assert found["rise_bytes"] < big_lake.size_bytes / 3, found
