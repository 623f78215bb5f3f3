"""`Dataset.diff`: relation, merge base, schema, and the snapshots between with who made them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import EqualTo

from tests.graphql.api import Api
from tests.graphql.registry import record_run, register_pipeline
from tests.lake_tables import BRANCH, ORDERS, TAG, Orders, append_elsewhere, create_empty
from tests.schema_evolutions import AFTER, BEFORE, create_evolving

pytestmark = pytest.mark.anyio

DIFF = """query($from: VersionSelector!, $to: VersionSelector, $toDataset: DatasetRef) {
  dataset(namespace: "sales", name: "orders") { diff(from: $from, to: $to, toDataset: $toDataset) { __typename
    from { snapshotId } to { snapshotId dataset { name } } mergeBase { snapshotId } relation identical commitsComplete
    commits { totalCount nodes { snapshotId } } onlyTo: commits(side: TO) { nodes { snapshotId } }
    onlyFrom: commits(side: FROM) { nodes { snapshotId } } ... on Diff { same: identical how: relation } } } }"""
SCHEMA = """query($from: VersionSelector!, $to: VersionSelector) {
  dataset(namespace: "sales", name: "evolving") { diff(from: $from, to: $to) { schema {
    from { schemaId fields { path } } to { schemaId identifierFields }
    addedColumns removedColumns commonColumns typeChanges { column from to } renamedColumns { fieldId from to }
    changes { fieldId kind path before { path type required } after { path type required doc initialDefault }
      breaking breakingForReaders breakingForWriters }
    identifierFields { before after changed } partitionSpec { before after changed } sortOrder { before after changed }
    breaking breakingReasons breakingForReaders breakingForWriters } } } }"""


async def ask(api: Api, from_: Any, to: Any = None, **more: Any) -> dict[str, Any]:
    data = await api.data(DIFF, **{"from": from_, "to": to, **more})
    found: dict[str, Any] = data["dataset"]["diff"]
    return found


def ids(connection: dict[str, Any]) -> list[int]:
    return [int(node["snapshotId"]) for node in connection["nodes"]]


async def test_an_ancestor_and_what_was_done_since(api: Api, orders: Orders) -> None:
    found = await ask(api, {"tag": TAG})

    assert (found["__typename"], found["relation"]) == ("DatasetDiff", "ANCESTOR")
    assert found["from"] == found["mergeBase"] == {"snapshotId": str(orders.first)}
    assert found["to"]["snapshotId"] == str(orders.third)
    assert ids(found["commits"]) == ids(found["onlyTo"]) == [orders.third, orders.second]
    assert ids(found["onlyFrom"]) == []
    assert (found["commits"]["totalCount"], found["commitsComplete"], found["identical"]) == (2, True, False)
    assert (found["same"], found["how"]) == (False, "ANCESTOR")


async def test_swapped_it_is_a_descendant_and_what_was_undone(api: Api, orders: Orders) -> None:
    found = await ask(api, {"snapshotId": str(orders.third)}, {"snapshotId": str(orders.first)})

    assert (found["relation"], found["mergeBase"]) == ("DESCENDANT", {"snapshotId": str(orders.first)})
    assert ids(found["commits"]) == ids(found["onlyFrom"]) == [orders.third, orders.second]
    assert ids(found["onlyTo"]) == []


async def test_a_version_is_identical_to_itself_while_the_schema_is(api: Api, orders: Orders, catalog: Catalog) -> None:
    same = await ask(api, {"snapshotId": str(orders.third)}, {"branch": "main"})
    with catalog.load_table(ORDERS).update_schema() as update:
        update.delete_column("note")
    changed = await ask(api, {"snapshotId": str(orders.third)}, {"branch": "main"})

    assert (same["relation"], same["identical"], ids(same["commits"])) == ("SAME", True, [])
    assert (changed["relation"], changed["identical"], ids(changed["commits"])) == ("SAME", False, [])


async def test_diverged_branches_have_a_merge_base_and_two_sides(api: Api, orders: Orders, catalog: Catalog) -> None:
    table = catalog.load_table(ORDERS)
    table.delete(EqualTo("id", 1), branch=BRANCH)
    deleted = table.refresh().metadata.refs[BRANCH].snapshot_id

    found = await ask(api, {"branch": BRANCH}, {"ref": "latest"})

    assert (found["relation"], found["mergeBase"]) == ("DIVERGED", {"snapshotId": str(orders.second)})
    assert ids(found["commits"]) == [deleted, orders.third]
    assert (ids(found["onlyFrom"]), ids(found["onlyTo"])) == ([deleted], [orders.third])


async def test_where_history_has_expired_the_relation_is_not_known(api: Api, orders: Orders, catalog: Catalog) -> None:
    append_elsewhere(catalog, 7)
    table = catalog.load_table(ORDERS)
    table.manage_snapshots().remove_branch(BRANCH).commit()
    table = catalog.load_table(ORDERS)
    table.maintenance.expire_snapshots().by_id(orders.second).commit()

    found = await ask(api, {"tag": TAG})

    assert (found["relation"], found["mergeBase"], found["commitsComplete"]) == ("UNKNOWN", None, False)
    assert ids(found["onlyFrom"]) == [orders.first]
    assert orders.second not in ids(found["commits"])


async def test_versions_of_two_datasets_are_unrelated(api: Api, orders: Orders, catalog: Catalog) -> None:
    evolving = create_evolving(catalog)
    other = {"namespace": "sales", "name": "evolving"}

    found = await ask(api, {"tag": TAG}, {"tag": AFTER}, toDataset=other)

    assert found["to"] == {"snapshotId": str(evolving.second), "dataset": {"name": "evolving"}}
    assert (found["relation"], found["mergeBase"], found["identical"]) == ("UNRELATED", None, False)
    assert (found["commits"], found["commitsComplete"]) == ({"totalCount": 0, "nodes": []}, True)


async def test_the_dataset_itself_may_be_named_as_the_other_one(api: Api, orders: Orders) -> None:
    found = await ask(api, {"tag": TAG}, None, toDataset={"namespace": "sales", "name": "orders"})

    assert found["relation"] == "ANCESTOR"


async def test_schemas_are_compared(api: Api, catalog: Catalog) -> None:
    create_evolving(catalog)

    found = (await api.data(SCHEMA, **{"from": {"tag": BEFORE}, "to": {"ref": "latest"}}))["dataset"]["diff"]["schema"]

    assert [field["path"] for field in found["from"]["fields"]][:3] == ["id", "amount", "price"]
    assert found["to"]["identifierFields"] == ["id"]
    assert (found["addedColumns"], found["removedColumns"]) == (["note", "late"], ["fax"])
    assert found["commonColumns"] == ["day", "id", "price", "address", "tags", "sizes", "at", "amount"]
    assert found["typeChanges"] == [
        {"column": "price", "from": "decimal(9, 2)", "to": "decimal(12, 2)"},
        {"column": "amount", "from": "int", "to": "string"},
    ]
    assert found["renamedColumns"] == [{"fieldId": 4, "from": "name", "to": "label"}]
    assert [(change["kind"], change["path"]) for change in found["changes"]] == [
        ("MOVED", "day"),
        ("DOC_CHANGED", "day"),
        ("TYPE_CHANGED", "price"),
        ("RENAMED", "label"),
        ("MADE_OPTIONAL", "at"),
        ("REPLACED", "amount"),
        ("TYPE_CHANGED", "amount"),
        ("ADDED", "note"),
        ("ADDED", "late"),
        ("REMOVED", "fax"),
        ("TYPE_CHANGED", "address.zip"),
        ("ADDED", "address.land"),
        ("TYPE_CHANGED", "tags.element"),
        ("TYPE_CHANGED", "sizes.value"),
    ]
    promoted, made_optional = found["changes"][2], found["changes"][4]
    assert (promoted["breaking"], promoted["breakingForReaders"]) == (False, None)
    assert promoted["before"] == {"path": "price", "type": "decimal(9, 2)", "required": False}
    assert (made_optional["breaking"], made_optional["breakingForReaders"]) == (True, "at may be null now")
    assert made_optional["breakingForWriters"] is None
    assert found["identifierFields"] == {"before": ["id"], "after": ["id"], "changed": False}
    assert found["partitionSpec"] == {"before": None, "after": ["day(at) as at_day", "id"], "changed": None}
    assert found["sortOrder"]["changed"] is None
    assert found["breaking"] is True
    assert "readers: at may be null now" in found["breakingReasons"]
    assert "at may be null now" in found["breakingForReaders"]
    assert "at may be null now" not in found["breakingForWriters"]


WHY = """query($from: VersionSelector!) { dataset(namespace: "sales", name: "orders") { diff(from: $from) {
  commits(first: 100) { totalCount nodes { snapshotId operation summary { addedRecords }
    producedBy { runId status recordedBy { subject } pipeline { pipelineId name }
      version { number gitCommit createdBy { subject } } } } } } } }"""
PAGED = """query($from: VersionSelector!, $after: String) { dataset(namespace: "sales", name: "orders") {
  diff(from: $from) { commits(first: 1, after: $after) { totalCount edges { cursor node { snapshotId } }
    pageInfo { hasNextPage endCursor } } } } }"""
FROM_TAG = {"from": {"tag": TAG}}


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that Postgres is asked for its rows by."""
    asked: list[str] = []
    real = asyncpg.Connection._execute

    async def counting(self: Any, query: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(query)
        return await real(self, query, *args, **kwargs)

    monkeypatch.setattr(asyncpg.Connection, "_execute", counting)
    return asked


async def _produce(api: Api, snapshot_id: int, number: int) -> None:
    """A version of a pipeline of its own, and a run of it that wrote the snapshot."""
    pipeline = f"load{number}"
    await register_pipeline(api, pipeline, gitCommit=f"commit{number}")
    use = {"dataset": {"namespace": "sales", "name": "orders"}, "at": {"snapshotId": str(snapshot_id)}}
    await record_run(api, runId=str(UUID(int=number)), pipelineId=pipeline, versionNumber=1, outputs=[use])


async def test_commits_say_which_run_pipeline_version_and_actor_made_each_in_a_fixed_number_of_statements(
    api: Api, orders: Orders, catalog: Catalog, statements: list[str]
) -> None:
    await _produce(api, orders.second, 2)
    await api.data(WHY, **FROM_TAG)  # the table's name is noted once
    statements.clear()
    few = await api.data(WHY, **FROM_TAG)
    of_few = len(statements)
    added = [append_elsewhere(catalog, number) for number in range(10, 20)]
    for number, snapshot_id in enumerate(added, 10):
        await _produce(api, snapshot_id, number)
    await api.data(WHY, **FROM_TAG)
    statements.clear()

    many = await api.data(WHY, **FROM_TAG)

    def made(data: Any) -> list[tuple[int, str | None]]:
        nodes = data["dataset"]["diff"]["commits"]["nodes"]
        return [(int(n["snapshotId"]), n["producedBy"] and n["producedBy"]["pipeline"]["pipelineId"]) for n in nodes]

    assert made(few) == [(orders.third, None), (orders.second, "load2")]
    assert made(many)[:-2] == [(added[place], f"load{place + 10}") for place in reversed(range(10))]
    assert many["dataset"]["diff"]["commits"]["nodes"][0]["producedBy"] == {
        "runId": str(UUID(int=19)),
        "status": "SUCCESS",
        "recordedBy": {"subject": "ada"},
        "pipeline": {"pipelineId": "load19", "name": "load19"},
        "version": {"number": 1, "gitCommit": "commit19", "createdBy": {"subject": "ada"}},
    }
    assert len(statements) == of_few <= 6, statements


async def test_commits_are_a_connection(api: Api, orders: Orders) -> None:
    first = (await api.data(PAGED, **FROM_TAG))["dataset"]["diff"]["commits"]
    second = (await api.data(PAGED, **FROM_TAG, after=first["pageInfo"]["endCursor"]))["dataset"]["diff"]["commits"]
    wrong = await api.run(PAGED, **FROM_TAG, after="nonsense")

    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (2, True)
    assert [page["edges"][0]["node"]["snapshotId"] for page in (first, second)] == [
        str(orders.third),
        str(orders.second),
    ]
    assert second["pageInfo"]["hasNextPage"] is False
    assert wrong.codes == ["INVALID_PAGE"]


@pytest.mark.parametrize(
    ("case", "variables", "code"),
    [
        ("no field", {"from": {}}, "AMBIGUOUS_REFERENCE"),
        ("two fields", {"from": {"tag": TAG, "branch": "main"}}, "AMBIGUOUS_REFERENCE"),
        ("no field in to", {"from": {"tag": TAG}, "to": {}}, "AMBIGUOUS_REFERENCE"),
        ("a number", {"from": {"number": 1}}, "INVALID_ARGUMENT"),
        ("no node id", {"from": {"id": "x"}}, "INVALID_ARGUMENT"),
        ("unknown tag", {"from": {"tag": "production_2026_02_16"}}, "TAG_NOT_FOUND"),
        ("unknown version in to", {"from": {"tag": TAG}, "to": {"ref": "nope"}}, "VERSION_NOT_FOUND"),
        (
            "unknown second dataset",
            {"from": {"tag": TAG}, "toDataset": {"namespace": "sales", "name": "x"}},
            "DATASET_NOT_FOUND",
        ),
        ("malformed name", {"from": {"tag": TAG}, "toDataset": {"namespace": "", "name": "x"}}, "INVALID_NAME"),
        (
            "tag of the one in the other",
            {"from": {"tag": TAG}, "to": {"tag": TAG}, "toDataset": {"namespace": "sales", "name": "empty"}},
            "TAG_NOT_FOUND",
        ),
        (
            "latest of nothing",
            {"from": {"tag": TAG}, "toDataset": {"namespace": "sales", "name": "empty"}},
            "NO_SNAPSHOT",
        ),
    ],
)
async def test_bad_input_costs_the_diff_alone(
    api: Api, orders: Orders, catalog: Catalog, case: str, variables: dict[str, Any], code: str
) -> None:
    create_empty(catalog)

    answer = await api.run(DIFF, **variables)

    assert answer.codes == [code], case
    assert answer.data["dataset"]["diff"] is None


async def test_an_id_of_another_dataset_is_refused(api: Api, orders: Orders, catalog: Catalog) -> None:
    create_evolving(catalog)
    of_other = (await api.data('{ dataset(namespace: "sales", name: "evolving") { current { id } } }'))["dataset"]

    answer = await api.run(DIFF, **{"from": {"id": of_other["current"]["id"]}})

    assert answer.codes == ["VERSION_NOT_FOUND"]
