"""What a change affects, on real tables, the event log and the projector."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pyiceberg.catalog import Catalog

from app.bootstrap import Services, open_services
from app.domain.changes import Actor, Command
from app.domain.impact import Impact, Impacted, ImpactKind, Severity
from app.domain.lineage import (
    Edge,
    EdgeKind,
    Projection,
    TruncationReason,
    Vertex,
    external_vertex,
    model_vertex,
    pipeline_vertex,
    snapshot_vertex,
)
from app.errors import (
    InvalidArgumentError,
    LineageUnavailableError,
    NoSnapshotError,
    SnapshotExpiredError,
    UnknownColumnError,
    VersionNotFoundError,
)
from app.lake.sample.snapshots import compact
from app.lake.sample.steps import Marks
from app.lake.sample.tpch import TpchFiles
from app.services.impacts import Bounds, Impacts
from app.settings import Settings
from tests.contract.lineage.graphs import NOW
from tests.integration.lineage.events import body, columns, name, of_table, run_event
from tests.lake_tables import Orders, append_elsewhere, create_empty, create_orders, open_catalog, rows

pytestmark = pytest.mark.anyio

SALES, CUSTOMERS, REPORT = "silver.sales", "gold.customers", "silver.report"
LOW, MEDIUM, HIGH, CRITICAL = Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=database_url)


@pytest.fixture
def catalog(settings: Settings):
    with open_catalog(settings) as opened:
        yield opened


@pytest.fixture
def sales(catalog: Catalog) -> Orders:
    return create_orders(catalog, SALES)


@pytest.fixture
def customers(catalog: Catalog) -> Orders:
    return create_orders(catalog, CUSTOMERS)


@pytest.fixture
def report(catalog: Catalog) -> Orders:
    return create_orders(catalog, REPORT)


@pytest.fixture
async def services(settings: Settings, sales: Orders, customers: Orders, report: Orders) -> AsyncIterator[Services]:
    async with open_services(settings) as opened:
        yield opened


async def run(
    services: Services,
    number: int,
    source: tuple[str, int],
    target: tuple[str, int],
    links: dict[str, list[str]] | None = None,
) -> None:
    """A run that read one snapshot and made another one; with `links`, by these columns."""
    read = of_table(await services.datasets.load(name(source[0])), source[1])
    facets = {} if links is None else {"columnLineage": columns(read, links)}
    made = of_table(await services.datasets.load(name(target[0])), target[1], **facets)
    run_id, job = UUID(int=number), f"job{number}"
    await services.ingesting.ingest(
        body(
            run_event("START", run_id, "2026-02-15T10:00:00Z", [read], job=job),
            run_event("COMPLETE", run_id, "2026-02-15T10:00:02Z", [], [made], job=job),
        )
    )
    while await services.projector.project_pending():
        pass


async def train(services: Services, number: int, dataset: str, snapshot_id: int) -> Vertex:
    """A model version that was trained on a snapshot."""
    state = (await services.datasets.load(name(dataset))).state
    model, data = model_vertex("churn", number), snapshot_vertex(state.table_uuid, snapshot_id, dataset)
    await say(services, f"model:churn@{number}", EdgeKind.TRAINED_ON, model, data)
    return model


async def say(services: Services, owner: str, kind: EdgeKind, start: Vertex, end: Vertex) -> None:
    edge = Edge(kind=kind, from_id=start.vertex_id, to_id=end.vertex_id, owner=owner, source="test", recorded_at=NOW)
    vertices = {vertex.vertex_id: vertex for vertex in (start, end)}
    await services.impacts._store.apply([Projection(owner=owner, vertices=vertices, edges=(edge,))])


async def story(services: Services, sales: Orders, customers: Orders, report: Orders) -> None:
    """sales@2 → customers@2, sales@3 → customers@3 → report@3; churn 1 learned from customers@2, churn 2 from @3."""
    await run(services, 1, (SALES, sales.second), (CUSTOMERS, customers.second), {"label": ["price"]})
    await run(services, 2, (SALES, sales.third), (CUSTOMERS, customers.third), {"label": ["label"]})
    await run(services, 3, (CUSTOMERS, customers.third), (REPORT, report.third))
    await train(services, 1, CUSTOMERS, customers.second)
    await train(services, 2, CUSTOMERS, customers.third)


async def ask(services: Services, dataset: str = SALES, kind: ImpactKind = ImpactKind.ANY, **facts: Any) -> Impact:
    return await services.impacts.of_dataset(await services.datasets.load(name(dataset)), kind, **facts)


def shown(found: Sequence[Impacted]) -> list[tuple[str, str | None, int, Severity]]:
    return [(one.vertex.name, one.vertex.version, one.depth, one.severity) for one in found]


def path(one: Impacted) -> list[str]:
    return [f"{vertex.name}@{vertex.version}" for vertex in one.path]


async def test_all_that_is_downstream_once_at_its_nearest(
    services: Services, sales: Orders, customers: Orders, report: Orders
) -> None:
    await story(services, sales, customers, report)

    found = await ask(services)

    assert shown(found.datasets) == [(CUSTOMERS, None, 1, CRITICAL), (REPORT, None, 2, LOW)]
    assert shown(found.models) == [("churn", None, 2, MEDIUM)]
    assert shown(found.pipelines) == [
        ("tests/job1", None, 1, HIGH),
        ("tests/job2", None, 1, HIGH),
        ("tests/job3", None, 2, MEDIUM),
    ]
    assert (found.total_affected, found.severity, found.is_complete) == (6, CRITICAL, True)
    assert path(found.datasets[1]) == [f"{SALES}@None", f"{CUSTOMERS}@None", f"{REPORT}@None"]
    assert found.datasets[0].reason == f"{CUSTOMERS}, a production dataset, is made from {SALES}."
    assert (await ask(services, kind=ImpactKind.DATA)).severity is HIGH


async def test_nothing_reported_is_nothing_affected_and_whole(services: Services) -> None:
    for kind in set(ImpactKind) - {ImpactKind.ROLLBACK}:
        found = await ask(services, kind=kind)
        assert (found.total_affected, found.severity, found.is_complete) == (0, Severity.NONE, True)
    found = await ask(services, kind=ImpactKind.ROLLBACK, rollback_to="main~1")
    assert (found.kind, found.total_affected, found.is_complete) == (ImpactKind.ROLLBACK, 0, True)


async def test_depth_is_told_where_there_is_more(
    services: Services, sales: Orders, customers: Orders, report: Orders
) -> None:
    await story(services, sales, customers, report)

    near = await ask(services, depth=1)
    assert {one.depth for one in near.everything} == {1}
    assert near.truncated == {TruncationReason.DEPTH}
    assert (await ask(services, depth=2)).is_complete
    for depth in (0, 51, -1):
        with pytest.raises(InvalidArgumentError) as refused:
            await ask(services, depth=depth)
        assert refused.value.fields["argument"] == "depth"


async def test_a_rollback_affects_who_read_the_very_snapshots_it_leaves(
    services: Services, sales: Orders, customers: Orders, report: Orders
) -> None:
    await story(services, sales, customers, report)

    found = await ask(services, kind=ImpactKind.ROLLBACK, rollback_to="main~1")

    assert shown(found.datasets) == [
        (CUSTOMERS, str(customers.third), 1, CRITICAL),
        (REPORT, str(report.third), 2, LOW),
    ]
    assert shown(found.models) == [("churn", "2", 2, MEDIUM)]
    assert shown(found.pipelines) == [("tests/job2", "", 1, MEDIUM), ("tests/job3", "", 2, LOW)]
    assert path(found.models[0]) == [
        f"{SALES}@{sales.third}",
        f"{CUSTOMERS}@{customers.third}",
        "churn@2",
    ]
    assert "was trained on" in found.models[0].reason
    # Further back, what read the one before is affected too.
    further = await ask(services, kind=ImpactKind.ROLLBACK, rollback_to=str(sales.first))
    assert {one.vertex.version for one in further.models} == {"1", "2"}
    # And forth nothing is left behind.
    table = await services.datasets.load(name(SALES))
    assert (await services.impacts.of_rollback(table, sales.first, sales.third)).total_affected == 0


async def test_a_compaction_is_its_ancestor(services: Services, catalog: Catalog, customers: Orders) -> None:
    # given a table of two snapshots that was compacted, both of which were read
    flat = catalog.create_table("silver.flat", rows(1).schema)
    flat.append(rows(1))
    flat.append(rows(2))
    compact("compact").commit(flat, TpchFiles(root=Path(), parts=1), Marks(step="compact", is_last=False))
    table = await services.datasets.load(name("silver.flat"))
    rewritten = table.state.history.head
    assert rewritten is not None and rewritten.parent_id is not None
    await run(services, 1, ("silver.flat", rewritten.snapshot_id), (CUSTOMERS, customers.third))

    # then going back over it leaves no row behind
    over = await services.impacts.of_rollback(table, rewritten.snapshot_id, rewritten.parent_id)
    assert over.total_affected == 0
    # and going back further leaves what was read as the compacted one
    back = await ask(services, "silver.flat", ImpactKind.ROLLBACK, rollback_to="main~2")
    assert [one.vertex.name for one in back.datasets] == [CUSTOMERS]
    assert path(back.datasets[0])[0] == f"silver.flat@{rewritten.parent_id}"


async def test_columns_take_out_what_does_not_use_them(
    services: Services, sales: Orders, customers: Orders, report: Orders
) -> None:
    await run(services, 1, (SALES, sales.third), (CUSTOMERS, customers.third), {"label": ["price"]})
    await run(services, 2, (SALES, sales.third), (REPORT, report.third))

    price = await ask(services, kind=ImpactKind.SCHEMA, columns=["price"])
    assert shown(price.datasets) == [(CUSTOMERS, None, 1, CRITICAL), (REPORT, None, 1, LOW)]
    assert price.datasets[0].reason.endswith("it reaches column label.")
    assert "may be affected" in price.datasets[1].reason
    other = await ask(services, kind=ImpactKind.SCHEMA, columns=["id"])
    assert [one.vertex.name for one in other.everything] == [REPORT, "tests/job2"]
    with pytest.raises(UnknownColumnError) as refused:
        await ask(services, columns=["prise"])
    assert refused.value.fields["suggestions"] == ["price"]
    with pytest.raises(InvalidArgumentError):
        await ask(services, columns=[])


async def test_a_renamed_column_is_known_by_its_earlier_name(
    services: Services, sales: Orders, customers: Orders
) -> None:
    # given a run on the snapshot before `name` was renamed to `label`
    await run(services, 1, (SALES, sales.second), (CUSTOMERS, customers.second), {"name": ["name"]})

    assert [one.vertex.name for one in (await ask(services, columns=["label"])).datasets] == [CUSTOMERS]
    with pytest.raises(UnknownColumnError):
        await ask(services, columns=["name"])


async def test_what_is_elsewhere_renamed_or_gone_is_judged_by_what_is_known(
    services: Services, catalog: Catalog, sales: Orders, customers: Orders, report: Orders
) -> None:
    await run(services, 1, (SALES, sales.third), (CUSTOMERS, customers.third))
    await run(services, 2, (SALES, sales.third), (REPORT, report.third))
    state = (await services.datasets.load(name(SALES))).state
    data = snapshot_vertex(state.table_uuid, sales.third, SALES)
    await say(services, "x", EdgeKind.DERIVED_FROM, external_vertex("kafka://b", "orders", ""), data)
    catalog.rename_table(CUSTOMERS, "silver.customers")
    catalog.drop_table(REPORT)

    found = await ask(services)

    assert shown(found.datasets) == [
        (CUSTOMERS, None, 1, MEDIUM),
        ("kafka://b/orders", None, 1, MEDIUM),
        (REPORT, None, 1, LOW),
    ]
    assert "no longer has" in found.datasets[2].reason


class Known:
    """A registry of models."""

    def __init__(self, facts: Mapping[str, tuple[bool, Sequence[str]]]) -> None:
        self.facts = facts

    async def find(self, vertices: Sequence[Vertex]) -> Mapping[str, tuple[bool, Sequence[str]]]:
        return {vertex.vertex_id: self.facts[vertex.vertex_id] for vertex in vertices if vertex.vertex_id in self.facts}


@pytest.mark.parametrize(
    ("case", "facts", "severity"),
    [
        ("nothing is known", {}, HIGH),
        ("all archived", {1: (True, ["production_2026_02_15"]), 2: (True, [])}, LOW),
        ("one live", {1: (True, []), 2: (False, ["best"])}, HIGH),
        ("in production", {1: (False, ["production_2026_02_15"]), 2: (True, [])}, CRITICAL),
    ],
)
async def test_live_models_weigh_more_than_archived_ones(
    services: Services, customers: Orders, case: str, facts: dict[int, tuple[bool, list[str]]], severity: Severity
) -> None:
    await train(services, 1, CUSTOMERS, customers.second)
    await train(services, 2, CUSTOMERS, customers.third)
    known = Known({model_vertex("churn", number).vertex_id: fact for number, fact in facts.items()})
    impacts = Impacts(services.impacts._store, services.datasets, models=known)
    table = await services.datasets.load(name(CUSTOMERS))

    assert shown((await impacts.of_dataset(table)).models) == [("churn", None, 1, severity)], case
    rollback = await impacts.of_dataset(table, ImpactKind.ROLLBACK, rollback_to="main~2")
    assert len(rollback.models) == 2


async def test_limits_are_told(services: Services, sales: Orders) -> None:
    state = (await services.datasets.load(name(SALES))).state
    data = snapshot_vertex(state.table_uuid, sales.third, SALES)
    for number in range(6):
        await say(services, f"p{number}", EdgeKind.CONSUMES, pipeline_vertex(f"p{number}", "1"), data)
    table = await services.datasets.load(name(SALES))

    async def within(**limits: Any) -> Impact:
        return await Impacts(services.impacts._store, services.datasets, bounds=Bounds(**limits)).of_dataset(table)

    few = await within(max_affected=4)
    assert [one.vertex.name for one in few.pipelines] == ["p0", "p1", "p2", "p3"]
    assert few.truncated == {TruncationReason.NODE_LIMIT}
    assert (await within(max_affected=6)).is_complete
    assert (await within(max_edges=3)).truncated == {TruncationReason.NODE_LIMIT}
    with pytest.raises(LineageUnavailableError):
        await within(timeout_s=0.0)


async def test_what_was_found_before_the_time_was_over_is_told(
    services: Services, sales: Orders, customers: Orders, report: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    await story(services, sales, customers, report)
    store, hops = services.impacts._store, [1]
    real = store.neighbours

    async def slow(*args: Any, **options: Any) -> Any:
        if hops:
            hops.pop()
        else:
            await asyncio.sleep(30)
        return await real(*args, **options)

    monkeypatch.setattr(store, "neighbours", slow)
    impacts = Impacts(store, services.datasets, bounds=Bounds(timeout_s=1.0))
    found = await impacts.of_dataset(await services.datasets.load(name(SALES)))
    assert [one.vertex.name for one in found.everything] == [CUSTOMERS, "tests/job1", "tests/job2"]
    assert found.truncated == {TruncationReason.TIMEOUT}


async def test_one_query_a_hop(
    services: Services, sales: Orders, customers: Orders, report: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    await story(services, sales, customers, report)
    store, asked = services.impacts._store, list[Sequence[str]]()
    real = store.neighbours

    async def counting(vertex_ids: Sequence[str], *args: Any, **options: Any) -> Any:
        asked.append(vertex_ids)
        return await real(vertex_ids, *args, **options)

    monkeypatch.setattr(store, "neighbours", counting)
    await ask(services)
    # From sales, from customers, from report and the model.
    assert [len(ids) for ids in asked] == [1, 1, 2]


async def test_bad_rollbacks_are_typed(services: Services, catalog: Catalog) -> None:
    for kind in set(ImpactKind) - {ImpactKind.ROLLBACK}:
        with pytest.raises(InvalidArgumentError) as refused:
            await ask(services, kind=kind, rollback_to="main~1")
        assert refused.value.fields["argument"] == "rollbackTo"
    with pytest.raises(InvalidArgumentError):
        await ask(services, kind=ImpactKind.ROLLBACK)
    with pytest.raises(VersionNotFoundError):
        await ask(services, kind=ImpactKind.ROLLBACK, rollback_to="nope")
    create_empty(catalog, "silver.empty")
    with pytest.raises(NoSnapshotError):
        await ask(services, "silver.empty", ImpactKind.ROLLBACK, rollback_to="latest")


async def test_a_target_that_has_expired_is_told_so(services: Services, catalog: Catalog) -> None:
    flat = catalog.create_table("silver.flat", rows(1).schema)
    flat.append(rows(1))
    gone = flat.current_snapshot()
    flat.append(rows(2))
    assert gone is not None
    # What pyiceberg expires, it forgets; our record of a tag remembers it.
    command = Command(actor=Actor(subject="ada"))
    await services.versioning.create_tag(name("silver.flat"), "once", str(gone.snapshot_id), command)
    await services.versioning.delete_tag(name("silver.flat"), "once", command)
    flat.refresh()
    flat.maintenance.expire_snapshots().by_id(gone.snapshot_id).commit()
    with pytest.raises(SnapshotExpiredError):
        await ask(services, "silver.flat", ImpactKind.ROLLBACK, rollback_to=str(gone.snapshot_id))


async def test_a_graph_that_is_away_is_one_typed_error(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object, **__: object) -> None:
        await asyncio.sleep(0)
        raise LineageUnavailableError("it is away")

    monkeypatch.setattr(services.impacts._store, "neighbours", away)
    with pytest.raises(LineageUnavailableError):
        await ask(services)


async def test_commits_of_others_meanwhile_change_nothing_of_what_was_asked(
    services: Services, catalog: Catalog, sales: Orders, customers: Orders
) -> None:
    await run(services, 1, (SALES, sales.third), (CUSTOMERS, customers.third))
    table = await services.datasets.load(name(SALES))
    append_elsewhere(catalog, 9, name=SALES)
    found = await services.impacts.of_dataset(table, ImpactKind.ROLLBACK, rollback_to="main~1")
    assert [one.vertex.name for one in found.datasets] == [CUSTOMERS]
