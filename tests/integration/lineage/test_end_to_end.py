"""From events over the log and the projector to answers: which snapshot was made from which."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from pyiceberg.catalog import Catalog

from app.bootstrap import Services, open_services
from app.domain.history import SnapshotOperation
from app.domain.lineage import Direction, EdgeKind, Grain, TruncationReason, Walk
from app.lake.sample.snapshots import compact
from app.lake.sample.steps import Marks
from app.lake.sample.tpch import TpchFiles
from app.services.lineage import Consistency
from app.settings import Settings
from tests.integration.lineage.events import body, columns, name, of_table, run_event
from tests.lake_tables import Orders, append_elsewhere, create_orders, open_catalog, rows

pytestmark = pytest.mark.anyio

RUN = UUID("11111111-1111-4111-8111-111111111111")
SALES, CUSTOMERS = "silver.sales", "gold.customers"


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
async def services(settings: Settings, sales: Orders, customers: Orders) -> AsyncIterator[Services]:
    async with open_services(settings) as opened:
        yield opened


async def project(services: Services) -> None:
    while await services.projector.project_pending():
        pass


async def edges(services: Services, dataset: str, snapshot_id: int, direction: Direction) -> set[tuple[str, str, str]]:
    """(kind, from, to) around a snapshot, versions told by their ids."""
    root = services.lineage.snapshot_root(await services.datasets.load(name(dataset)), snapshot_id)
    answer = await services.lineage.walk(root, Walk(root=root.vertex_id, direction=direction))
    found = {node.vertex.vertex_id: f"{node.vertex.name}@{node.vertex.version}" for node in answer.graph.nodes}
    return {(edge.kind.value, found[edge.from_id], found[edge.to_id]) for edge in answer.graph.edges}


async def story(services: Services, sales: Orders, customers: Orders) -> list[dict]:
    """A run that read `sales` at its second snapshot and made `customers`' third."""
    source = await services.datasets.load(name(SALES))
    target = await services.datasets.load(name(CUSTOMERS))
    read = of_table(source, sales.second)
    lineage = columns(read, {"id": ["id"], "label": ["label", "price"]})
    return [
        run_event("START", RUN, "2026-02-15T10:00:00Z", [read], [of_table(target)]),
        run_event("RUNNING", RUN, "2026-02-15T10:00:01Z"),
        run_event(
            "COMPLETE",
            RUN,
            "2026-02-15T10:00:02Z",
            [of_table(source, sales.third)],
            [of_table(target, customers.third, columnLineage=lineage)],
        ),
    ]


def expected(sales: Orders, customers: Orders) -> set[tuple[str, str, str]]:
    made = f"{CUSTOMERS}@{customers.third}"
    return {
        ("DERIVED_FROM", made, f"{SALES}@{sales.second}"),
        ("GENERATED_BY", made, "tests/refresh@"),
    }


async def test_a_snapshot_was_made_from_the_snapshot_that_was_read(
    services: Services, sales: Orders, customers: Orders
) -> None:
    await services.ingesting.ingest(body(*await story(services, sales, customers)))
    await project(services)

    # The input's version is that of START, the output's that of COMPLETE.
    assert await edges(services, CUSTOMERS, customers.third, Direction.UPSTREAM) == expected(sales, customers)
    downstream = await edges(services, SALES, sales.second, Direction.DOWNSTREAM)
    assert ("DERIVED_FROM", f"{CUSTOMERS}@{customers.third}", f"{SALES}@{sales.second}") in downstream
    assert await edges(services, SALES, sales.third, Direction.DOWNSTREAM) == set()


async def test_columns_lead_to_the_columns_they_were_made_from(
    services: Services, sales: Orders, customers: Orders
) -> None:
    await services.ingesting.ingest(body(*await story(services, sales, customers)))
    await project(services)

    table = await services.datasets.load(name(CUSTOMERS))
    root = services.lineage.snapshot_root(table, customers.third)
    found = await services.lineage.column_lineage(root, "label", Direction.UPSTREAM, depth=3)

    assert sorted(edge.from_column for edge in found) == ["label", "price"]
    assert {edge.from_vertex.name for edge in found} == {SALES}
    assert {edge.transformation for edge in found} == {"DIRECT/IDENTITY"}


@pytest.mark.parametrize("seed", range(8))
async def test_order_repetition_and_projecting_in_between_do_not_matter(
    services: Services, sales: Orders, customers: Orders, seed: int
) -> None:
    chance = random.Random(seed)
    events = await story(services, sales, customers)
    shuffled = events + chance.choices(events, k=3)
    chance.shuffle(shuffled)

    for event in shuffled:
        await services.ingesting.ingest(body(event))
        if chance.random() < 0.5:
            await project(services)
    await project(services)

    assert await edges(services, CUSTOMERS, customers.third, Direction.UPSTREAM) == expected(sales, customers)


