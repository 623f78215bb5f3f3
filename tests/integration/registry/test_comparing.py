"""Comparing versions of models and pipelines: what the registry and the lake say together, and at what cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pyiceberg.catalog import Catalog

from app.bootstrap import Services
from app.domain.models import Metric
from app.domain.roles import InputRole
from app.errors import BackendUnavailableError, ModelNotFoundError, PipelineNotFoundError, VersionNotFoundError
from app.lake.sample.snapshots import compact
from app.lake.sample.steps import Marks
from app.lake.sample.tpch import TpchFiles
from app.lake.store import Lake
from app.services.comparison_entries import model_comparison_entry
from app.services.pipelines import NewPipelineVersion
from tests.integration.registry.lake import CUSTOMERS, SALES, by_ada, churn, trained_on
from tests.lake_tables import Orders, rows

pytestmark = pytest.mark.anyio

FLAT = "silver.flat"


async def registered(services: Services, *training: tuple[str, int], **changes: Any) -> None:
    await services.registration.register(churn(**changes), [trained_on(*use) for use in training], by_ada())


@pytest.fixture
def compacted(catalog: Catalog) -> tuple[int, int, int]:
    """Three snapshots of `silver.flat`: one, one more, and a compaction of that."""
    table = catalog.create_table(FLAT, rows(1).schema)
    table.append(rows(1))
    table.append(rows(2))
    compact("compact").commit(table, TpchFiles(root=Path(), parts=1), Marks(step="compact", is_last=False))
    first, second, third = catalog.load_table(FLAT).metadata.snapshots
    return first.snapshot_id, second.snapshot_id, third.snapshot_id


async def test_a_compaction_is_no_other_training_data(
    services: Services, catalog: Catalog, compacted: tuple[int, int, int]
) -> None:
    first, second, third = compacted
    for snapshot_id in (second, third, first):
        await registered(services, (FLAT, snapshot_id))

    rewritten = await services.comparing_models.compare("churn", "1", "2")
    other = await services.comparing_models.compare("churn", "2", "3")

    assert (rewritten.training.is_changed, rewritten.is_identical) == (False, True)
    assert [(delta.before, delta.after) for delta in rewritten.training.deltas] == [(second, third)]
    assert (other.training.is_changed, other.is_identical) == (True, False)


async def test_a_table_that_was_dropped_cannot_tell_and_that_is_said(
    services: Services, catalog: Catalog, compacted: tuple[int, int, int], sales: Orders
) -> None:
    _, second, third = compacted
    await registered(services, (FLAT, second), (SALES, sales.first))
    await registered(services, (FLAT, third), (SALES, sales.first))
    catalog.drop_table(FLAT)

    found = await services.comparing_models.compare("churn", "1", "2")

    entry = model_comparison_entry(found, "1", "2")
    assert entry["training_data_changed"] is True
    (note,) = entry["notes"]
    assert FLAT in note and note.endswith("cannot be told, and is not assumed: the table is not there any more.")


async def test_a_catalog_that_is_away_costs_no_more_than_it_has_to(
    services: Services, sales: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    await registered(services, (SALES, sales.first), metrics=(Metric(name="auc", value=0.85),))
    await registered(services, (SALES, sales.first), metrics=(Metric(name="auc", value=0.92),))
    await registered(services, (SALES, sales.second))

    async def away(*_: object) -> None:
        raise BackendUnavailableError("catalog", "it is away")

    monkeypatch.setattr(Lake, "load", away)

    same = await services.comparing_models.compare("churn", "1", "2")
    other = await services.comparing_models.compare("churn", "1", "3")

    assert (same.training.is_changed, same.training.unreadable) == (False, {})
    assert str(same.diff.metrics[0].delta) == "0.07"
    assert other.training.is_changed
    assert "it is away" in model_comparison_entry(other, "1", "3")["notes"][0]


async def test_a_renamed_table_is_the_same_one(
    services: Services, catalog: Catalog, compacted: tuple[int, int, int]
) -> None:
    _, second, third = compacted
    await registered(services, (FLAT, second))
    catalog.rename_table(FLAT, "silver.flatter")
    await registered(services, ("silver.flatter", third))

    found = await services.comparing_models.compare("churn", "1", "2")

    (delta,) = found.training.deltas
    assert (str(delta.dataset), delta.before, delta.after, delta.is_changed) == ("silver.flatter", second, third, False)


async def test_several_snapshots_and_roles(services: Services, sales: Orders, customers: Orders) -> None:
    await services.registration.register(
        churn(), [trained_on(SALES, sales.first), trained_on(SALES, sales.second)], by_ada()
    )
    await services.registration.register(
        churn(),
        [
            trained_on(SALES, sales.third),
            trained_on(SALES, sales.second),
            trained_on(CUSTOMERS, customers.first, InputRole.TEST),
        ],
        by_ada(),
    )

    found = await services.comparing_models.compare("churn", "1", "2")

    assert {
        (str(delta.dataset), delta.role, delta.before, delta.after, delta.is_changed) for delta in found.training.deltas
    } == {
        (CUSTOMERS, InputRole.TEST, None, customers.first, True),
        (SALES, InputRole.TRAINING, sales.first, sales.third, True),
        (SALES, InputRole.TRAINING, sales.second, sales.second, False),
    }


async def test_comparing_costs_four_statements_and_the_tables_that_decide(
    services: Services, sales: Orders, customers: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    for snapshot_id in (sales.first, sales.second):
        await registered(services, (SALES, snapshot_id), (CUSTOMERS, customers.first))
    dag = {"tasks": [{"id": "a"}], "edges": []}
    for code in ("1", "2"):
        await services.pipelines.register(NewPipelineVersion(pipeline_id="p", dag=dag, code=code), by_ada())
    await services.comparing_models.compare("churn", "1", "2")  # the table's name is noted once
    statements: list[str] = []
    loads: list[str] = []
    execute, load = asyncpg.Connection._execute, Lake.load

    async def counting(self: Any, query: str, *args: Any, **kwargs: Any) -> Any:
        statements.append(query)
        return await execute(self, query, *args, **kwargs)

    async def loading(self: Lake, name: Any) -> Any:
        loads.append(str(name))
        return await load(self, name)

    monkeypatch.setattr(asyncpg.Connection, "_execute", counting)
    monkeypatch.setattr(Lake, "load", loading)

    await services.comparing_models.compare("churn", "1", "2")
    of_model = len(statements)
    await services.comparing_pipelines.compare("p", "1", "2")

    assert loads == [SALES]
    assert (of_model, len(statements) - of_model) == (4, 4), statements


async def test_what_is_not_there_is_told(services: Services, sales: Orders) -> None:
    await registered(services)
    with pytest.raises(ModelNotFoundError) as model:
        await services.comparing_models.compare("chrun", "1", "2")
    with pytest.raises(VersionNotFoundError):
        await services.comparing_models.compare("churn", "1", "2")
    with pytest.raises(PipelineNotFoundError):
        await services.comparing_pipelines.compare("nope", "1", "2")
    assert model.value.fields["suggestions"] == ["churn"]
