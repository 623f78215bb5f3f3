"""How a comparison runs: stopped at any time, in batches of any size, by any number of threads, in little memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.types import DoubleType, LongType, NestedField, StringType

from app.domain.row_diffs import Method, RowDiff
from app.errors import MissingFileError
from app.lake.row_diff import batching, feeding
from app.lake.row_diff.planning import RowDiffPlan
from app.lake.row_diff.resources import Resources
from app.lake.row_diff.running import RowDiffRun
from app.lake.row_diff.stopping import RowDiffStoppedError
from tests.unit.lake.local_tables import create_table
from tests.unit.lake.row_diff.comparing import plan, version
from tests.unit.lake.row_diff.made_snapshots import commit_files, write_data_files

MB = 1024 * 1024
SCHEMA = Schema(
    NestedField(1, "id", LongType()), NestedField(2, "name", StringType()), NestedField(3, "price", DoubleType())
)
GROUPS, GROUP_ROWS = 4, 50


def rows_of(ids: list[int], name: str = "name") -> pa.Table:
    schema = schema_to_pyarrow(SCHEMA, include_field_ids=False)
    rows = [{"id": number, "name": f"{name} {number}", "price": -0.0 if number % 2 else None} for number in ids]
    return pa.Table.from_pylist(rows, schema)


def head(table: Table) -> int:
    table.refresh()
    found = table.current_snapshot()
    assert found is not None
    return found.snapshot_id


@pytest.fixture
def table(catalog: SqlCatalog) -> Table:
    """Four files, each rewritten with every tenth row changed, every seventh gone, and one more: four groups."""
    table = create_table(catalog, SCHEMA)
    ranges = [range(group * 1000, group * 1000 + GROUP_ROWS) for group in range(GROUPS)]
    old = [file for ids in ranges for file, _ in write_data_files(table, rows_of(list(ids)))]
    commit_files(table, Operation.APPEND, add=old)
    new = []
    for ids in ranges:
        kept = [number for number in ids if number % 7 and number % 10]
        changed = [number for number in ids if number % 7 and not number % 10]
        rows = pa.concat_tables([rows_of([*kept, max(ids) + 1]), rows_of(changed, "new name")])
        new += [file for file, _ in write_data_files(table, rows)]
    commit_files(table, Operation.OVERWRITE, remove=old, add=new)
    return table


@pytest.fixture(params=[(), ("id",)], ids=["multiset", "keys"])
def planned(request: pytest.FixtureRequest, table: Table) -> RowDiffPlan:
    before = table.metadata.snapshots[0].snapshot_id
    return plan(version(table, before), version(table), request.param, sample_size=5)


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Resources(scratch=scratch, memory_bytes=128 * MB, threads=2)


@pytest.fixture(params=[1_000_000, 150, 1], ids=["one batch", "several", "streamed"])
def _batches(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "BATCH_ROWS", request.param)
    monkeypatch.setattr(batching, "HELD_ROWS", request.param)


def assert_nothing_is_left(resources: Resources) -> None:
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("row-diff-")] == []
    assert list(resources.scratch.iterdir()) == []


def hooked(monkeypatch: pytest.MonkeyPatch, hook: Callable[[], None]) -> None:
    """Have the hook called before each batch of rows that is read."""
    original = feeding.to_engine

    def to_engine(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
        hook()
        return original(batch, schema)

    monkeypatch.setattr(feeding, "to_engine", to_engine)


@pytest.mark.usefixtures("_batches")
def test_a_run_that_is_stopped_while_it_reads_answers_nothing_and_leaves_nothing(
    planned: RowDiffPlan, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0

    def count() -> None:
        nonlocal reads
        reads += 1

    with monkeypatch.context() as patched:
        hooked(patched, count)
        answer = RowDiffRun(planned, resources).run()
    assert answer.rows_added > 0
    assert reads >= 2 * GROUPS
    for stopped_at in range(1, reads + 1):
        run = RowDiffRun(planned, resources)
        seen = 0

        def stop(run: RowDiffRun = run, stopped_at: int = stopped_at) -> None:
            nonlocal seen
            seen += 1
            if seen == stopped_at:
                run.stop()

        with monkeypatch.context() as patched:
            hooked(patched, stop)
            with pytest.raises(RowDiffStoppedError):
                run.run()
        assert_nothing_is_left(resources)


def test_a_run_that_is_stopped_before_it_begins_does_nothing(planned: RowDiffPlan, resources: Resources) -> None:
    run = RowDiffRun(planned, resources)
    run.stop()
    with pytest.raises(RowDiffStoppedError):
        run.run()
    assert_nothing_is_left(resources)


def test_stopping_a_run_that_has_ended_is_nothing(planned: RowDiffPlan, resources: Resources) -> None:
    run = RowDiffRun(planned, resources)
    assert run.run().rows_added > 0
    run.stop()
    assert_nothing_is_left(resources)


@pytest.mark.usefixtures("_batches")
def test_a_run_that_fails_in_the_middle_leaves_nothing(planned: RowDiffPlan, resources: Resources) -> None:
    last = planned.to_side.parts[planned.to_join[-1].to_places[0]]
    Path(last.task.file.file_path.removeprefix("file://")).unlink()
    with pytest.raises(MissingFileError):
        RowDiffRun(planned, resources).run()
    assert_nothing_is_left(resources)


@pytest.mark.usefixtures("_batches")
def test_an_answer_is_the_same_however_often_and_by_however_many_threads(
    planned: RowDiffPlan, resources: Resources
) -> None:
    answers = []
    for threads in (1, 2, 4, 4, 4):
        run = RowDiffRun(planned, Resources(scratch=resources.scratch, memory_bytes=128 * MB, threads=threads))
        answers.append(run.run())
    assert all(answer == answers[0] for answer in answers)
    assert answers[0].sample.is_truncated
    assert_nothing_is_left(resources)


def test_what_is_shown_does_not_depend_on_the_size_of_batches(
    planned: RowDiffPlan, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answered(rows: int) -> RowDiff:
        monkeypatch.setattr(batching, "BATCH_ROWS", rows)
        monkeypatch.setattr(batching, "HELD_ROWS", rows)
        return RowDiffRun(planned, resources).run()

    answers = [answered(rows) for rows in (1, 150, 1_000_000)]
    assert all(answer.sample == answers[0].sample for answer in answers)


def test_progress_goes_up_to_all(planned: RowDiffPlan, resources: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "BATCH_ROWS", 1)
    monkeypatch.setattr(batching, "HELD_ROWS", 1)
    told: list[float] = []
    RowDiffRun(planned, resources, told.append).run()
    assert told == sorted(told)
    # After each group, and on the way through it: one that is read as a stream may be all there is.
    assert len(told) > GROUPS
    assert 0 < told[0] < 1 / GROUPS
    assert told[-1] == 1.0


def test_progress_goes_up_where_keys_turn_out_to_be_none(
    table: Table, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "BATCH_ROWS", 1)
    monkeypatch.setattr(batching, "HELD_ROWS", 1)
    told: list[float] = []
    before = table.metadata.snapshots[0].snapshot_id
    both = write_data_files(table, rows_of([3000, 3000]))
    commit_files(table, Operation.APPEND, add=[file for file, _ in both])
    answer = RowDiffRun(plan(version(table, before), version(table), ("id",)), resources, told.append).run()
    assert answer.key_problem is not None
    assert told == sorted(told)


def test_rows_that_are_more_than_they_seem_are_streamed(
    table: Table, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are small where they repeat themselves; what is held is what they are in memory."""
    before = table.metadata.snapshots[0].snapshot_id
    for keys in ((), ("id",)):
        planned = plan(version(table, before), version(table), keys)
        expected = RowDiffRun(planned, resources).run()
        with monkeypatch.context() as patched:
            patched.setattr(feeding, "_HELD_BYTES", 1000)
            found = RowDiffRun(planned, resources).run()
        assert found.sample == expected.sample
        assert (found.rows_added, found.rows_removed) == (expected.rows_added, expected.rows_removed)
        # What was read in vain is counted too.
        assert found.bytes_read >= 2 * expected.bytes_read


