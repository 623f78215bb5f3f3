"""Impact as clients of the GraphQL API see it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from app.errors import LineageUnavailableError
from tests.graphql.api import Api
from tests.integration.lineage.events import body, columns, name, of_table, run_event
from tests.lake_tables import ORDERS, Orders, create_orders

pytestmark = pytest.mark.anyio

MADE = "gold.customers"
IMPACT = """fragment I on Impact {
    totalAffected severity completeness { complete reasons }
    datasets { ...A } models { ...A } pipelines { ...A }
}
fragment A on Impacted {
    severity reason node { name versionLabel depth entity { id name } version { label } }
    path { name versionLabel depth }
}"""
OF_DATASET = (
    IMPACT
    + """query($change: ImpactInput) {
    dataset(namespace: "sales", name: "orders") { name impact(change: $change) { ...I } } }"""
)
ROLL_BACK = (
    IMPACT
    + """mutation($to: VersionSelector!, $dry: Boolean!) {
    rollbackDataset(input: {dataset: {namespace: "sales", name: "orders"}, to: $to, reason: "why", dryRun: $dry}) {
        current { snapshotId } undoTag { name } dryRun impact { ...I } userErrors { code path } } }"""
)


@pytest.fixture
async def made(api: Api, catalog: Any, orders: Orders) -> Orders:
    """`gold.customers`, whose third snapshot was made from the third of `sales.orders`, by the column `label`."""
    customers = create_orders(catalog, MADE)
    services = api.services
    read = of_table(await services.datasets.load(name(ORDERS)), orders.third)
    target = await services.datasets.load(name(MADE))
    written = of_table(target, customers.third, columnLineage=columns(read, {"label": ["label"]}))
    await services.ingesting.ingest(
        body(
            run_event("START", UUID(int=1), "2026-02-15T10:00:00Z", [read]),
            run_event("COMPLETE", UUID(int=1), "2026-02-15T10:00:02Z", [], [written]),
        )
    )
    await services.projector.project_pending()
    return customers


async def test_a_dataset_tells_what_a_change_of_it_affects(api: Api, made: Orders) -> None:
    data = await api.data(OF_DATASET)

    impact = data["dataset"]["impact"]
    assert (impact["totalAffected"], impact["severity"]) == (2, "CRITICAL")
    assert impact["completeness"] == {"complete": True, "reasons": []}
    (dataset,) = impact["datasets"]
    assert dataset["node"]["name"] == MADE
    assert dataset["node"]["entity"]["name"] == "customers"
    assert (dataset["node"]["versionLabel"], dataset["node"]["depth"]) == (None, 1)
    assert dataset["reason"] == "gold.customers, a production dataset, is made from sales.orders."
    assert dataset["path"] == [
        {"name": ORDERS, "versionLabel": None, "depth": 0},
        {"name": MADE, "versionLabel": None, "depth": 1},
    ]
    assert [one["node"]["name"] for one in impact["pipelines"]] == ["tests/refresh"]
    assert impact["models"] == []


async def test_columns_and_rollbacks(api: Api, orders: Orders, made: Orders) -> None:
    by_column = await api.data(OF_DATASET, change={"kind": "SCHEMA", "columns": ["price"]})
    assert by_column["dataset"]["impact"]["totalAffected"] == 0
    by_column = await api.data(OF_DATASET, change={"kind": "SCHEMA", "columns": ["label"], "depth": 1})
    assert by_column["dataset"]["impact"]["totalAffected"] == 2
    back = await api.data(OF_DATASET, change={"kind": "ROLLBACK", "rollbackTo": {"ref": "main~1"}})
    (dataset,) = back["dataset"]["impact"]["datasets"]
    assert dataset["node"]["version"] == {"label": str(made.third)}
    assert dataset["path"][0] == {"name": ORDERS, "versionLabel": str(orders.third), "depth": 0}


@pytest.mark.parametrize("dry", [True, False])
async def test_a_rollback_tells_what_it_affects(api: Api, orders: Orders, made: Orders, dry: bool) -> None:
    data = await api.data(ROLL_BACK, to={"ref": "main~1"}, dry=dry)

    payload = data["rollbackDataset"]
    assert payload["userErrors"] == []
    assert payload["dryRun"] is dry
    assert payload["current"] == {"snapshotId": str(orders.second)}
    (dataset,) = payload["impact"]["datasets"]
    assert (dataset["node"]["versionLabel"], dataset["severity"]) == (str(made.third), "CRITICAL")
    assert payload["impact"]["pipelines"][0]["severity"] == "MEDIUM"


async def test_a_refused_rollback_has_no_impact(api: Api, made: Orders) -> None:
    data = await api.data(ROLL_BACK, to={"ref": "latest"}, dry=True)
    assert data["rollbackDataset"]["impact"] is None
    assert [error["code"] for error in data["rollbackDataset"]["userErrors"]] == ["INVALID"]


@pytest.mark.parametrize("dry", [True, False])
async def test_a_graph_that_is_away_costs_the_impact_alone(
    api: Api, orders: Orders, made: Orders, dry: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise LineageUnavailableError("it is away")

    monkeypatch.setattr(type(api.services.lineage._store), "neighbours", away)

    answer = await api.run(ROLL_BACK, to={"ref": "main~1"}, dry=dry)
    assert answer.codes == ["LINEAGE_UNAVAILABLE"]
    assert answer.errors[0]["path"] == ["rollbackDataset", "impact"]
    payload = answer.data["rollbackDataset"]
    assert payload["impact"] is None
    assert payload["current"] == {"snapshotId": str(orders.second)}
    assert payload["undoTag"]["name"].startswith("pre_rollback_")

    answer = await api.run(OF_DATASET)
    assert answer.codes == ["LINEAGE_UNAVAILABLE"]
    assert answer.data == {"dataset": {"name": "orders", "impact": None}}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"columns": ["labl"]}, "UNKNOWN_COLUMN"),
        ({"columns": []}, "INVALID_ARGUMENT"),
        ({"depth": 0}, "INVALID_ARGUMENT"),
        ({"depth": 51}, "INVALID_ARGUMENT"),
        ({"rollbackTo": {"ref": "main~1"}}, "INVALID_ARGUMENT"),
        ({"kind": "ROLLBACK"}, "INVALID_ARGUMENT"),
        ({"kind": "ROLLBACK", "rollbackTo": {}}, "AMBIGUOUS_REFERENCE"),
        ({"kind": "ROLLBACK", "rollbackTo": {"snapshotId": "77"}}, "VERSION_NOT_FOUND"),
        ({"kind": "ROLLBACK", "rollbackTo": {"tag": "nope"}}, "TAG_NOT_FOUND"),
    ],
)
async def test_bad_changes_are_typed(api: Api, orders: Orders, change: dict[str, Any], code: str) -> None:
    answer = await api.run(OF_DATASET, change=change)
    assert answer.codes == [code]
    assert answer.data == {"dataset": {"name": "orders", "impact": None}}


async def test_nothing_reported_is_a_whole_empty_impact(api: Api, orders: Orders) -> None:
    data = await api.data(OF_DATASET, change={"kind": "DELETE"})
    assert data["dataset"]["impact"] == {
        "totalAffected": 0,
        "severity": "NONE",
        "completeness": {"complete": True, "reasons": []},
        "datasets": [],
        "models": [],
        "pipelines": [],
    }
