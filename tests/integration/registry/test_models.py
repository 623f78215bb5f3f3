"""Model versions: numbered, recorded, kept reproducible for as long as they are in use."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest

from app.bootstrap import Services
from app.domain.changes import ChangeKind, ModelSubject
from app.domain.lineage import Direction, Walk
from app.domain.models import Metric
from app.domain.names import DatasetName
from app.domain.numbered import NumberSelector
from app.domain.pages import PageRequest
from app.domain.roles import InputRole
from app.errors import (
    DatasetNotFoundError,
    IdempotencyKeyReusedError,
    InvalidArgumentError,
    InvalidNameError,
    MetadataNotWrittenError,
    ModelNotFoundError,
    ProtectedTagError,
    SnapshotExpiredError,
    VersionNotFoundError,
)
from app.services.model_registration import TrainingInput
from app.services.runs import RunReport, RunStatus, UsedVersion
from app.settings import Settings
from tests.full_disk import full_disk
from tests.integration.races.table import change_rows
from tests.integration.registry.lake import CUSTOMERS, SALES, by_ada, churn, drain, refs_of, trained_on
from tests.lake_tables import Orders

pytestmark = pytest.mark.anyio

RUN = UUID("22222222-2222-4222-8222-222222222222")


async def test_a_version_is_recorded_with_what_it_was_trained_on(
    services: Services, sales: Orders, customers: Orders
) -> None:
    training = [
        trained_on(SALES, sales.second),
        trained_on(CUSTOMERS, customers.third, InputRole.VALIDATION),
    ]

    done = await services.registration.register(churn(description="Who leaves?"), training, by_ada())

    version = done.version
    assert (version.model, version.number, version.label, version.created_by.subject) == ("churn", 1, "v1", "ada")
    assert [(str(use.dataset), use.snapshot_id, use.role.value) for use in version.training_data] == [
        (SALES, sales.second, "TRAINING"),
        (CUSTOMERS, customers.third, "VALIDATION"),
    ]
    assert version.metrics == (Metric(name="auc", value=0.85), Metric(name="rmse", value=1.5))
    assert version.parameters == {"depth": 3}
    assert await services.models.get_version("churn", None) == version
    assert (await services.models.get("churn")).description == "Who leaves?"
    assert await services.models.is_reproducible(version) is True
    # and each snapshot is kept by a protected tag, which says why
    assert (await refs_of(services, SALES))["model_training_churn_v1"] == sales.second
    assert (await refs_of(services, CUSTOMERS))["model_training_churn_v1"] == customers.third
    with pytest.raises(ProtectedTagError):
        await services.versioning.delete_tag(DatasetName.parse(SALES), "model_training_churn_v1", by_ada())
    # and it is on record
    page = await services.datasets.changes_page(PageRequest(first=10), kind=ChangeKind.MODEL_REGISTERED)
    assert [(change.subject, change.reason, change.details["number"]) for change in page.items] == [
        (ModelSubject(name="churn"), "as agreed", 1)
    ]


async def test_lineage_leads_from_a_model_to_its_data_and_back(
    services: Services, sales: Orders, customers: Orders
) -> None:
    await services.registration.register(churn(), [trained_on(SALES, sales.second)], by_ada())
    await drain(services)

    root = services.lineage.model_root("churn", 1)
    up = await services.lineage.walk(root, Walk(root=root.vertex_id, direction=Direction.UPSTREAM))
    table = await services.datasets.load(DatasetName.parse(SALES))
    snapshot = services.lineage.snapshot_root(table, sales.second)
    down = await services.lineage.walk(snapshot, Walk(root=snapshot.vertex_id, direction=Direction.DOWNSTREAM))

    assert [(edge.kind.value, edge.from_id, edge.to_id) for edge in up.graph.edges] == [
        ("TRAINED_ON", root.vertex_id, snapshot.vertex_id)
    ]
    assert [node.vertex.vertex_id for node in down.graph.nodes] == [snapshot.vertex_id, root.vertex_id]
    assert (await services.upkeep.check()).is_same


async def test_several_snapshots_of_one_table_have_pins_of_their_own(services: Services, sales: Orders) -> None:
    training = [
        trained_on(SALES, sales.first),
        trained_on(SALES, sales.second, InputRole.VALIDATION),
        trained_on(SALES, sales.third, InputRole.VALIDATION),
        trained_on(SALES, sales.first, InputRole.TEST),
    ]

    done = await services.registration.register(churn(), training, by_ada())

    assert len(done.version.training_data) == 4
    assert await refs_of(services, SALES) == {
        "production_2026_02_15": sales.first,
        "model_training_churn_v1": sales.first,
        "model_training_churn_v1_validation": sales.second,
        "model_training_churn_v1_validation_2": sales.third,
    }


async def test_archiving_releases_the_pins_and_keeps_the_record(services: Services, sales: Orders) -> None:
    await services.registration.register(churn(), [trained_on(SALES, sales.second)], by_ada())
    await services.registration.register(churn(), [trained_on(SALES, sales.third)], by_ada())

    done = await services.registration.archive("churn", 1, by_ada("no longer served"))

    assert done.version.is_archived and not done.is_unchanged
    assert done.version.training_data[0].snapshot_id == sales.second
    assert await refs_of(services, SALES) == {
        "production_2026_02_15": sales.first,
        "model_training_churn_v2": sales.third,
    }
    assert await services.models.list_pins(done.version) == []
    again = await services.registration.archive("churn", 1, by_ada("no longer served"))
    assert again.is_unchanged and again.version == done.version


async def test_a_pin_for_which_there_is_no_room_fails_the_registration_at_once(
    services: Services, settings: Settings, sales: Orders
) -> None:
    refs = await refs_of(services, SALES)

    with full_disk(), pytest.raises(MetadataNotWrittenError) as caught:
        await services.registration.register(churn(), [trained_on(SALES, sales.second)], by_ada(key="k"))

    # Then it is known that nothing was done, and recorded, and the same key may be used again
    recorded = {row["kind"]: row["state"] for row in await change_rows(settings.database_url or "")}
    assert recorded["MODEL_REGISTERED"] == "FAILED"
    assert caught.value.place == ("trainingData", "0")
    assert await refs_of(services, SALES) == refs
    done = await services.registration.register(churn(), [trained_on(SALES, sales.second)], by_ada(key="k"))
    assert (await refs_of(services, SALES))["model_training_churn_v1"] == sales.second
    assert done.version.number == 1


async def test_a_tag_of_somebody_else_is_adopted_and_left_to_them(services: Services, sales: Orders) -> None:
    name = DatasetName.parse(SALES)
    await services.versioning.create_tag(name, "model_training_churn_v1", str(sales.second), by_ada("by hand"))
    await services.versioning.create_tag(name, "model_training_churn_v2", str(sales.first), by_ada("by hand"))

    await services.registration.register(churn(), [trained_on(SALES, sales.second)], by_ada())
    await services.registration.register(churn(), [trained_on(SALES, sales.third)], by_ada())

    assert await refs_of(services, SALES) == {
        "production_2026_02_15": sales.first,
        "model_training_churn_v1": sales.second,
        "model_training_churn_v2": sales.first,
        "model_training_churn_v2_training": sales.third,
    }
    await services.registration.archive("churn", 1, by_ada())
    await services.registration.archive("churn", 2, by_ada())
    assert await refs_of(services, SALES) == {
        "production_2026_02_15": sales.first,
        "model_training_churn_v1": sales.second,
        "model_training_churn_v2": sales.first,
    }


async def test_a_lost_pin_is_set_again(services: Services, sales: Orders) -> None:
    await services.registration.register(churn(), [trained_on(SALES, sales.second)], by_ada())
    await services.versioning.delete_tag(DatasetName.parse(SALES), "model_training_churn_v1", by_ada(), force=True)

    restored = await services.pinning.restore()

    assert [(pin.tag, pin.snapshot_id) for pin in restored] == [("model_training_churn_v1", sales.second)]
    assert (await refs_of(services, SALES))["model_training_churn_v1"] == sales.second
    assert await services.pinning.restore() == []
    # and a worker does so by itself
    await services.versioning.delete_tag(DatasetName.parse(SALES), "model_training_churn_v1", by_ada(), force=True)
    await services.model_upkeep.settle()
    assert (await refs_of(services, SALES))["model_training_churn_v1"] == sales.second


async def test_concurrent_registrations_get_numbers_of_their_own(services: Services, sales: Orders) -> None:
    done = await asyncio.gather(
        *(services.registration.register(churn(), [trained_on(SALES, sales.second)], by_ada()) for _ in range(6))
    )

    assert sorted(each.version.number for each in done) == [1, 2, 3, 4, 5, 6]
    assert {f"model_training_churn_v{n}" for n in range(1, 7)} <= (await refs_of(services, SALES)).keys()


async def test_many_models_at_once_do_not_wait_for_each_others_locks(services: Services, sales: Orders) -> None:
    done = await asyncio.gather(
        *(
            services.registration.register(churn(model=f"m{n}"), [trained_on(SALES, sales.second)], by_ada())
            for n in range(12)
        )
    )

    assert [each.version.number for each in done] == [1] * 12


async def test_a_key_answers_the_same_and_nothing_else(services: Services, sales: Orders) -> None:
    training = [trained_on(SALES, sales.second)]
    first = await services.registration.register(churn(), training, by_ada(key="k1"))

    assert await services.registration.register(churn(), training, by_ada(key="k1")) == first
    with pytest.raises(IdempotencyKeyReusedError):
        await services.registration.register(churn(framework="other"), training, by_ada(key="k1"))
    with pytest.raises(IdempotencyKeyReusedError):
        await services.versioning.create_tag(DatasetName.parse(SALES), "x", None, by_ada(key="k1"))
    archived = await services.registration.archive("churn", 1, by_ada(key="k2"))
    assert (await services.registration.archive("churn", 1, by_ada(key="k2"))).version == archived.version
    await services.versioning.create_tag(DatasetName.parse(SALES), "y1", None, by_ada(key="k3"))
    with pytest.raises(IdempotencyKeyReusedError):
        await services.registration.register(churn(), training, by_ada(key="k3"))
    assert (await services.models.page_versions("churn", PageRequest(first=10))).total == 1


async def test_what_is_wrong_is_refused_and_leaves_nothing(services: Services, sales: Orders) -> None:
    good = trained_on(SALES, sales.second)
    register = services.registration.register
    with pytest.raises(VersionNotFoundError):
        await register(churn(), [trained_on(SALES, 12345)], by_ada())
    with pytest.raises(DatasetNotFoundError):
        await register(churn(), [trained_on("silver.sale", 12345)], by_ada())
    with pytest.raises(InvalidArgumentError, match="twice as TRAINING"):
        await register(churn(), [good, good], by_ada())
    with pytest.raises(InvalidArgumentError, match="no number"):
        await register(churn(metrics=(Metric(name="auc", value=float("nan")),)), [good], by_ada())
    with pytest.raises(InvalidArgumentError, match="'auc' is given twice"):
        await register(churn(metrics=(Metric(name="auc", value=1.0), Metric(name="auc", value=2.0))), [good], by_ada())
    for bad in ("", " churn", "a/b", "a:b", "a\x00b", "x" * 201, "\ud800"):
        with pytest.raises(InvalidNameError):
            await register(churn(model=bad), [good], by_ada())
    with pytest.raises(ModelNotFoundError):
        await services.models.get("churn")
    assert await refs_of(services, SALES) == {"production_2026_02_15": sales.first}

    await register(churn(), [good], by_ada())
    with pytest.raises(ModelNotFoundError, match="Did you mean 'churn'"):
        await services.models.get_version("chrun", None)
    with pytest.raises(VersionNotFoundError, match="latest is 1"):
        await services.models.get_version("churn", "2")
    with pytest.raises(VersionNotFoundError):
        await services.registration.archive("churn", 7, by_ada())


async def test_a_model_is_not_reproducible_once_a_snapshot_is_gone(services: Services, sales: Orders, catalog) -> None:
    done = await services.registration.register(churn(), [trained_on(SALES, sales.second)], by_ada())
    # when another engine drops the tag, and expires what it kept
    table = catalog.load_table(SALES)
    table.manage_snapshots().remove_tag("model_training_churn_v1").commit()
    catalog.load_table(SALES).manage_snapshots().remove_branch("dev").commit()
    catalog.load_table(SALES).maintenance.expire_snapshots().by_id(sales.second).commit()

    assert await services.models.is_reproducible(done.version) is False
    assert await services.pinning.restore() == []
    with pytest.raises(SnapshotExpiredError):
        await services.registration.register(churn(), [trained_on(SALES, sales.second)], by_ada())


async def test_a_run_that_made_a_model_is_in_its_lineage(services: Services, sales: Orders) -> None:
    # given a run that is told before, and after, the model
    report = RunReport(
        run_id=RUN,
        pipeline_id="train",
        status=RunStatus.SUCCESS,
        started_at=datetime(2026, 2, 15, 10, tzinfo=UTC),
        ended_at=datetime(2026, 2, 15, 11, tzinfo=UTC),
        inputs=[UsedVersion(dataset=DatasetName.parse(SALES), at=str(sales.second), role=InputRole.TRAINING)],
    )
    await services.runs.record(report, by_ada())
    await drain(services)
    await services.registration.register(churn(run_id=RUN), [trained_on(SALES, sales.second)], by_ada())
    await drain(services)

    root = services.lineage.model_root("churn", 1)
    found = await services.lineage.walk(root, Walk(root=root.vertex_id, direction=Direction.UPSTREAM))

    assert {edge.kind.value for edge in found.graph.edges} >= {"TRAINED_ON", "GENERATED_BY"}
    assert (await services.upkeep.check()).is_same


async def test_training_data_is_named_as_any_version_is(services: Services, sales: Orders) -> None:
    name = DatasetName.parse(SALES)
    training = [
        TrainingInput(dataset=name, at="production_2026_02_15"),
        TrainingInput(dataset=name, at="main~1", role=InputRole.TEST),
        TrainingInput(dataset=name, at=None, role=InputRole.VALIDATION),
    ]

    done = await services.registration.register(churn(), training, by_ada())

    assert [use.snapshot_id for use in done.version.training_data] == [sales.first, sales.second, sales.third]
    assert await services.models.resolve("churn", NumberSelector(ref="latest")) == 1


async def test_a_run_may_read_two_versions_of_a_table_for_two_reasons(services: Services, sales: Orders) -> None:
    name = DatasetName.parse(SALES)
    report = RunReport(
        run_id=RUN,
        pipeline_id="train",
        status=RunStatus.SUCCESS,
        started_at=datetime(2026, 2, 15, 10, tzinfo=UTC),
        ended_at=datetime(2026, 2, 15, 11, tzinfo=UTC),
        inputs=[
            UsedVersion(dataset=name, at=str(sales.first)),
            UsedVersion(dataset=name, at=str(sales.second), role=InputRole.TEST),
            UsedVersion(dataset=name, at=str(sales.third), role=InputRole.TRAINING),
        ],
    )

    run = await services.runs.record(report, by_ada())

    assert {use.vertex.version: use.role for use in run.inputs} == {
        str(sales.first): InputRole.INPUT,
        str(sales.second): InputRole.TEST,
        str(sales.third): InputRole.TRAINING,
    }
