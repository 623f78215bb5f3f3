"""The event loop stays free while the lake is busy: lake calls wait in their own few threads, and nowhere else.

Nothing here is timed. While the lake hangs, the order of events tells: the loop answers others again and again, and not
one of the calls that hang has come back.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pyiceberg.io.pyarrow
import pytest
import sqlalchemy.event
from starlette.applications import Starlette

import app.lake.reading
from app.asgi import create_app
from app.bootstrap import Services
from app.domain.changes import Actor, ChangeKind, Command
from app.domain.compaction.policy import CompactionPolicy
from app.domain.names import DatasetName
from app.domain.ref_changes import plan_tag
from app.domain.retention.policy import RetentionPolicy
from app.lake.store import Lake
from app.registry.change_rows import Intent
from app.services.compaction.sweeps import Limits
from app.services.orphans import OrphanAge
from tests.lake_tables import ORDERS, SmallLake, append_elsewhere, small_lake

pytestmark = pytest.mark.anyio

THREADS = 2
# Long enough for any machine; a test that reaches it has failed anyway.
HANG_S = 60.0
DATASET = 'query { dataset(namespace: "sales", name: "orders") { current { snapshotId } } }'


class HangingCatalog:
    """Lets `load_table` begin and holds it until released."""

    def __init__(self, load_table: Callable[..., Any]) -> None:
        self._load_table = load_table
        self._lock = threading.Lock()
        self._released = threading.Event()
        self.running = self.most_running = self.ended = 0

    def load_table(self, identifier: Any) -> Any:
        with self._lock:
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        try:
            assert self._released.wait(HANG_S)
            return self._load_table(identifier)
        finally:
            with self._lock:
                self.running -= 1
                self.ended += 1

    def release(self) -> None:
        self._released.set()


@pytest.fixture
def lake(database_url: str, tmp_path: Path) -> Iterator[SmallLake]:
    with small_lake(database_url, tmp_path / "home") as opened:
        yield opened


@pytest.fixture
async def server(lake: SmallLake) -> AsyncIterator[Starlette]:
    server = create_app(lake.settings.model_copy(update={"lake_threads": THREADS}))
    async with server.router.lifespan_context(server):
        yield server


@pytest.fixture
async def client(server: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(server), base_url="http://lake") as opened:
        yield opened


@pytest.fixture
def hanging(server: Starlette, monkeypatch: pytest.MonkeyPatch) -> Iterator[HangingCatalog]:
    catalog = server.state.services.lake._catalog
    hanging = HangingCatalog(catalog.load_table)
    monkeypatch.setattr(catalog, "load_table", hanging.load_table)
    yield hanging
    # A test that failed must not leave threads behind that the lake waits for when it closes.
    hanging.release()


async def test_loop_answers_others_while_every_lake_thread_hangs(
    client: httpx.AsyncClient, hanging: HangingCatalog, lake: SmallLake
) -> None:
    # Given more requests for tables than there are threads, and a catalog that hangs
    asked = [asyncio.create_task(client.post("/graphql", json={"query": DATASET})) for _ in range(THREADS + 3)]
    await _until(lambda: hanging.running == THREADS)

    # When others ask for what needs no table
    for _ in range(20):
        alive = await client.get("/healthz")
        typename = await client.post("/graphql", json={"query": "{ __typename }"})
        assert alive.json() == {"status": "alive"}
        assert typename.json() == {"data": {"__typename": "Query"}}

    # Then they were served while not one lake call had come back, and no more of those ran than allowed
    assert hanging.ended == 0
    assert hanging.most_running == THREADS
    assert not any(task.done() for task in asked)

    # And those that waited for a thread get their answers, once the catalog gives its own
    hanging.release()
    for answer in await asyncio.gather(*asked):
        assert answer.json() == {"data": {"dataset": {"current": {"snapshotId": str(lake.orders.third)}}}}
    assert hanging.ended == THREADS + 3
    assert hanging.most_running <= THREADS


async def test_caller_who_leaves_frees_its_place_in_the_queue(
    server: Starlette, client: httpx.AsyncClient, hanging: HangingCatalog
) -> None:
    # Given a request that waits behind those whose calls hang
    first = [asyncio.create_task(client.post("/graphql", json={"query": DATASET})) for _ in range(THREADS)]
    await _until(lambda: hanging.running == THREADS)
    left = asyncio.create_task(client.post("/graphql", json={"query": DATASET}))
    waiting = server.state.services.lake._threads._pool._work_queue
    await _until(lambda: waiting.qsize() == 1)

    # When its client goes away, and the catalog answers again
    left.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await left
    hanging.release()
    answers = await asyncio.gather(*first)

    # Then the others are answered, and the catalog was never asked for the one that left
    assert [answer.status_code for answer in answers] == [200] * THREADS
    assert hanging.ended == THREADS


class Borders:
    """On which threads the lake's blocking borders were crossed, and which methods of the lake were called."""

    def __init__(self) -> None:
        self.threads: dict[str, set[int]] = {"statement": set(), "file": set(), "rows": set()}
        self.called: set[str] = set()

    def cross(self, border: str) -> None:
        self.threads[border].add(threading.get_ident())

    def watch(self, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
        @sqlalchemy.event.listens_for(lake._catalog.engine, "before_cursor_execute")  # type: ignore[attr-defined]
        def _(*_: object) -> None:
            self.cross("statement")

        for method in ("open", "create"):
            original = getattr(pyiceberg.io.pyarrow.PyArrowFile, method)
            monkeypatch.setattr(pyiceberg.io.pyarrow.PyArrowFile, method, self._crossing("file", original))

        stream_data_file = app.lake.reading.stream_data_file

        def stream(*args: Any, **kwargs: Any) -> Iterator[Any]:
            for batch in stream_data_file(*args, **kwargs):
                self.cross("rows")
                yield batch

        monkeypatch.setattr(app.lake.reading, "stream_data_file", stream)
        for name in blocking_methods():
            monkeypatch.setattr(lake, name, self._noting(name, getattr(lake, name)))

    def _crossing(self, border: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def crossing(*args: Any, **kwargs: Any) -> Any:
            self.cross(border)
            return function(*args, **kwargs)

        return crossing

    def _noting(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*args: Any, **kwargs: Any) -> Any:
            self.called.add(name)
            return function(*args, **kwargs)

        return noting


def blocking_methods() -> set[str]:
    """Every method of the lake that a running server may call, but for those that need a Spark (spark_connect)."""
    found = {name for name, value in vars(Lake).items() if inspect.iscoroutinefunction(value) and name[0] != "_"}
    in_spark = {"find_spark_application", "run_row_diff_in_spark"}
    return found - in_spark - {"close", "load_sample", "find_sample_snapshots", "train_sample_model"}


async def test_no_lake_call_runs_on_the_loops_thread(
    server: Starlette, client: httpx.AsyncClient, lake: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given watchers where statements, files and rows of the lake are asked for
    services: Services = server.state.services
    borders = Borders()
    borders.watch(services.lake, monkeypatch)

    # When everything is asked of it that the services offer
    await _read_all(client, lake)
    await _change_all(client, lake)
    await _settle_an_abandoned_change(services)
    await _expire(services, lake)
    await services.compaction_planning.explain(DatasetName.parse(ORDERS), CompactionPolicy())
    await _compact(services)

    # Then every method of the lake was called, every border crossed, and none of them by the loop
    assert borders.called == blocking_methods()
    for border, threads in borders.threads.items():
        assert threads, border
        assert threading.get_ident() not in threads, border
    # Manifests are read by pyiceberg's own pool, on behalf of a lake thread that waits; all else by lake threads.
    assert len(borders.threads["statement"]) <= THREADS
    assert len(borders.threads["rows"]) <= THREADS


async def _compact(services: Services) -> None:
    sweep = services.compaction_sweeps.sweep(
        [DatasetName.parse(ORDERS)],
        CompactionPolicy(rewrite_all=True),
        Limits(),
        Command(actor=Actor(subject="test")),
        lambda *_: None,
        is_dry_run=False,
    )
    assert [entry["error"] async for entry in sweep] == [None]


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANG_S):
        while not condition():  # noqa: ASYNC110  (what is waited for happens in threads that know of no loop)
            await asyncio.sleep(0.001)


async def _read_all(client: httpx.AsyncClient, lake: SmallLake) -> None:
    data = await _run(
        client,
        """query($id: SnapshotId!) {
            datasets(first: 100) { nodes { name } }
            tagged: datasets(tag: "production_2026_02_15") { nodes { name } }
            some: datasets(namespace: "sales") { nodes { name } }
            dataset(namespace: "sales", name: "orders") {
                tags { nodes { name } } branches { name aheadOfMain } schema { fingerprint: __typename }
                snapshots { nodes { summary { __typename } columnStats { __typename } } }
                rows(at: {snapshotId: $id}, first: 2) { rows }
                diff(from: {snapshotId: $id}) { files { filesAdded } rows { rowsAdded } }
                changes { totalCount }
            }
        }""",
        id=str(lake.orders.first),
    )
    assert len(data["dataset"]["rows"]["rows"]) == 2
    assert int(data["dataset"]["diff"]["rows"]["rowsAdded"]) > 0
    base = f"/api/v1/datasets/{ORDERS.replace('.', '/')}"
    for path in (
        f"{base}/data?format=csv",
        f"{base}/data?format=arrow",
        f"{base}/snapshots",
        f"{base}/tags",
        "/readyz",
    ):
        assert (await client.get(path)).status_code == 200, path


async def _change_all(client: httpx.AsyncClient, lake: SmallLake) -> None:
    dataset = {"namespace": "sales", "name": "orders"}
    first, second = ({"snapshotId": str(snapshot)} for snapshot in (lake.orders.first, lake.orders.second))

    async def change(field: str, input_type: str, payload: str, **arguments: Any) -> Any:
        query = f"mutation($input: {input_type}!) {{ {field}(input: $input) {{ {payload} userErrors {{ message }} }} }}"
        answer = (await _run(client, query, input=arguments))[field]
        assert answer["userErrors"] == []
        return answer

    on = {"dataset": dataset}
    await change("createTag", "CreateTagInput", "", on=on, at=first, name="v1")
    await change("moveTag", "MoveTagInput", "", on=on, to=second, name="v1")
    await change("deleteTag", "DeleteTagInput", "", on=on, name="v1")
    await change("createBranch", "CreateBranchInput", "", dataset=dataset, at=first, name="b")
    await change("deleteBranch", "DeleteBranchInput", "", dataset=dataset, name="b")
    rolled = await change(
        "rollbackDataset", "RollbackDatasetInput", "undoTag { name }", dataset=dataset, to=first, reason="test"
    )
    undo_tag = rolled["undoTag"]["name"]
    await change("undoRollback", "UndoRollbackInput", "", dataset=dataset, undoTag=undo_tag, reason="test")
    await change("startRowDiff", "StartRowDiffInput", "", **on, **{"from": first})


async def _settle_an_abandoned_change(services: Services) -> None:
    state = (await services.datasets.load(DatasetName.parse(ORDERS))).state
    assert state.history.head_id is not None
    plan = plan_tag(state, "abandoned", state.history.head_id)
    assert plan is not None
    intent = Intent(
        change_id=uuid4(),
        kind=ChangeKind.TAG_CREATED,
        dataset=state.name,
        table_uuid=state.table_uuid,
        command=Command(actor=Actor(subject="gone"), reason=None),
        request_hash=b"abandoned",
        plan=plan,
        base_metadata=state.metadata_location,
        lease_s=0.0,
    )
    await services.versioning._changes.intend(intent)
    assert await services.repair.settle_overdue(state.table_uuid) == 1


async def _expire(services: Services, lake: SmallLake) -> None:
    name, command = DatasetName.parse(ORDERS), Command(actor=Actor(subject="test"))
    for number in (10, 11):
        # Beside the loop: what is watched is every file, whoever opens it.
        await asyncio.to_thread(append_elsewhere, lake.catalog, number)
    policy = RetentionPolicy(keep_last_n=1, keep_days=0, production_keep_days=0, allow_zero_days=True)
    neighbours = await services.retention_planning.neighbours()
    done = await services.retention.run(name, policy, command, neighbours, lambda *_: None)
    assert done.done.files_deleted > 0
    # As a run does that finds another one dead after its commit.
    table = await services.datasets.load(name)
    assert (await services.lake.judge_base(table, done.planned.files.expiry)).may_delete
    await services.orphans.remove(name, command, OrphanAge(days=0, is_forced=True))


async def _run(client: httpx.AsyncClient, query: str, **variables: Any) -> Any:
    answer = (await client.post("/graphql", json={"query": query, "variables": variables})).json()
    assert "errors" not in answer, answer
    return answer["data"]
