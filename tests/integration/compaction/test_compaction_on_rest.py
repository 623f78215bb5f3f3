"""Compaction of tables in S3 behind a REST catalog, as it is had: asked for, done by a worker, and read by others."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import duckdb
import pyarrow as pa
import pytest
import s3fs
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation as SnapshotOperation
from pyiceberg.types import BinaryType, IntegerType, LongType, NestedField

from app.bootstrap import Services, open_services
from app.domain.compaction.claims import RUN_ID
from app.domain.names import DatasetName
from app.domain.operations import Operation, OperationStatus
from app.domain.row_diffs import RowDiffRequest
from app.lake.compact.making import MERGED
from app.lake.compact.rewriting.writer_options import JOINED_FRAMES
from app.services.compaction.operations import CompactionOverrides
from app.services.orphans import OrphanAge
from app.services.retention_sweeps import Chosen
from app.settings import Settings
from tests.contract.lakes import CATALOG, variables
from tests.contract.reading import read
from tests.integration.compaction.killed import POINTS, kill_at
from tests.integration.compaction.tables import BY_PART, COMMAND, changes_of, create, ids_of, next_operation
from tests.integration.operations.jobs import ended
from tests.servers.rest_catalog import over_s3, rest_catalog
from tests.servers.s3 import s3_server
from tests.unit.lake.expire.naive import reached
from tests.unit.lake.row_diff.made_snapshots import commit_files, write_position_deletes

pytestmark = [pytest.mark.anyio, pytest.mark.rest_catalog]

SCHEMA = Schema(
    NestedField(1, "id", LongType()), NestedField(2, "part", IntegerType()), NestedField(3, "payload", BinaryType())
)
# Partitions by how their files are brought together: row groups of more than 8 MB, pages of more than 8 KB, the rest.
COPIED, KEPT, REWRITTEN = range(3)
ROWS, LARGE_BYTES, SMALL_BYTES = 1000, 8_800, 60
LARGE_FILES, SMALL_FILES = 2, 14
PARTS = 3

Row = tuple[int, int, bytes]


@pytest.fixture(scope="module")
def store() -> Iterator[dict[str, str]]:
    with s3_server() as properties:
        yield properties


@pytest.fixture(scope="module")
def properties(store: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Those of a REST catalog over the store, which the tests share."""
    folder = tmp_path_factory.mktemp("rest-on-s3")
    with rest_catalog(folder, warehouse="s3://lake/rest", properties=over_s3(store)) as url:
        yield {"type": "rest", "uri": url, **{key: value for key, value in store.items() if key != "warehouse"}}


