"""Pipelines: versions that change only where something changed, and runs that belong to them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from app.bootstrap import Services
from app.domain.changes import Command
from app.domain.lineage import Direction, Walk
from app.domain.names import DatasetName
from app.domain.pages import PageRequest
from app.domain.roles import InputRole
from app.domain.run_state import RunStatus
from app.errors import (
    IdempotencyKeyReusedError,
    InvalidArgumentError,
    InvalidDagError,
    InvalidNameError,
    LineageRunNotFoundError,
    PipelineNotFoundError,
    VersionNotFoundError,
)
from app.services.pipelines import NewPipelineVersion
from app.services.runs import RunReport, UsedVersion
from tests.integration.lineage.events import body, of_table, run_event
from tests.integration.registry.lake import CUSTOMERS, SALES, by_ada, drain
from tests.lake_tables import Orders

pytestmark = pytest.mark.anyio

RUN = UUID("33333333-3333-4333-8333-333333333333")
TEN = datetime(2026, 2, 15, 10, tzinfo=UTC)
DAG = {"tasks": [{"id": "read"}, {"id": "write", "retries": 3}], "edges": [["read", "write"]]}


def refresh(**changes: object) -> NewPipelineVersion:
    return NewPipelineVersion(**{"pipeline_id": "tests/refresh", "dag": DAG, "code": "print(1)\n", **changes})


def report(**changes: object) -> RunReport:
    return RunReport(
        **{
            "run_id": RUN,
            "pipeline_id": "refresh",
            "status": RunStatus.SUCCESS,
            "started_at": TEN,
            "ended_at": TEN + timedelta(seconds=90),
            **changes,
        }
    )


def used(dataset: str, snapshot_id: int, role: InputRole = InputRole.INPUT) -> UsedVersion:
    return UsedVersion(dataset=DatasetName.parse(dataset), at=str(snapshot_id), role=role)


async def test_what_is_the_same_is_no_new_version(services: Services) -> None:
    first = await services.pipelines.register(refresh(name="Refresh"), by_ada())
    turned = {"edges": [["read", "write"]], "tasks": [{"retries": 3, "id": "write"}, {"id": "read"}]}

    again = await services.pipelines.register(refresh(dag=turned), by_ada())
    other = await services.pipelines.register(refresh(code="print(2)\n"), by_ada())
    commit = await services.pipelines.register(refresh(code="print(2)\n", git_commit="abc"), by_ada())

    assert (first.version.number, first.is_unchanged) == (1, False)
    assert (again.version, again.is_unchanged, again.change_id) == (first.version, True, None)
    assert [(each.version.number, each.is_unchanged) for each in (other, commit)] == [(2, False), (3, False)]
    assert (await services.pipelines.get("tests/refresh")).name == "Refresh"
    assert (await services.pipelines.get_version("tests/refresh", "latest~2")) == first.version
    page = await services.pipelines.page_versions("tests/refresh", PageRequest(first=2))
    assert ([version.number for version in page.items], page.has_next, page.total) == ([3, 2], True, 3)


async def test_concurrent_registrations_of_one_version_make_one(services: Services) -> None:
    done = await asyncio.gather(*(services.pipelines.register(refresh(), by_ada()) for _ in range(8)))

    assert [each.version.number for each in done] == [1] * 8
    assert sorted(each.is_unchanged for each in done) == [False] + [True] * 7


async def test_a_key_answers_the_same_and_nothing_else(services: Services) -> None:
    first = await services.pipelines.register(refresh(), by_ada(key="k1"))
    await services.pipelines.register(refresh(code="other"), by_ada(key="k2"))
    unchanged = await services.pipelines.register(refresh(code="other"), by_ada(key="k3"))

    assert await services.pipelines.register(refresh(), by_ada(key="k1")) == first
    assert await services.pipelines.register(refresh(code="other"), by_ada(key="k3")) == unchanged
    with pytest.raises(IdempotencyKeyReusedError):
        await services.pipelines.register(refresh(code="third"), by_ada(key="k1"))


@pytest.mark.parametrize(
    ("name", "dag"),
    [
        ("a cycle", {"tasks": [{"id": "a"}, {"id": "b"}], "edges": [["a", "b"], ["b", "a"]]}),
        ("a dangling edge", {"tasks": [{"id": "a"}], "edges": [["a", "b"]]}),
        ("duplicate tasks", {"tasks": [{"id": "a"}, {"id": "a"}], "edges": []}),
        ("no object", [1]),
    ],
)
async def test_a_bad_dag_is_refused_and_leaves_no_pipeline(services: Services, name: str, dag: object) -> None:
    with pytest.raises(InvalidDagError):
        await services.pipelines.register(refresh(dag=dag), by_ada())

    with pytest.raises(PipelineNotFoundError):
        await services.pipelines.get("tests/refresh")


async def test_ids_and_texts_that_cannot_be_kept_are_refused(services: Services) -> None:
    for bad in ("", " x", "a\x00", "x" * 501, "\ud800"):
        with pytest.raises(InvalidNameError):
            await services.pipelines.register(refresh(pipeline_id=bad), by_ada())
    for changes in ({"code": "a\x00"}, {"git_commit": " "}, {"name": "\n"}, {"description": "x" * 10_001}):
        with pytest.raises(InvalidArgumentError):
            await services.pipelines.register(refresh(**changes), by_ada())


async def test_a_run_is_recorded_and_merged(services: Services, sales: Orders, customers: Orders) -> None:
    begun = report(status=RunStatus.RUNNING, ended_at=None, inputs=[used(SALES, sales.second, InputRole.TRAINING)])
    ended = report(started_at=None, outputs=[used(CUSTOMERS, customers.third)])

    assert (await services.runs.record(begun, by_ada())).status is RunStatus.RUNNING
    run = await services.runs.record(ended, by_ada())

    assert (run.status, run.duration_ms, run.recorded_by, run.pipeline_id) == (
        RunStatus.SUCCESS,
        90_000,
        "ada",
        "refresh",
    )
    assert [(use.vertex.name, use.vertex.version, use.role.value) for use in run.inputs] == [
        (SALES, str(sales.second), "TRAINING")
    ]
    assert [(use.vertex.name, use.vertex.version) for use in run.outputs] == [(CUSTOMERS, str(customers.third))]
    # and again, in whatever order, it is the same
    assert await services.runs.record(ended, by_ada()) == run
    assert await services.runs.record(begun, by_ada()) == run
    assert (await services.pipelines.get("refresh")).name == "refresh"

    # and the graph, and the questions about snapshots, know it
    await drain(services)
    table = await services.datasets.load(DatasetName.parse(CUSTOMERS))
    root = services.lineage.snapshot_root(table, customers.third)
    answer = await services.lineage.walk(root, Walk(root=root.vertex_id, direction=Direction.UPSTREAM))
    assert {edge.kind.value for edge in answer.graph.edges} == {"DERIVED_FROM", "GENERATED_BY"}
    assert (await services.runs.producers([root]))[root.vertex_id] == run
    source = await services.datasets.load(DatasetName.parse(SALES))
    consumers = await services.runs.page_of_consumers(source, sales.second, PageRequest(first=5))
    assert (list(consumers.items), consumers.total) == ([run], 1)
    assert (await services.runs.page_of_consumers(source, sales.first, PageRequest(first=5))).total == 0
    assert (await services.upkeep.check()).is_same


async def test_impossible_runs_are_refused(services: Services, sales: Orders) -> None:
    for changes, argument in (
        ({"ended_at": TEN - timedelta(seconds=1)}, "endedAt"),
        ({"ended_at": None}, "endedAt"),
        ({"status": RunStatus.RUNNING}, "endedAt"),
        ({"status": RunStatus.RUNNING, "ended_at": None, "started_at": None}, "startedAt"),
        ({"error": "boom"}, "error"),
    ):
        with pytest.raises(InvalidArgumentError) as caught:
            await services.runs.record(report(**changes), by_ada())
        assert caught.value.fields["argument"] == argument
    with pytest.raises(PipelineNotFoundError):
        await services.runs.record(report(version_number=3), by_ada())
    await services.pipelines.register(refresh(pipeline_id="refresh"), by_ada())
    with pytest.raises(VersionNotFoundError):
        await services.runs.record(report(version_number=3), by_ada())
    with pytest.raises(VersionNotFoundError):
        await services.runs.record(report(inputs=[used(SALES, 99)]), by_ada())
    with pytest.raises(LineageRunNotFoundError):
        await services.runs.get(RUN)


async def test_runs_belong_to_the_version_that_they_say_or_that_was_the_latest(services: Services) -> None:
    # given two versions, and runs before, after and of a commit
    await services.pipelines.register(refresh(git_commit="abc"), by_ada())
    await services.pipelines.register(refresh(git_commit="def"), by_ada())
    now = datetime.now(UTC) + timedelta(seconds=1)
    location = {"sourceCodeLocation": {"type": "git", "url": "https://example.org/x.git", "version": "abc"}}
    early, late, told = (UUID(int=RUN.int + n) for n in (1, 2, 3))
    of_commit = run_event("COMPLETE", told, now.isoformat())
    of_commit["job"]["facets"] = location
    await services.ingesting.ingest(
        body(
            run_event("COMPLETE", early, "2020-01-01T00:00:00Z"),
            run_event("COMPLETE", late, now.isoformat()),
            of_commit,
        )
    )
    await drain(services)

    numbers = {run_id: (await services.runs.get(run_id)).version_number for run_id in (early, late, told)}

    assert numbers == {early: None, late: 2, told: 1}
    # and a version that is registered later takes the runs of its commit
    late_told = UUID(int=RUN.int + 4)
    event = run_event("COMPLETE", late_told, "2020-01-01T00:00:00Z")
    event["job"]["facets"] = {"sourceCodeLocation": {**location["sourceCodeLocation"], "version": "ghi"}}
    await services.ingesting.ingest(body(event))
    await drain(services)
    assert (await services.runs.get(late_told)).version_number is None
    await services.pipelines.register(refresh(git_commit="ghi"), by_ada())
    await drain(services)
    assert (await services.runs.get(late_told)).version_number == 3
    assert (await services.upkeep.check()).is_same


async def test_the_monitoring_query_works_on_the_runs(services: Services) -> None:
    for number, status in enumerate([RunStatus.SUCCESS, RunStatus.FAILED, RunStatus.ABORTED]):
        await services.runs.record(report(run_id=UUID(int=RUN.int + number), status=status), by_ada())
    going_on = report(run_id=UUID(int=RUN.int + 9), status=RunStatus.RUNNING, ended_at=None)
    await services.runs.record(going_on, by_ada())

    connection = await asyncpg.connect(services.settings.database_url)
    try:
        rows = await connection.fetch(
            "SELECT pipeline_id, status, start_time, duration_ms FROM pipeline_executions ORDER BY run_id"
        )
    finally:
        await connection.close()

    assert [tuple(row) for row in rows] == [
        ("refresh", "SUCCESS", TEN, 90_000),
        ("refresh", "FAILED", TEN, 90_000),
        ("refresh", "ABORTED", TEN, 90_000),
        ("refresh", "RUNNING", TEN, None),
    ]
    failed = await services.runs.page_of_pipeline("refresh", PageRequest(first=5), status=RunStatus.FAILED)
    assert [run.run_id for run in failed.items] == [UUID(int=RUN.int + 1)]


async def test_runs_are_paged_latest_first_without_gaps(services: Services) -> None:
    for number in range(7):
        started = TEN + timedelta(minutes=number // 2)
        run = report(run_id=UUID(int=RUN.int + number), started_at=started, ended_at=started)
        await services.runs.record(run, by_ada())

    seen: list[UUID] = []
    request = PageRequest(first=3)
    while True:
        page = await services.runs.page_of_pipeline("refresh", request)
        seen += [run.run_id for run in page.items]
        if not page.has_next:
            break
        request = PageRequest(first=3, after=page.cursors[-1])

    assert seen == [UUID(int=RUN.int + number) for number in (6, 5, 4, 3, 2, 1, 0)]


async def test_a_promotion_is_lineage_and_a_record(services: Services, sales: Orders, customers: Orders) -> None:
    source, target = DatasetName.parse(SALES), DatasetName.parse(CUSTOMERS)
    command = Command(actor=by_ada().actor, reason="validated")

    first = await services.promoting.record(
        source, str(sales.second), target, str(customers.third), command, pipeline_id="promote"
    )
    again = await services.promoting.record(
        source, str(sales.second), target, str(customers.third), command, pipeline_id="promote"
    )
    await drain(services)

    assert (first.is_unchanged, again.is_unchanged) == (False, True)
    root = services.lineage.snapshot_root(first.target, customers.third)
    answer = await services.lineage.walk(root, Walk(root=root.vertex_id, direction=Direction.UPSTREAM))
    assert [(edge.kind.value, edge.source) for edge in answer.graph.edges] == [
        ("DERIVED_FROM", "stratigraph"),
        ("GENERATED_BY", "stratigraph"),
    ]
    changes = await services.datasets.changes_page(PageRequest(first=5), table_uuid=first.target.state.table_uuid)
    assert [(change.kind.value, change.reason) for change in changes.items] == [("DATASET_PROMOTED", "validated")]
    with pytest.raises(InvalidArgumentError):
        await services.promoting.record(source, "main", source, "latest", command)
    assert (await services.upkeep.check()).is_same
    rebuilt = await services.upkeep.rebuild(lambda done, total: None)
    assert (rebuilt.runs, rebuilt.waiting) == (1, 0)


async def test_a_run_of_a_dropped_table_is_still_known(services: Services, sales: Orders, catalog) -> None:
    source = await services.datasets.load(DatasetName.parse(SALES))
    await services.ingesting.ingest(
        body(run_event("COMPLETE", RUN, "2026-02-15T10:00:00Z", [of_table(source, sales.second)]))
    )
    other = UUID(int=RUN.int + 1)
    await services.runs.record(report(run_id=other, inputs=[used(SALES, sales.second)]), by_ada())
    await drain(services)
    catalog.drop_table(SALES)

    await services.upkeep.rebuild(lambda done, total: None)

    for run_id in (RUN, other):
        assert [use.vertex.version for use in (await services.runs.get(run_id)).inputs] == [str(sales.second)]