def test_bytes_of_a_stream_that_is_read_twice_are_counted_twice(
    planned: RowDiffPlan, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = RowDiffRun(planned, resources).run()
    monkeypatch.setattr(batching, "BATCH_ROWS", 1)
    monkeypatch.setattr(batching, "HELD_ROWS", 1)
    streamed = RowDiffRun(planned, resources).run()
    assert held.bytes_read == planned.size_bytes
    if held.method is Method.KEYS:
        assert held.bytes_read < streamed.bytes_read < 2 * held.bytes_read
    else:
        assert streamed.bytes_read == held.bytes_read
    assert streamed.files_read == held.files_read


def test_a_join_that_is_running_is_stopped_from_outside(catalog: SqlCatalog, resources: Resources) -> None:
    """One group of 400,000 rows a side, that takes seconds with so little memory."""
    table = create_table(catalog, SCHEMA)
    ids = pa.array(range(400_000), pa.int64())
    names = pc.binary_join_element_wise(ids.cast(pa.string()), pa.scalar("x" * 50), "")
    rows = pa.table([ids, names, ids.cast(pa.float64())], schema=schema_to_pyarrow(SCHEMA, include_field_ids=False))
    table.append(rows)
    before = head(table)
    table.overwrite(rows.set_column(1, "name", pc.utf8_upper(names).cast(rows.schema.field("name").type)))
    planned = plan(version(table, before), version(table), ("id",))
    little = Resources(scratch=resources.scratch, memory_bytes=64 * MB, threads=2)
    for wait_s in (0.05, 0.3, 0.6):
        run = RowDiffRun(planned, little)
        failures: list[BaseException] = []

        def work(run: RowDiffRun = run, failures: list[BaseException] = failures) -> None:
            try:
                run.run()
            except BaseException as error:  # noqa: BLE001
                failures.append(error)

        worker = threading.Thread(target=work)
        worker.start()
        time.sleep(wait_s)
        run.stop()
        begun = time.monotonic()
        worker.join(timeout=30)
        assert time.monotonic() - begun < 5
        assert not failures or isinstance(failures[0], RowDiffStoppedError), failures
        assert_nothing_is_left(resources)