async def test_without_versions_it_is_what_was_current_then_and_says_so(
    services: Services, sales: Orders, customers: Orders, catalog: Catalog
) -> None:
    source = await services.datasets.load(name(SALES))
    target = await services.datasets.load(name(CUSTOMERS))
    await services.ingesting.ingest(
        body(
            run_event("START", RUN, "2999-01-01T00:00:00Z", [of_table(source)], [of_table(target)]),
            run_event("COMPLETE", RUN, "2999-01-01T00:00:01Z", [of_table(source)], [of_table(target)]),
        )
    )
    await project(services)

    assert await edges(services, CUSTOMERS, customers.third, Direction.UPSTREAM) == {
        ("DERIVED_FROM", f"{CUSTOMERS}@{customers.third}", f"{SALES}@{sales.third}"),
        ("GENERATED_BY", f"{CUSTOMERS}@{customers.third}", "tests/refresh@"),
    }
    root = services.lineage.snapshot_root(target, customers.third)
    graph = (await services.lineage.walk(root, Walk(root=root.vertex_id, direction=Direction.UPSTREAM))).graph
    assert all(edge.is_inferred for edge in graph.edges)

    # What was bound once stays so, also where more is committed and the run is projected again.
    append_elsewhere(catalog, 7, name=SALES)
    await services.ingesting.ingest(body(run_event("RUNNING", RUN, "2999-01-01T00:00:00.5Z")))
    await project(services)
    assert len(await edges(services, CUSTOMERS, customers.third, Direction.UPSTREAM)) == 2


async def test_a_replace_snapshot_has_the_lineage_of_the_one_it_rewrote(
    services: Services, sales: Orders, customers: Orders, catalog: Catalog
) -> None:
    # given a compaction of the input, after which a run reads it
    flat = catalog.create_table("silver.flat", rows(1).schema)
    flat.append(rows(1))
    flat.append(rows(2))
    compact("compact").commit(flat, TpchFiles(root=Path(), parts=1), Marks(step="compact", is_last=False))
    source = await services.datasets.load(name("silver.flat"))
    rewritten = source.state.history.head
    assert rewritten is not None and rewritten.operation is SnapshotOperation.REPLACE
    original = rewritten.parent_id
    assert original is not None
    target = await services.datasets.load(name(CUSTOMERS))
    await services.ingesting.ingest(
        body(
            run_event("START", RUN, "2026-02-15T10:00:00Z", [of_table(source, rewritten.snapshot_id)]),
            run_event("COMPLETE", RUN, "2026-02-15T10:00:02Z", [], [of_table(target, customers.third)]),
        )
    )
    await project(services)

    # then lineage points to the snapshot that was compacted, and is found from either
    assert await edges(services, CUSTOMERS, customers.third, Direction.UPSTREAM) == {
        ("DERIVED_FROM", f"{CUSTOMERS}@{customers.third}", f"silver.flat@{original}"),
        ("GENERATED_BY", f"{CUSTOMERS}@{customers.third}", "tests/refresh@"),
    }
    for snapshot_id in (rewritten.snapshot_id, original):
        assert len(await edges(services, "silver.flat", snapshot_id, Direction.DOWNSTREAM)) == 2


async def test_what_is_none_of_our_tables_is_kept_as_external(
    services: Services, sales: Orders, customers: Orders
) -> None:
    target = await services.datasets.load(name(CUSTOMERS))
    topic = {"namespace": "kafka://broker:9092", "name": "orders ü"}
    elsewhere = of_table(await services.datasets.load(name(SALES)), 5)
    elsewhere["name"] = "/of/another/lake"
    await services.ingesting.ingest(
        body(
            run_event("COMPLETE", RUN, "2026-02-15T10:00:02Z", [topic, elsewhere], [of_table(target, customers.third)])
        )
    )
    await project(services)

    found = await edges(services, CUSTOMERS, customers.third, Direction.UPSTREAM)
    assert {to for kind, _, to in found if kind == "DERIVED_FROM"} == {
        "kafka://broker:9092/orders ü@",
        "file//of/another/lake@5",
    }


async def test_failed_runs_have_made_what_they_say_and_nothing_more(
    services: Services, sales: Orders, customers: Orders
) -> None:
    source = await services.datasets.load(name(SALES))
    target = await services.datasets.load(name(CUSTOMERS))
    await services.ingesting.ingest(
        body(
            run_event("START", RUN, "2026-02-15T10:00:00Z", [of_table(source, sales.first)], [of_table(target)]),
            run_event("FAIL", RUN, "2999-02-15T10:00:00Z", [], [of_table(target)]),
        )
    )
    await project(services)

    assert await edges(services, CUSTOMERS, customers.third, Direction.UPSTREAM) == set()
    # That it read is a fact.
    read = ("CONSUMES", "tests/refresh@", f"{SALES}@{sales.first}")
    assert await edges(services, SALES, sales.first, Direction.DOWNSTREAM) == {read}


