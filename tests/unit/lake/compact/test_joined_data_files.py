"""Data files of a real table, joined: the table has the same rows, and a manifest that says what is so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.types import DoubleType, LongType, NestedField, StringType

from app.domain.names import DatasetName
from app.errors import MissingFileError, UnreadableTableError
from app.lake.catalog import reading_files
from app.lake.compact.copying.data_files import JoinedDataFile, join_data_files
from app.lake.compact.copying.footers import read_footer
from app.lake.compact.copying.joinable import find_obstacle
from app.lake.compact.copying.obstacles import ObstacleKind
from app.lake.named_files import NamedFiles
from tests.unit.lake.compact.parquet_files import as_data_file, never
from tests.unit.lake.local_tables import append, create_table
from tests.unit.lake.row_diff.made_snapshots import commit_files

NAME = DatasetName.parse("sales.orders")
SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=False),
    NestedField(2, "name", StringType(), required=False),
    NestedField(3, "ratio", DoubleType(), required=False),
)


def rows(first: int) -> list[dict[str, Any]]:
    return [{"id": n, "name": f"n{n}" if n % 3 else None, "ratio": n / 7} for n in range(first, first + 50)]


@pytest.fixture
def table(catalog: SqlCatalog) -> Table:
    made = create_table(catalog, SCHEMA)
    for first in (0, 100, 200):
        append(made, rows(first))
    return made


def files_of(table: Table) -> list[DataFile]:
    found = [task.file for task in table.scan().plan_files()]
    return sorted(found, key=lambda file: file.lower_bounds[1])


def join(table: Table, files: list[DataFile], name: str) -> JoinedDataFile:
    io = NamedFiles(table.io)
    with reading_files(NAME):
        footers = [read_footer(io, file.file_path, file.file_size_in_bytes) for file in files]
        destination = f"{table.location()}/data/{name}.parquet"
        return join_data_files(io, files, footers, destination, schemas=table.metadata.schemas, is_stopped=never)


def test_a_table_has_the_same_rows_with_its_files_joined(table: Table) -> None:
    before = table.scan().to_arrow().sort_by("id").to_pylist()
    files = files_of(table)

    made = join(table, files, "joined")
    commit_files(table, Operation.REPLACE, remove=files, add=[as_data_file(made, files[0])])

    (file,) = files_of(table)
    assert (file.record_count, file.file_size_in_bytes) == (150, len(table.io.new_input(file.file_path)))
    assert file.split_offsets == list(made.file.split_offsets)
    assert len(made.file.split_offsets) == made.file.row_groups == 3
    assert table.scan().to_arrow().to_pylist() == before
    for condition in ("id = 120", "id >= 245", "name = 'n7'", "name is null", "ratio > 30"):
        found = table.scan(row_filter=condition).to_arrow().to_pylist()
        assert found, condition
        assert found == table.scan().to_arrow().filter(_expression(condition)).to_pylist(), condition


def _expression(condition: str) -> Any:
    import pyarrow.compute as pc

    return {
        "id = 120": pc.field("id") == 120,
        "id >= 245": pc.field("id") >= 245,
        "name = 'n7'": pc.field("name") == "n7",
        "name is null": pc.field("name").is_null(),
        "ratio > 30": pc.field("ratio") > 30,
    }[condition]


def test_files_of_before_a_change_of_the_schema_are_not_joined_with_those_of_after(table: Table) -> None:
    with table.update_schema() as update:
        update.add_column("later", LongType())
    append(table, [{"id": 1, "name": "a", "ratio": 0.5, "later": 7}])
    io = NamedFiles(table.io)

    obstacle = find_obstacle([read_footer(io, task.file.file_path) for task in table.scan().plan_files()])

    assert obstacle is not None
    assert obstacle.kind is ObstacleKind.SCHEMA


def test_a_manifest_that_contradicts_its_file_breaks_the_table(table: Table) -> None:
    files = files_of(table)
    wrong = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=files[1].file_path,
        file_format=FileFormat.PARQUET,
        partition=files[1].partition,
        record_count=49,
        file_size_in_bytes=files[1].file_size_in_bytes,
    )

    with pytest.raises(UnreadableTableError, match="it has 50 rows, and its manifest says 49"):
        join(table, [files[0], wrong], "joined")

    assert not table.io.new_input(f"{table.location()}/data/joined.parquet").exists()


def test_a_file_that_is_gone_is_told(table: Table) -> None:
    files = files_of(table)
    Path(files[2].file_path.removeprefix("file://")).unlink()

    with pytest.raises(MissingFileError) as told:
        join(table, files, "joined")

    assert told.value.fields == {"dataset": "sales.orders", "file": files[2].file_path}
