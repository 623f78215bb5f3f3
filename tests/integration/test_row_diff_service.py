"""Row diffs as a service: kept across restarts up to a size, cancelled, and run by workers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField, StringType

from app.bootstrap import Services, open_services
from app.domain.changes import Actor, Command
from app.domain.names import DatasetName
from app.domain.operations import OperationStatus
from app.domain.row_diffs import RowDiffRequest
from app.lake.row_diff import batching
from app.services.row_diffs import RowDiffAnswer, kinship_of, table_versions
from app.settings import Settings
from tests.changed_tables import CHANGED, DOUBLED, OPENED, PRICES, create_prices
from tests.lake_tables import open_catalog

pytestmark = pytest.mark.anyio

NAME = DatasetName.parse(PRICES)
LARGE, MANY, FIRST = "sales.large", "sales.many", "first"


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=database_url)


@pytest.fixture
def catalog(settings: Settings) -> Iterator[Catalog]:
    with open_catalog(settings) as opened:
        opened.create_namespace("sales")
        create_prices(opened)
        yield opened


def remove_files(catalog: Catalog) -> None:
    for task in catalog.load_table(PRICES).scan().plan_files():
        Path(task.file.file_path.removeprefix("file://")).unlink()


async def compare(services: Services, from_: str, to: str, **more: Any) -> RowDiffAnswer:
    compared = await services.comparing.versions(NAME, from_, to)
    return await services.row_diffs.compare(compared, RowDiffRequest(**more))


async def test_what_was_found_survives_a_restart_and_a_lost_file(settings: Settings, catalog: Catalog) -> None:
    async with open_services(settings) as services:
        first = await compare(services, OPENED, CHANGED)
    remove_files(catalog)

    async with open_services(settings) as services:
        again = await compare(services, OPENED, CHANGED)

    assert (first.is_cached, again.is_cached) == (False, True)
    assert again.diff == first.diff


async def test_a_table_that_is_registered_from_older_metadata_numbers_schemas_again(
    settings: Settings, catalog: Catalog
) -> None:
    # Given a table with a column more, whose rows were compared
    table = catalog.load_table(PRICES)
    older = table.metadata_location
    with table.update_schema() as update:
        update.add_column("colour", StringType())
    async with open_services(settings) as services:
        before = await compare(services, OPENED, "latest")
    # When it is registered as it was before, and gets another column
    catalog.drop_table(PRICES)
    table = catalog.register_table(PRICES, older)
    with table.update_schema() as update:
        update.add_column("weight", LongType())
    async with open_services(settings) as services:
        after = await compare(services, OPENED, "latest")
    # Then it is compared in what it has now
    assert not after.is_cached
    assert ["colour" in row for row in before.diff.sample.added] == [True] * before.diff.rows_added
    assert ["weight" in row for row in after.diff.sample.added] == [True] * after.diff.rows_added


async def test_options_and_schemas_are_part_of_what_is_kept(settings: Settings, catalog: Catalog) -> None:
    async with open_services(settings) as services:
        await compare(services, CHANGED, DOUBLED)
        keyless = await compare(services, CHANGED, DOUBLED, keys=())
        swapped = await compare(services, DOUBLED, CHANGED)
        head = await compare(services, CHANGED, "latest")
        with catalog.load_table(PRICES).update_schema() as update:
            update.delete_column("name")
        narrower = await compare(services, CHANGED, "latest")

    assert [each.is_cached for each in (keyless, swapped, head, narrower)] == [False, False, True, False]
    assert narrower.diff.not_compared == ("name",)


def create_many(catalog: Catalog) -> None:
    """Two versions that differ in more rows of each kind than the smaller samples have."""
    schema = Schema(
        NestedField(1, "id", LongType(), required=True), NestedField(2, "text", StringType()), identifier_field_ids=[1]
    )
    table = catalog.create_table(MANY, schema)
    arrow = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("text", pa.string())])
    for version, ids in ((1, range(40)), (2, range(15, 60))):
        texts = [f"{version} of {n}" if n % 2 else f"always {n}" for n in ids]
        table.overwrite(pa.Table.from_arrays([pa.array(list(ids)), pa.array(texts)], schema=arrow))
        if version == 1:
            table.manage_snapshots().create_tag(table.metadata.current_snapshot_id or 0, FIRST).commit()


@pytest.mark.parametrize("keys", [None, ()], ids=["keys", "multiset"])
async def test_a_kept_answer_serves_all_that_ask_for_no_more_as_if_it_were_found_anew(
    settings: Settings, catalog: Catalog, keys: tuple[str, ...] | None
) -> None:
    # Given two versions, a server that keeps answers and one that keeps none
    create_many(catalog)
    forgetful = settings.model_copy(update={"diff_cache_bytes": 0, "home": settings.home.with_name("other")})
    sizes = [10, 11, 9, 1, 0, 100, 12, 1000, 500]
    async with open_services(settings) as services, open_services(forgetful) as others:
        compared = await services.comparing.versions(DatasetName.parse(MANY), FIRST, "latest")
        plan = await others.lake.plan_row_diff(
            *table_versions(compared), RowDiffRequest(keys=keys), kinship_of(*table_versions(compared))
        )
        answers, direct = [], []
        for size in sizes:
            # When samples of all sizes are asked for
            asked = RowDiffRequest(keys=keys, sample_size=size)
            answers.append(await services.row_diffs.compare(compared, asked))
            direct.append(await others.row_diffs._run(replace(plan, request=asked), None))

    # Then rows are joined for the first of 10 and of 11 alone: a hundred are all rows, whatever is asked for beyond
    assert [each.is_cached for each in answers] == [False, False] + [True] * 7
    for size, answer, found in zip(sizes, answers, direct, strict=True):
        assert answer.diff.sample == found.sample, size
        assert replace(answer.diff, bytes_read=0, files_read=0) == replace(found, bytes_read=0, files_read=0), size


async def test_an_answer_without_a_sample_reads_nothing_to_be_shown(settings: Settings, catalog: Catalog) -> None:
    async with open_services(settings) as services:
        await services.datasets.load(NAME)
        table = catalog.load_table(PRICES)
        table.append(pa.Table.from_pylist([{"id": 9, "name": "pad", "price": None}], table.schema().as_arrow()))
        counted = await compare(services, DOUBLED, "latest", sample_size=0)
        shown = await compare(services, DOUBLED, "latest", sample_size=1)
        again = await compare(services, DOUBLED, "latest", sample_size=0)

    assert (counted.diff.rows_added, counted.diff.bytes_read, counted.diff.sample.is_truncated) == (1, 0, True)
    assert (shown.is_cached, len(shown.diff.sample.added), shown.diff.files_read) == (False, 1, 1)
    assert again.is_cached


async def test_what_was_not_used_longest_makes_room(settings: Settings, catalog: Catalog) -> None:
    pairs = [(OPENED, CHANGED), (CHANGED, DOUBLED), (OPENED, DOUBLED)]
    async with open_services(settings) as services:
        for pair in pairs:
            await compare(services, *pair)
        pool = services.row_diffs._cache._pool
        sizes = [row["size_bytes"] for row in await pool.fetch("SELECT size_bytes FROM row_diffs")]
    small = settings.model_copy(update={"diff_cache_bytes": sum(sizes)})
    async with open_services(small) as services:
        assert (await compare(services, OPENED, CHANGED)).is_cached
        await compare(services, DOUBLED, OPENED)
        kept = [(await compare(services, *pair)).is_cached for pair in [pairs[0], pairs[1]]]
        total = await services.row_diffs._cache._pool.fetchval("SELECT sum(size_bytes) FROM row_diffs")

    assert kept == [True, False]
    assert total <= sum(sizes)


def create_large(catalog: Catalog) -> None:
    """Two versions of rows that are all different, and whose keys are in no order."""
    schema = Schema(NestedField(1, "id", LongType(), required=True), NestedField(2, "text", StringType()))
    table = catalog.create_table(LARGE, schema)
    arrow = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("text", pa.string())])
    for version in (1, 2):
        ids = [(n * 7919) % 600_000 for n in range(600_000)]
        rows = pa.Table.from_arrays([pa.array(ids), pa.array([f"{version} of {n}" for n in ids])], schema=arrow)
        table.overwrite(rows)
        if version == 1:
            table.manage_snapshots().create_tag(table.metadata.current_snapshot_id or 0, FIRST).commit()


async def test_a_caller_that_goes_away_stops_the_comparison(
    settings: Settings, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_large(catalog)
    monkeypatch.setattr(batching, "BATCH_ROWS", 1000)
    monkeypatch.setattr(batching, "HELD_ROWS", 1000)  # so that it streams
    async with open_services(settings) as services:
        compared = await services.comparing.versions(DatasetName.parse(LARGE), FIRST, "latest")
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()
        batches = batching.Feed._batches

        def noticed(self, part, columns):  # type: ignore[no-untyped-def]
            loop.call_soon_threadsafe(begun.set)
            return batches(self, part, columns)

        monkeypatch.setattr(batching.Feed, "_batches", noticed)
        task = asyncio.create_task(services.row_diffs.compare(compared, RowDiffRequest(keys=("id",))))
        async with asyncio.timeout(60):
            await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert list((settings.home / "tmp").glob("row-diff-*")) == []
        # Nothing of it is left that would stand in the way of the next one.
        monkeypatch.undo()
        found = await services.row_diffs.compare(compared, RowDiffRequest(keys=("id",), sample_size=0))

    assert found.diff.rows_changed == 600_000


async def test_an_operation_tells_how_far_it_is_and_is_cancelled(
    settings: Settings, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_large(catalog)
    batches = batching.Feed._batches

    def held(self, part, columns):  # type: ignore[no-untyped-def]
        deadline = time.monotonic() + 60
        while not self._is_stopped() and time.monotonic() < deadline:
            time.sleep(0.02)
        return batches(self, part, columns)

    monkeypatch.setattr(batching.Feed, "_batches", held)
    async with open_services(settings) as services:
        compared = await services.comparing.versions(DatasetName.parse(LARGE), FIRST, "latest")
        asked = RowDiffRequest(keys=("id",))
        command = Command(actor=Actor(subject="ada"), reason="to see")
        operation = await services.row_diff_operations.start(
            compared, asked, command, from_version=FIRST, to_version=None
        )
        running_it = asyncio.create_task(services.operation_runner.run_next(asyncio.Event()))
        async with asyncio.timeout(60):
            while (await services.operations.get(operation.operation_id)).status is OperationStatus.QUEUED:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await services.operations.cancel(operation.operation_id, command)
        assert await running_it
        ended = await services.operations.get(operation.operation_id)
        monkeypatch.undo()
        again = await services.row_diff_operations.start(compared, asked, command, from_version=FIRST, to_version=None)
        assert await services.operation_runner.run_next(asyncio.Event())
        done = await services.operations.get(again.operation_id)
        result = await services.operations.result_of(done)
        known = await services.row_diffs.compare_at_any_cost(*table_versions(compared), asked, lambda _: None)

    assert ended.status is OperationStatus.CANCELLED
    assert (done.status, done.progress) == (OperationStatus.SUCCEEDED, 1.0)
    assert json.loads(json.dumps(result))["rows_changed"] == known.diff.rows_changed == 600_000