async def test_depth_grain_and_watermark(services: Services, sales: Orders, customers: Orders) -> None:
    events = await story(services, sales, customers)
    await services.ingesting.ingest(body(*events))
    table = await services.datasets.load(name(CUSTOMERS))
    root = services.lineage.snapshot_root(table, customers.third)

    # Before the projector ran, the watermark does not pass what it has not seen.
    before = await services.lineage.walk(root, Walk(root=root.vertex_id, direction=Direction.UPSTREAM))
    assert before.graph.edges == ()
    await project(services)
    after = await services.lineage.walk(
        root,
        Walk(root=root.vertex_id, direction=Direction.UPSTREAM, depth=0),
        consistency=Consistency.READ_YOUR_WRITES,
    )
    assert after.watermark > before.watermark
    assert [node.depth for node in after.graph.nodes] == [0]
    assert after.graph.truncated == {TruncationReason.DEPTH}

    entity = services.lineage.dataset_root(table.state.table_uuid, CUSTOMERS)
    rolled = await services.lineage.walk(
        entity, Walk(root=entity.vertex_id, direction=Direction.UPSTREAM, grain=Grain.ENTITY)
    )
    assert {node.vertex.name for node in rolled.graph.nodes} == {CUSTOMERS, SALES, "tests/refresh"}
    assert {edge.kind for edge in rolled.graph.edges} == {EdgeKind.DERIVED_FROM, EdgeKind.GENERATED_BY}


async def test_a_table_that_cannot_be_read_keeps_its_run_waiting_and_no_other(
    services: Services, sales: Orders, customers: Orders, catalog: Catalog
) -> None:
    from tests.lake_tables import create_broken

    create_broken(catalog, "silver.broken")
    broken = {
        "namespace": "elsewhere",
        "name": "silver.broken",
        "facets": {"version": {"_producer": "x", "_schemaURL": "x", "datasetVersion": "5"}},
    }
    await services.ingesting.ingest(body(run_event("COMPLETE", uuid4(), "2026-02-15T09:00:00Z", [broken], [])))
    await services.ingesting.ingest(body(*await story(services, sales, customers)))
    await project(services)

    assert await edges(services, CUSTOMERS, customers.third, Direction.UPSTREAM) == expected(sales, customers)


async def test_a_table_that_is_registered_after_the_event_is_joined_by_the_next_one(
    services: Services, catalog: Catalog, sales: Orders
) -> None:
    # given an event about a table that is not there yet
    source = of_table(await services.datasets.load(name(SALES)), sales.second)
    made = {"namespace": "file", "name": f"{services.settings.warehouse}/late/orders"}
    await services.ingesting.ingest(body(run_event("COMPLETE", RUN, "2026-02-15T10:00:00Z", [source], [made])))
    await project(services)
    found = await edges(services, SALES, sales.second, Direction.DOWNSTREAM)
    assert {end for kind, end, _ in found if kind == "DERIVED_FROM"} == {f"file/{made['name']}@"}

    # when it is there
    late = create_orders(catalog, "late.orders")
    table = await services.datasets.load(name("late.orders"))
    assert table.state.location == f"file://{made['name']}"
    later = run_event("COMPLETE", RUN, "2026-02-15T10:00:01Z", [], [of_table(table, late.third)])
    await services.ingesting.ingest(body(later))
    await project(services)

    # then
    found = await edges(services, SALES, sales.second, Direction.DOWNSTREAM)
    assert {end for kind, end, _ in found if kind == "DERIVED_FROM"} == {f"late.orders@{late.third}"}


async def test_a_column_that_decides_about_rows_is_told(services: Services, sales: Orders, customers: Orders) -> None:
    events = await story(services, sales, customers)
    source = {key: events[0]["inputs"][0][key] for key in ("namespace", "name")}
    facet = events[-1]["outputs"][0]["facets"]["columnLineage"]
    facet["dataset"] = [{**source, "field": "at", "transformations": [{"type": "INDIRECT", "subtype": "FILTER"}]}]
    await services.ingesting.ingest(body(*events))
    await project(services)

    table = await services.datasets.load(name(SALES))
    root = services.lineage.snapshot_root(table, sales.second)
    found = await services.lineage.column_lineage(root, "at", Direction.DOWNSTREAM, depth=3)

    assert [(edge.from_column, edge.to_column, edge.transformation) for edge in found] == [
        ("at", "*", "INDIRECT/FILTER")
    ]