@pytest.fixture
def settings(
    properties: dict[str, str], database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    for variable, value in variables(properties).items():
        monkeypatch.setenv(variable, value)
    # So that an operation whose worker was killed is soon taken over.
    return Settings(home=tmp_path / "home", database_url=database_url, catalog=CATALOG, lease_s=2.0)


@pytest.fixture
def catalog(properties: dict[str, str]) -> Iterator[Catalog]:
    """The catalog as another program opens it."""
    opened = load_catalog(CATALOG, **properties)
    yield opened
    opened.close()


@pytest.fixture
async def services(settings: Settings) -> AsyncIterator[Services]:
    async with open_services(settings) as opened:
        yield opened


@pytest.fixture
def name() -> DatasetName:
    return DatasetName(namespace=f"bronze_{uuid4().hex[:8]}", name="events")


def rows_in(part: int, first: int, *, rows: int = ROWS, payload_bytes: int = SMALL_BYTES) -> pa.Table:
    """Rows that cannot be compressed away."""
    chosen = random.Random(first)
    columns = {
        "id": list(range(first, first + rows)),
        "part": [part] * rows,
        "payload": [chosen.randbytes(payload_bytes) for _ in range(rows)],
    }
    return pa.table(columns, schema=schema_to_pyarrow(SCHEMA, include_field_ids=False))


def create_of_all_ways(catalog: Catalog, name: DatasetName) -> Table:
    """Thirty files in three partitions; of one of these some rows are deleted by position."""
    catalog.create_namespace(name.namespace)
    # Without it pages are to have more than 32 KB.
    properties = {JOINED_FRAMES: "true"}
    table = catalog.create_table(str(name), SCHEMA, partition_spec=BY_PART, properties=properties)
    for number in range(SMALL_FILES):
        parts = [rows_in(part, (10 * number + part) * ROWS) for part in (KEPT, REWRITTEN)]
        if number < LARGE_FILES:
            parts.append(rows_in(COPIED, (10 * number + COPIED) * ROWS, payload_bytes=LARGE_BYTES))
        table.append(pa.concat_tables(parts))
    found = [task.file for task in table.scan().plan_files() if task.file.partition[0] == REWRITTEN]
    # The first one's path is not between those of the others, which the deletes of these may then be about.
    some = sorted(found, key=lambda file: str(file.file_path))[:4]
    for files in (some[:1], some[1:]):
        positions = {file.file_path: [0, 7, ROWS - 1] for file in files}
        commit_files(table, SnapshotOperation.DELETE, deletes=[write_position_deletes(table, positions, files[0])])
    return table


async def start(services: Services, name: DatasetName) -> Operation:
    return await services.compaction_operations.start(
        Chosen(dataset=name), CompactionOverrides(), COMMAND, is_dry_run=False
    )


async def result_of(services: Services, operation: Operation) -> Any:
    """What the operation tells of its only table."""
    done = await ended(services.operations, operation.operation_id)
    assert done.status is OperationStatus.SUCCEEDED, done.failure
    result: Any = await services.operations.result_of(done)
    (told,) = result["tables"]
    return told


async def by_us(services: Services, name: DatasetName, at: str) -> list[Row]:
    return listed(await read(services, name, at))


def listed(rows: pa.Table) -> list[Row]:
    return sorted(zip(*(column.to_pylist() for column in rows.columns), strict=True))


def by_duckdb(store: Mapping[str, str], table: Table, snapshot_id: int | None = None) -> list[Row]:
    """The rows as DuckDB reads the files that are live, without those that are deleted by position."""
    files = s3fs.S3FileSystem(
        key=store["s3.access-key-id"],
        secret=store["s3.secret-access-key"],
        endpoint_url=store["s3.endpoint"],
        client_kwargs={"region_name": store["s3.region"]},
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    tasks = list(table.scan(snapshot_id=snapshot_id).plan_files())
    paths = [task.file.file_path for task in tasks]
    deletes = sorted({file.file_path for task in tasks for file in task.delete_files})
    deleted = "SELECT NULL::VARCHAR AS file_path, NULL::BIGINT AS pos WHERE false"
    if deletes:
        deleted = f"SELECT file_path, pos FROM read_parquet({deletes})"
    with duckdb.connect() as connection:
        connection.register_filesystem(files)
        return connection.execute(
            "SELECT id, part, payload "
            "FROM read_parquet(?, file_row_number = true, filename = true, hive_partitioning = false) AS rows "
            f"ANTI JOIN ({deleted}) AS gone ON rows.filename = gone.file_path AND rows.file_row_number = gone.pos "
            "ORDER BY id",
            [paths],
        ).fetchall()


def objects(store: Mapping[str, str], table: Table) -> set[Path]:
    """All that is in the table's folder, by the paths that `reached` tells, but for metadata files."""
    client = boto3.client(
        "s3",
        endpoint_url=store["s3.endpoint"],
        region_name=store["s3.region"],
        aws_access_key_id=store["s3.access-key-id"],
        aws_secret_access_key=store["s3.secret-access-key"],
    )
    bucket, _, folder = table.location().removeprefix("s3://").partition("/")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{folder}/")
    keys = {item["Key"] for page in pages for item in page["Contents"]}
    files = [table.metadata_location, *(entry.metadata_file for entry in table.metadata.metadata_log)]
    assert {file.removeprefix(f"s3://{bucket}/") for file in files} <= keys
    return {Path("/", key) for key in keys if not key.endswith(".metadata.json")}


def overtake(services: Services, table: Table, rows: pa.Table, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Somebody appends these right before the run's first commit; answers what becomes of its commits."""
    answers: list[str] = []
    catalog, commit = services.lake._catalog, services.lake._catalog.commit_table

    def overtaken(*arguments: Any) -> Any:
        if not answers:
            table.append(rows)
        try:
            found = commit(*arguments)
        except CommitFailedException:
            answers.append("refused")
            raise
        answers.append("done")
        return found

    monkeypatch.setattr(catalog, "commit_table", overtaken)
    return answers


async def test_all_ways_come_up_and_every_reader_has_the_same_rows_as_before(
    services: Services,
    store: Mapping[str, str],
    catalog: Catalog,
    name: DatasetName,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a table of small files with a tag, and somebody who appends in the middle of the run
    table = create_of_all_ways(catalog, name)
    await services.versioning.create_tag(name, "before", "main", COMMAND)
    rows = await by_us(services, name, "before")
    assert len(rows) == (LARGE_FILES + 2 * SMALL_FILES) * ROWS - 4 * 3
    assert by_duckdb(store, table) == rows
    deletes = {file.file_path: file for task in table.scan().plan_files() for file in task.delete_files}
    (shared,) = [file for file in deletes.values() if file.record_count > 3]
    late = rows_in(KEPT, 10 * SMALL_FILES * ROWS, rows=5)
    answers = overtake(services, table, late, monkeypatch)

    # When it is asked for, and a worker does it
    operation = await start(services, name)
    await next_operation(services)
    told = await result_of(services, operation)

    # Then the files of each partition are one, each made in its own way, also of what came in between
    assert (told["error"], told["is_partial"], told["overtaken_bins"], told["leftover_files"]) == (None, False, 0, [])
    assert (told["files_before"], told["files_after"]) == (LARGE_FILES + 2 * SMALL_FILES, PARTS)
    assert answers == ["refused", "done", "done"]
    first, again = [
        {each["partition"]: (each["way"], each["why"]) for each in told["bins"] if each["snapshot_id"] == snapshot_id}
        for snapshot_id in told["snapshot_ids"]
    ]
    assert first[f"part={COPIED}"] == ("copy", None)
    assert first[f"part={KEPT}"][1].endswith(MERGED)
    assert first[f"part={REWRITTEN}"] == ("rewrite", "there are deletes to apply")
    assert list(again) == [f"part={KEPT}"]
    assert told["dropped_delete_files"] == len(deletes) == 2
    table.refresh()
    assert len(list(table.scan().plan_files())) == PARTS
    assert not any(task.delete_files for task in table.scan().plan_files())

    # And nothing of the rows is lost, here and in DuckDB, at the tag as well
    after = sorted([*rows, *listed(late)])
    assert await by_us(services, name, "main") == by_duckdb(store, table) == after
    tagged = table.metadata.refs["before"].snapshot_id
    assert await by_us(services, name, "before") == by_duckdb(store, table, tagged) == rows

    # And it is told in the table's history and in the record of changes
    made = [snapshot for snapshot in table.metadata.snapshots if snapshot.summary[RUN_ID] is not None]
    assert [str(snapshot.snapshot_id) for snapshot in made] == told["snapshot_ids"]
    assert {(snapshot.summary.operation, snapshot.summary[RUN_ID]) for snapshot in made} == {
        (SnapshotOperation.REPLACE, told["run_id"])
    }
    (change,) = await changes_of(services, table)
    assert (str(change.change_id), change.actor, change.reason) == (told["run_id"], COMMAND.actor, COMMAND.reason)
    assert change.details["operationId"] == str(operation.operation_id)
    assert change.details["snapshotIds"] == told["snapshot_ids"]

    # And across it nothing differs, for which no more is read than the deletes whose rows manifests do not tell
    across = await services.comparing.versions(name, str(made[0].parent_snapshot_id), "main")
    same = (await services.row_diffs.compare(across, RowDiffRequest())).diff
    assert (same.rows_added, same.rows_removed, same.files_read, same.bytes_read) == (
        0,
        0,
        0,
        shared.file_size_in_bytes,
    )
    since = await services.comparing.versions(name, "before", "main")
    found = (await services.row_diffs.compare(since, RowDiffRequest())).diff
    assert (found.rows_added, found.rows_removed) == (5, 0)

    # And all is where metadata says, nothing else is, and there is nothing more to do
    there = objects(store, table)
    assert there == reached(table)
    operation = await start(services, name)
    await next_operation(services)
    told = await result_of(services, operation)
    assert (told["plan"]["needs_compaction"], told["plan"]["bins"], told["run_id"]) == (False, 0, None)
    assert len(answers) == 3
    assert objects(store, table) == there


@pytest.mark.parametrize("point", ["after the manifest list", "after the commit"])
async def test_one_whose_worker_is_killed_is_finished_by_the_next(
    services: Services,
    settings: Settings,
    properties: dict[str, str],
    store: Mapping[str, str],
    catalog: Catalog,
    name: DatasetName,
    point: str,
) -> None:
    # Given a worker that is killed in the middle of a run, of which each bin is committed by itself
    table = create(catalog, name, files=6, parts=PARTS)
    rows, before, snapshots = ids_of(table), objects(store, table), len(table.metadata.snapshots)
    operation = await start(services, name)
    await kill_at(settings, point, next_operation, variables(properties))

    # Then the rows are all there, no file that metadata names is missing, and new data files tell whose they are
    table.refresh()
    committed = POINTS[point][1]
    assert len(table.metadata.snapshots) == snapshots + committed
    assert len(table.inspect.files()) == 6 * (PARTS - committed) + committed
    assert ids_of(table) == rows
    there = objects(store, table)
    assert reached(table) <= there
    log = services.compaction_sweeps._compaction._changes
    (killed,) = await log.list_open_compactions(table.metadata.table_uuid)
    new = [path for path in there - before if path.suffix == ".parquet"]
    assert new
    assert all(str(killed.change.change_id) in path.name for path in new)

    # And the next worker does what is left, and writes down what the killed one did
    stop = asyncio.Event()
    running = asyncio.create_task(services.operation_runner.run(stop))
    try:
        told = await result_of(services, operation)
    finally:
        stop.set()
        await running
    assert (told["files_after"], told["error"]) == (PARTS, None)
    assert (await services.operations.get(operation.operation_id)).attempts == 2
    table.refresh()
    assert ids_of(table) == rows
    changes = await changes_of(services, table)
    assert len(changes) == 1 + bool(committed)
    assert {change.details["operationId"] for change in changes} == {str(operation.operation_id)}
    assert await log.list_open_compactions(table.metadata.table_uuid) == []

    # And what was left over are orphans, and nothing else is
    left = objects(store, table) - reached(table)
    assert reached(table) <= objects(store, table)
    found = await services.orphans.remove(name, COMMAND, OrphanAge(days=0, is_forced=True))
    assert found.removed >= len(left)
    assert objects(store, table) == reached(table)
    assert ids_of(table) == rows
