"""What goes wrong only together: pins that cannot go, artifacts that are shared, reports that contradict each other."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from app.bootstrap import Services
from app.domain.names import DatasetName
from app.domain.pages import PageRequest
from app.domain.run_projection import MAX_PAIRS
from app.domain.run_state import RunStatus
from app.errors import InvalidArgumentError, UnsupportedTableError
from app.services.pipelines import NewPipelineVersion
from app.services.runs import RunReport
from tests.integration.lineage.events import body, run_event
from tests.integration.registry.lake import CUSTOMERS, SALES, by_ada, churn, drain, refs_of, trained_on
from tests.lake_tables import Orders

pytestmark = pytest.mark.anyio

RUN = UUID("55555555-5555-4555-8555-555555555555")
DAG = {"tasks": [{"id": "a"}], "edges": []}
TEN = datetime(2026, 2, 15, 10, tzinfo=UTC)


async def test_a_pin_that_cannot_go_blocks_nothing(
    services: Services, sales: Orders, customers: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a model on two tables, of which one cannot be changed any more
    training = [trained_on(SALES, sales.second), trained_on(CUSTOMERS, customers.second)]
    await services.registration.register(churn(), training, by_ada())
    delete_tag = services.versioning.delete_tag

    async def refuse_sales(name: DatasetName, *arguments: object, **named: object) -> object:
        if str(name) == SALES:
            raise UnsupportedTableError(SALES, "format version 3", "this catalog cannot change it")
        return await delete_tag(name, *arguments, **named)

    monkeypatch.setattr(services.pinning._versioning, "delete_tag", refuse_sales)

    # when it is archived, then that is done
    done = await services.registration.archive("churn", 1, by_ada())
    assert done.version.is_archived
    assert "model_training_churn_v1" not in await refs_of(services, CUSTOMERS)
    assert "model_training_churn_v1" in await refs_of(services, SALES)
    # and the model goes on, and so does upkeep
    again = await services.registration.register(churn(), [], by_ada())
    assert again.version.number == 2
    await services.model_upkeep.settle()
    assert len(await services.pinning._pins.list_releasing()) == 1
    # and the pin goes once it can
    monkeypatch.undo()
    await services.model_upkeep.settle()
    assert "model_training_churn_v1" not in await refs_of(services, SALES)


async def test_an_artifact_that_another_version_needs_is_not_moved(services: Services, tmp_path: Path) -> None:
    home = services.settings.home / "artifacts"
    for path in ("run1/model.bin", "run1/m/model.bin"):
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_bytes(b"weights")
    cold = str(home / "cold")
    register, archive = services.registration.register, services.registration.archive
    await register(churn(artifact_uri=str(home / "run1")), [], by_ada())
    await register(churn(artifact_uri=f"file://{home}/run1"), [], by_ada())
    await register(churn(model="other", artifact_uri=str(home / "run1/m")), [], by_ada())

    for model, number in (("churn", 1), ("churn", 2), ("other", 1)):
        with pytest.raises(InvalidArgumentError, match="is in use, and needs"):
            await archive(model, number, by_ada(), cold_storage_uri=cold)
    assert not (await services.models.get_version("churn", "1")).is_archived

    # Once the others are out of use, it may go.
    await archive("churn", 2, by_ada())
    await archive("other", 1, by_ada())
    done = await archive("churn", 1, by_ada(), cold_storage_uri=cold)
    assert done.version.artifact_uri == f"{cold}/churn/v1/run1"


async def test_reports_that_contradict_each_other_are_refused(services: Services) -> None:
    def report(**changes: object) -> RunReport:
        return RunReport(**{"run_id": RUN, "pipeline_id": "p", "status": RunStatus.RUNNING, **changes})

    await services.runs.record(report(started_at=TEN), by_ada())
    for changes, argument in (
        ({"status": RunStatus.SUCCESS, "ended_at": TEN - timedelta(hours=1)}, "endedAt"),
        ({"pipeline_id": "q", "started_at": TEN}, "pipelineId"),
    ):
        with pytest.raises(InvalidArgumentError) as caught:
            await services.runs.record(report(**changes), by_ada())
        assert caught.value.fields["argument"] == argument
    await services.runs.record(report(status=RunStatus.SUCCESS, ended_at=TEN + timedelta(hours=1)), by_ada())
    with pytest.raises(InvalidArgumentError):
        await services.runs.record(report(started_at=TEN + timedelta(hours=2)), by_ada())
    run = await services.runs.get(RUN)
    assert (run.status, run.duration_ms) == (RunStatus.SUCCESS, 3_600_000)


async def test_a_run_dated_ahead_gets_the_version_that_comes_after_it(services: Services) -> None:
    ahead = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    await services.ingesting.ingest(body(run_event("COMPLETE", RUN, ahead)))
    await drain(services)
    await services.pipelines.register(NewPipelineVersion(pipeline_id="tests/refresh", dag=DAG), by_ada())
    await drain(services)

    assert (await services.runs.get(RUN)).version_number == 1
    assert (await services.upkeep.check()).is_same


async def test_an_old_request_repeated_renames_nothing(services: Services) -> None:
    def named(name: str) -> NewPipelineVersion:
        return NewPipelineVersion(pipeline_id="p", dag=DAG, name=name)

    first = await services.pipelines.register(named("A"), by_ada(key="k1"))
    renamed = await services.pipelines.register(named("B"), by_ada(key="k2"))
    again = await services.pipelines.register(named("A"), by_ada(key="k1"))

    assert again == first
    assert (await services.pipelines.get("p")).name == "B"
    # A new name without a new version is on record too.
    assert renamed.is_unchanged and renamed.change_id is not None
    page = await services.datasets.changes_page(PageRequest(first=5))
    assert [change.details["renamed"] for change in page.items] == [True, True]


async def test_one_promotion_told_by_many_at_once_is_one(services: Services, sales: Orders, customers: Orders) -> None:
    source, target = DatasetName.parse(SALES), DatasetName.parse(CUSTOMERS)

    done = await asyncio.gather(
        *(
            services.promoting.record(source, str(sales.first), target, str(customers.second), by_ada())
            for _ in range(15)
        )
    )

    assert sorted(each.is_unchanged for each in done) == [False] + [True] * 14
    assert (await services.datasets.changes_page(PageRequest(first=5))).total == 1


@pytest.mark.parametrize("count", [300, pytest.param(5_000, marks=pytest.mark.long)])
async def test_a_hub_of_a_run_is_joined_by_what_is_told_of_columns(services: Services, count: int) -> None:
    assert count**2 > MAX_PAIRS
    many = [{"namespace": "kafka", "name": f"in{n}"} for n in range(count)]
    made = [{"namespace": "kafka", "name": f"out{n}"} for n in range(count)]
    made[7]["facets"] = {
        "columnLineage": {"fields": {"x": {"inputFields": [{"namespace": "kafka", "name": "in3", "field": "y"}]}}}
    }

    done = await services.ingesting.ingest(body(run_event("COMPLETE", RUN, "2026-02-15T10:00:00Z", many, made)))
    await drain(services)

    assert any("too many to join" in warning.warning.message for warning in done.warnings)
    edges, _ = await services.lineage._store.edges_of(f"run:{RUN}")
    kinds = [edge.kind.value for edge in edges]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "CONSUMES": count,
        "PRODUCES": count,
        "GENERATED_BY": count,
        "DERIVED_FROM": 1,
    }
    assert (await services.upkeep.check()).is_same
