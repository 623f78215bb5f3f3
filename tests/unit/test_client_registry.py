"""Models, pipelines and runs through the Python API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from app.client import IcebergCatalog
from app.domain.pages import Page, PageRequest
from app.errors import (
    AppError,
    DatasetNotFoundError,
    HeadMovedError,
    IdempotencyKeyReusedError,
    InvalidArgumentError,
    InvalidDagError,
    InvalidNameError,
    InvalidReferenceError,
    LineageRunNotFoundError,
    ModelNotFoundError,
    PipelineNotFoundError,
    ProtectedTagError,
    TagExistsError,
    TagNotFoundError,
    VersionNotFoundError,
)
from app.services.whole_lists import all_entries
from tests.lake_fixtures import own_lake, shared_lake
from tests.lake_tables import ORDERS, SmallLake

__all__ = ["own_lake", "shared_lake"]

RUN = UUID("55555555-5555-4555-8555-555555555555")
DAG: dict[str, Any] = {"tasks": [{"id": "load"}, {"id": "clean"}], "edges": [["load", "clean"]]}


@pytest.fixture
def client(own_lake: SmallLake) -> Iterator[IcebergCatalog]:
    with IcebergCatalog(settings=own_lake.settings, actor="ada") as opened:
        yield opened


@pytest.fixture(scope="module")
def looking(shared_lake: SmallLake) -> Iterator[IcebergCatalog]:
    """For tests that change nothing: one model, one pipeline."""
    with IcebergCatalog(settings=shared_lake.settings) as opened:
        opened.register_model_version("known")
        opened.register_pipeline_version("nightly/known", DAG)
        yield opened


def test_the_card_leads_to_the_very_rows(client: IcebergCatalog, own_lake: SmallLake) -> None:
    # Given a model that was trained on rows, and a table that has changed since
    rows = client.time_travel("sales", "orders", own_lake.orders.second)
    client.register_model_version(
        "churn",
        framework="scikit-learn",
        metrics={"auc": 0.91, "rmse": {"value": 1.2, "higher_is_better": False}},
        training_data=[f"{ORDERS}@main~1", {"dataset": ORDERS, "at": own_lake.orders.first, "role": "test"}],
        parameters={"depth": 3},
    )
    client.rollback_to_snapshot("sales", "orders", own_lake.orders.first)

    # When
    card = client.get_model_card("churn")

    # Then
    namespace, _, table = str(card["training_dataset"]).rpartition(".")
    assert client.time_travel(namespace, table, str(card["training_dataset_version"])).equals(rows)
    assert card["training_datasets"] == [
        {"dataset": ORDERS, "version": str(own_lake.orders.second), "role": "TRAINING"},
        {"dataset": ORDERS, "version": str(own_lake.orders.first), "role": "TEST"},
    ]
    assert (card["model_name"], card["version"], card["metrics"]) == ("churn", 1, {"auc": 0.91, "rmse": 1.2})


def test_versions_are_registered_tagged_and_archived(client: IcebergCatalog) -> None:
    first = client.register_model_version("churn", reason="baseline", description="Who leaves?")
    client.register_model_version("churn", training_data=(ORDERS,))

    assert (first["number"], first["created_by"], first["reason"]) == (1, "ada", "baseline")
    assert "does not say what it was trained on" in first["warnings"][0]
    assert [version["number"] for version in client.list_model_versions("churn")] == [2, 1]
    assert [(model["name"], model["latest"]) for model in client.list_models("ch")] == [("churn", 2)]
    assert client.list_models("x") == []
    tag = client.tag_model_version("churn", "production_2026_02_15", 1, reason="live")
    assert (tag["number"], tag["protected"], tag["warnings"], tag["convention"]) == (1, True, [], "PRODUCTION")
    assert client.get_model_version("churn", "production_2026_02_15")["number"] == 1
    assert client.get_model_version("churn", 1)["tags"] == ["production_2026_02_15"]
    with pytest.raises(TagExistsError):
        client.tag_model_version("churn", "production_2026_02_15")
    with pytest.raises(HeadMovedError):
        client.tag_model_version("churn", "production_2026_02_15", 2, move=True, expected=2)
    with pytest.raises(ProtectedTagError):
        client.untag_model_version("churn", "production_2026_02_15")
    assert client.tag_model_version("churn", "production_2026_02_15", 2, move=True, force=True)["number"] == 2
    assert client.untag_model_version("churn", "production_2026_02_15", force=True) == 2
    archived = client.archive_model_version("churn", 1)
    assert archived["archived_at"] and client.archive_model_version("churn", 1) == archived


def test_pipelines_and_runs(client: IcebergCatalog, own_lake: SmallLake) -> None:
    first = client.register_pipeline_version("nightly/refresh", DAG, code="select 1", name="Refresh")
    same = client.register_pipeline_version("nightly/refresh", DAG, code="select 1")
    run = client.record_pipeline_run(
        RUN,
        "nightly/refresh",
        "success",
        version_number=1,
        started_at=datetime(2026, 2, 15, 10, tzinfo=UTC),
        ended_at="2026-02-15T10:00:02+00:00",
        inputs=[f"{ORDERS}@main~1"],
    )

    assert (first["number"], first["unchanged"], same["unchanged"]) == (1, False, True)
    assert {**same, "unchanged": False} == first
    assert [version["number"] for version in client.list_pipeline_versions("nightly/refresh")] == [1]
    assert client.get_pipeline_version("nightly/refresh")["dag"] == DAG
    assert [pipeline["name"] for pipeline in client.list_pipelines("nightly/")] == ["Refresh"]
    assert (run["status"], run["duration_ms"], run["recorded_by"]) == ("SUCCESS", 2000, "ada")
    assert run["inputs"][0]["version"] == str(own_lake.orders.second)
    assert client.get_run(str(RUN)) == run
    assert client.list_pipeline_runs("nightly/refresh", status="SUCCESS", limit=1) == [run]
    assert client.list_pipeline_runs("nightly/refresh", status="FAILED") == []
    assert client.tag_pipeline_version("nightly/refresh", "stable_1", protected=True)["protected"]
    assert client.untag_pipeline_version("nightly/refresh", "stable_1", expected=1, force=True) == 1


def test_a_promotion_is_recorded_once(client: IcebergCatalog, own_lake: SmallLake) -> None:
    first = client.record_promotion(f"{ORDERS}@main~1", {"dataset": ORDERS}, pipeline_id="promote", reason="checked")

    assert first == {
        "source": ORDERS,
        "source_snapshot_id": str(own_lake.orders.second),
        "target": ORDERS,
        "target_snapshot_id": str(own_lake.orders.third),
        "unchanged": False,
    }
    assert client.record_promotion(f"{ORDERS}@main~1", ORDERS, pipeline_id="promote")["unchanged"]


def test_a_key_answers_the_same_again(client: IcebergCatalog) -> None:
    first = client.register_model_version("churn", metrics={"auc": Decimal("0.5")}, idempotency_key="k")

    assert client.register_model_version("churn", metrics={"auc": 0.5}, idempotency_key="k") == first
    with pytest.raises(IdempotencyKeyReusedError):
        client.register_model_version("churn", idempotency_key="k")


BAD: dict[str, tuple[Any, type[AppError], str]] = {
    "unknown model": (lambda c: c.get_model_card("knwon"), ModelNotFoundError, "known"),
    "versions of none": (lambda c: c.list_model_versions("nope"), ModelNotFoundError, "nope"),
    "unknown version": (lambda c: c.get_model_card("known", 2), VersionNotFoundError, "latest is 1"),
    "unknown tag": (lambda c: c.get_model_version("known", "tag:x"), TagNotFoundError, "x"),
    "version 0": (lambda c: c.get_model_version("known", 0), InvalidReferenceError, "counted from 1"),
    "version 2^70": (lambda c: c.get_model_version("known", 2**70), InvalidReferenceError, "counted"),
    "archive 2": (lambda c: c.archive_model_version("known", 2), VersionNotFoundError, "latest is 1"),
    "unknown pipeline": (lambda c: c.list_pipeline_runs("nightly"), PipelineNotFoundError, "nightly"),
    "unknown run": (lambda c: c.get_run(RUN), LineageRunNotFoundError, str(RUN)),
    "unknown dataset": (
        lambda c: c.register_model_version("m", training_data=["sales.ordres@latest"]),
        DatasetNotFoundError,
        "sales.orders",
    ),
    "no dataset": (lambda c: c.register_model_version("m", training_data=["orders"]), InvalidNameError, "namespace"),
    "id 0": (
        lambda c: c.register_model_version("m", training_data=[{"dataset": ORDERS, "at": 0}]),
        InvalidReferenceError,
        "no snapshot has this id",
    ),
    "cycle": (
        lambda c: c.register_pipeline_version("p", {"tasks": [{"id": "a"}], "edges": [["a", "a"]]}),
        InvalidDagError,
        "/edges/0",
    ),
    "a set in a DAG": (
        lambda c: c.register_pipeline_version("p", {"tasks": [{"id": "a", "x": {1}}]}),
        AppError,
        "set",
    ),
    "expected 0": (
        lambda c: c.tag_model_version("known", "x", move=True, expected=0),
        InvalidArgumentError,
        "counted from 1",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_typed(looking: IcebergCatalog, case: str) -> None:
    call, expected, told = BAD[case]

    with pytest.raises(expected, match=told):
        call(looking)

    assert [model["name"] for model in looking.list_models()] == ["known"]
    assert [pipeline["pipeline_id"] for pipeline in looking.list_pipelines()] == ["nightly/known"]


def record(c: IcebergCatalog, **changes: Any) -> None:
    c.record_pipeline_run(
        **{
            "run_id": RUN,
            "pipeline_id": "nightly/known",
            "status": "SUCCESS",
            "ended_at": "2026-02-15T10:00:00Z",
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("name", lambda c: c.get_model_card(5)),
        ("version", lambda c: c.get_model_card("known", 1.5)),
        ("version", lambda c: c.get_model_card("known", True)),
        ("prefix", lambda c: c.list_models(None)),
        ("metrics", lambda c: c.register_model_version("m", metrics=[0.9])),
        ("metrics", lambda c: c.register_model_version("m", metrics={"auc": "0.9"})),
        ("metrics", lambda c: c.register_model_version("m", metrics={"auc": True})),
        ("metrics", lambda c: c.register_model_version("m", metrics={"auc": float("nan")})),
        ("metrics", lambda c: c.register_model_version("m", metrics={"auc": 10**400})),
        ("metrics", lambda c: c.register_model_version("m", metrics={"auc": {}})),
        ("metrics", lambda c: c.register_model_version("m", metrics={"auc": {"value": 1, "up": True}})),
        ("metrics", lambda c: c.register_model_version("m", metrics={"auc": {"value": 1, "higher_is_better": 1}})),
        ("metrics", lambda c: c.register_model_version("m", metrics={5: 1.0})),
        ("parameters", lambda c: c.register_model_version("m", parameters=[1])),
        ("parameters", lambda c: c.register_model_version("m", parameters={1: 2})),
        ("parameters", lambda c: c.register_model_version("m", parameters={"a": Decimal(1)})),
        ("parameters", lambda c: c.register_model_version("m", parameters={"a": {"b": 2**63}})),
        ("training_data", lambda c: c.register_model_version("m", training_data=ORDERS)),
        ("training_data", lambda c: c.register_model_version("m", training_data=[5])),
        ("training_data", lambda c: c.register_model_version("m", training_data=[{"at": "latest"}])),
        ("training_data", lambda c: c.register_model_version("m", training_data=[{"dataset": ORDERS, "ref": "x"}])),
        ("training_data", lambda c: c.register_model_version("m", training_data=[{"dataset": ORDERS, "role": "x"}])),
        ("training_data", lambda c: c.register_model_version("m", training_data=[{"dataset": ORDERS, "at": 1.5}])),
        ("training_data", lambda c: c.register_model_version("m", training_data=[ORDERS, ORDERS])),
        ("artifact_uri", lambda c: c.register_model_version("m", artifact_uri=" ")),
        ("run_id", lambda c: c.register_model_version("m", run_id="1")),
        ("idempotency_key", lambda c: c.register_model_version("m", idempotency_key="")),
        ("number", lambda c: c.archive_model_version("known", "latest")),
        ("cold_storage_uri", lambda c: c.archive_model_version("known", 1, cold_storage_uri=5)),
        ("force", lambda c: c.tag_model_version("known", "x", force=True)),
        ("force", lambda c: c.tag_model_version("known", "x", force="yes")),
        ("protected", lambda c: c.tag_model_version("known", "x", move=True, protected=True)),
        ("expected", lambda c: c.untag_model_version("known", "x", expected="1")),
        ("git_commit", lambda c: c.register_pipeline_version("p", DAG, git_commit=" ")),
        ("code", lambda c: c.register_pipeline_version("p", DAG, code="\x00")),
        ("limit", lambda c: c.list_pipeline_runs("nightly/known", limit=0)),
        ("status", lambda c: c.list_pipeline_runs("nightly/known", status="ok")),
        ("status", lambda c: record(c, status="ok")),
        ("started_at", lambda c: record(c, started_at="yesterday")),
        ("started_at", lambda c: record(c, started_at=datetime(2026, 2, 15))),  # noqa: DTZ001
        ("ended_at", lambda c: record(c, started_at="2026-02-15T10:00:01Z")),
        ("ended_at", lambda c: record(c, ended_at=5)),
        ("inputs", lambda c: record(c, inputs={"dataset": ORDERS})),
        ("version_number", lambda c: record(c, version_number="1")),
        ("source", lambda c: c.record_promotion(5, ORDERS)),
        ("target_at", lambda c: c.record_promotion(ORDERS, ORDERS)),
    ],
)
def test_an_argument_of_the_wrong_type_is_told_by_its_name(looking: IcebergCatalog, argument: str, call: Any) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        call(looking)

    assert refused.value.fields["argument"] == argument


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("case", "limit", "expected"), [("all", None, 250), ("more than there are", 999, 250), ("some", 130, 130)]
)
async def test_lists_are_read_to_their_end(case: str, limit: int | None, expected: int) -> None:
    numbers = list(range(250))

    async def fetch(request: PageRequest) -> tuple[Page[int], list[int]]:
        start = int(request.after or 0)
        items = numbers[start : start + request.size]
        end = start + len(items)
        cursors = [str(place + 1) for place in range(start, end)]
        page = Page(items=items, cursors=cursors, has_next=end < 250, has_previous=start > 0, total=250)
        return page, items

    assert await all_entries(fetch, limit=limit) == numbers[:expected], case
