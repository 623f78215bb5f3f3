"""Compaction over GraphQL: what it would do and why, running it, and what is refused."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog

from app.domain.names import DatasetName
from app.lake.store import Lake
from tests.graphql.api import Api
from tests.graphql.registry import ERRORS
from tests.integration.compaction.tables import NAME, ROWS, create, ids_of
from tests.integration.equality_deletes import commit_equality_delete
from tests.integration.format_v3 import upgrade_to_v3
from tests.lake_tables import ORDERS, create_broken, create_empty, create_orders

pytestmark = pytest.mark.anyio

COUNTS = """needsCompaction verdict reason totalFiles totalBytes averageFileBytes smallFiles deleteFiles
    filesWithDeletes estimatedFilesAfter bins bytesToRewrite requestsSaved"""
PLAN = f"""query($ns: String = "bronze", $name: String = "events", $policy: CompactionPolicyInput) {{
  dataset(namespace: $ns, name: $name) {{ id compaction(policy: $policy) {{ {COUNTS} explanation dataset {{ id name }}
    plannedBins {{ partition files filesAfter bytes }} plannedBinsTruncated
    policy {{ targetFileSizeMb minFileSizeMb maxConcurrentFiles rewriteAll }} }} }} }}"""
RUN = f"""mutation($input: RunCompactionInput!) {{ runCompaction(input: $input) {{
  operation {{ id operationId kind status request reason }} {ERRORS} }} }}"""
OPERATION = "query($id: ID!) { operation(id: $id) { status result error errorCode } }"
EVENTS = {"namespace": "bronze", "name": "events"}


async def run(api: Api, **given: Any) -> Any:
    """The operation that was started and has ended."""
    payload = (await api.data(RUN, input=given))["runCompaction"]
    assert payload["userErrors"] == []
    assert (payload["operation"]["kind"], payload["operation"]["status"]) == ("COMPACTION", "QUEUED")
    assert await api.services.operation_runner.run_next(asyncio.Event())
    return (await api.data(OPERATION, id=payload["operation"]["id"]))["operation"]


async def test_a_plan_tells_whether_it_is_needed_and_what_would_change(api: Api, catalog: Catalog) -> None:
    table = create(catalog, parts=2)
    sizes = table.inspect.files()["file_size_in_bytes"].to_pylist()

    dataset = (await api.data(PLAN))["dataset"]

    found = dataset["compaction"]
    assert {name: found[name] for name in COUNTS.split()} == {
        "needsCompaction": True,
        "verdict": "NEEDED",
        "reason": "24 files are smaller than 10 MB",
        "totalFiles": "24",
        "totalBytes": str(sum(sizes)),
        "averageFileBytes": str(sum(sizes) // 24),
        "smallFiles": "24",
        "deleteFiles": "0",
        "filesWithDeletes": "0",
        "estimatedFilesAfter": "2",
        "bins": 2,
        "bytesToRewrite": str(sum(sizes)),
        "requestsSaved": "44",
    }
    assert found["policy"] == {
        "targetFileSizeMb": 512,
        "minFileSizeMb": 10,
        "maxConcurrentFiles": 100,
        "rewriteAll": False,
    }
    assert [(each["partition"], each["files"], each["filesAfter"]) for each in found["plannedBins"]] == [
        ("part=0", 12, 1),
        ("part=1", 12, 1),
    ]
    assert sum(int(each["bytes"]) for each in found["plannedBins"]) == sum(sizes)
    assert found["plannedBinsTruncated"] is False
    assert found["dataset"] == {"id": dataset["id"], "name": "events"}
    assert found["explanation"][1].startswith("Compaction would help: 24 files are smaller than 10 MB.")
    assert catalog.load_table(str(NAME)).metadata_location == table.metadata_location


async def test_a_plan_is_by_the_policy_that_is_asked_for(api: Api, catalog: Catalog) -> None:
    create(catalog, files=4)
    policy = {"targetFileSizeMb": 2, "minFileSizeMb": 1, "maxConcurrentFiles": 2, "rewriteAll": True}

    found = (await api.data(PLAN, policy=policy))["dataset"]["compaction"]

    assert found["policy"] == policy
    assert (found["bins"], found["estimatedFilesAfter"]) == (2, "2")


@pytest.mark.parametrize(
    ("case", "files", "parts", "verdict", "reason"),
    [
        ("no file", 0, 1, "EMPTY", "it has no files"),
        ("one file", 1, 1, "FINE", "it has one file"),
        ("a file a partition", 1, 12, "IN_VAIN", "12 files are smaller than 10 MB, but they are spread over"),
    ],
)
async def test_where_nothing_is_to_be_done_a_plan_says_why(
    api: Api, catalog: Catalog, case: str, files: int, parts: int, verdict: str, reason: str
) -> None:
    create(catalog, files=files, parts=parts)
    found = (await api.data(PLAN))["dataset"]["compaction"]
    assert (found["verdict"], found["needsCompaction"], found["bins"]) == (verdict, False, 0), case
    assert found["reason"].startswith(reason)
    assert found["totalFiles"] == found["estimatedFilesAfter"] == str(files * parts)

    ended = await run(api, dataset=EVENTS, dryRun=False)
    (told,) = ended["result"]["tables"]
    assert (told["snapshot_id"], told["run_id"], told["error"], told["skipped"]) == (None, None, None, None)
    assert told["plan"]["reason"] == found["reason"]


async def test_each_dataset_is_planned_once_a_policy(
    api: Api, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(catalog, files=2)
    asked: Counter[str] = Counter()
    real = Lake.plan_compaction

    async def counting(self: Lake, name: DatasetName, policy: Any, known: Any = None) -> Any:
        asked[str(name)] += 1
        return await real(self, name, policy, known)

    monkeypatch.setattr(Lake, "plan_compaction", counting)
    other = "compaction(policy: {targetFileSizeMb: 64}) { bins }"
    await api.data(
        f"""{{ datasets {{ nodes {{ a: compaction {{ bins }} b: compaction {{ reason }} c: {other} }} }}
               dataset(namespace: "bronze", name: "events") {{ compaction {{ verdict }} }} }}"""
    )
    assert asked == {"bronze.events": 2}


async def test_plans_are_made_up_to_a_limit(api: Api, catalog: Catalog) -> None:
    create(catalog, files=2)
    aliases = " ".join(f"a{n}: compaction(policy: {{targetFileSizeMb: {n + 10}}}) {{ bins }}" for n in range(22))
    answer = await api.run(f'{{ dataset(namespace: "bronze", name: "events") {{ {aliases} }} }}')
    assert answer.codes == ["TOO_MANY_COMPACTION_PLANS"] * 2
    found = list(answer.data["dataset"].values())
    assert (found.count({"bins": 1}), found.count(None)) == (20, 2)


async def test_a_table_that_took_the_name_meanwhile_is_not_planned_for(
    api: Api, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(catalog, files=2)
    real = Lake.plan_compaction

    async def late(self: Lake, name: DatasetName, policy: Any, known: Any = None) -> Any:
        catalog.drop_table(str(name))
        create(catalog, files=3)
        return await real(self, name, policy, known)

    monkeypatch.setattr(Lake, "plan_compaction", late)
    answer = await api.run(PLAN)
    assert (answer.codes, answer.data["dataset"]["compaction"]) == (["DATASET_NOT_FOUND"], None)


async def test_what_cannot_be_planned_costs_its_own_plan_alone(api: Api, catalog: Catalog) -> None:
    # Given a table that can be compacted, and four that cannot: by its format, by deletes by value, unreadable, empty
    create(catalog)
    upgrade_to_v3(catalog, create(catalog, DatasetName(namespace="bronze", name="three"), files=2))
    create_orders(catalog)
    rows = pa.table({"id": pa.array([2], pa.int64())}, schema=pa.schema([pa.field("id", pa.int64(), nullable=False)]))
    commit_equality_delete(catalog, catalog.load_table(ORDERS), rows)
    create_broken(catalog)
    create_empty(catalog)

    answer = await api.run("{ datasets { nodes { name compaction { verdict } } } }")

    found = {node["name"]: node["compaction"] for node in answer.data["datasets"]["nodes"]}
    assert found == {
        "broken": None,
        "empty": {"verdict": "EMPTY"},
        "events": {"verdict": "NEEDED"},
        "orders": None,
        "three": None,
    }
    assert sorted(answer.codes) == ["UNREADABLE_TABLE", "UNSUPPORTED_TABLE", "UNSUPPORTED_TABLE"]
    features = {error["extensions"]["fields"].get("feature") for error in answer.errors}
    assert features == {None, "format version 3", "equality deletes"}
    # And an operation of one of them fails as its plan does, and of all tells it with the table
    ended = await run(api, dataset={"namespace": "bronze", "name": "three"}, dryRun=False)
    assert (ended["status"], ended["errorCode"]) == ("FAILED", "UNSUPPORTED_TABLE")
    ended = await run(api, all=True, dryRun=False)
    told = {table["table"]: (table["error"] or {}).get("code") for table in ended["result"]["tables"]}
    assert told == {
        "broken": "UNREADABLE_TABLE",
        "empty": None,
        "events": None,
        "orders": "UNSUPPORTED_TABLE",
        "three": "UNSUPPORTED_TABLE",
    }


async def test_a_dry_run_is_the_default_and_changes_nothing(api: Api, catalog: Catalog) -> None:
    table = create(catalog)

    ended = await run(api, dataset=EVENTS, reason="to see")

    (told,) = ended["result"]["tables"]
    assert (told["dry_run"], told["files_before"], told["files_after"], told["error"]) == (True, 12, 1, None)
    assert (told["snapshot_id"], told["bins"]) == (None, [])
    assert [(each["partition"], each["files"]) for each in told["planned_bins"]] == [("part=0", 12)]
    assert catalog.load_table(str(NAME)).metadata_location == table.metadata_location


async def test_a_run_is_carried_out_and_recorded(api: Api, catalog: Catalog) -> None:
    table = create(catalog)
    base_id = table.metadata.current_snapshot_id

    ended = await run(api, dataset=EVENTS, dryRun=False, reason="reads are slow")

    assert ended["status"] == "SUCCEEDED", ended
    (told,) = ended["result"]["tables"]
    table.refresh()
    assert ids_of(table) == list(range(12 * ROWS))
    assert (told["files_before"], told["files_after"], len(told["bins"])) == (12, 1, 1)
    assert told["snapshot_id"] == str(table.metadata.current_snapshot_id)
    # And it is told of among the changes, and there is nothing left to do
    data = await api.data(
        f"""{{ changes(kind: COMPACTED) {{ nodes {{ ...C }} }} operations {{ nodes {{ operationId }} }}
            dataset(namespace: "bronze", name: "events") {{
              changes {{ nodes {{ ...C }} }} compaction {{ {COUNTS} }} }} }}
           fragment C on Change {{ kind state by {{ subject }} reason details subject {{
             ... on Dataset {{ name }} }} }}"""
    )
    (change,) = data["changes"]["nodes"]
    assert data["dataset"]["changes"]["nodes"] == [change]
    assert change == {
        "kind": "COMPACTED",
        "state": "DONE",
        "by": {"subject": "ada"},
        "reason": "reads are slow",
        "subject": {"name": "events"},
        "details": {
            "engine": "local",
            "snapshotIds": [told["snapshot_id"]],
            "filesBefore": "12",
            "filesAfter": "1",
            "bytesBefore": str(told["bins"][0]["bytes"]),
            "bytesAfter": str(told["bins"][0]["bytes_after"]),
            "operationId": data["operations"]["nodes"][0]["operationId"],
            "baseSnapshotId": str(base_id),
        },
    }
    assert (data["dataset"]["compaction"]["verdict"], data["dataset"]["compaction"]["totalFiles"]) == ("FINE", "1")


async def test_limits_leave_tables_alone_and_say_so(api: Api, catalog: Catalog) -> None:
    create(catalog)
    create(catalog, DatasetName(namespace="platinum", name="kpis"), files=3)

    active = await run(api, namespace="bronze", dryRun=False, skipActive="15m")
    due = await run(api, all=True, dueOnly=True, skipActive="0s")
    timed = await run(api, dataset=EVENTS, budget="1h", dryRun=False)

    (told,) = active["result"]["tables"]
    assert told["skipped"].startswith("it was written to ")
    skipped = {table["table"]: table["skipped"] for table in due["result"]["tables"]}
    assert skipped == {"kpis": "it is compacted on demand alone", "events": None}
    assert timed["result"]["files_after"] == 1


async def test_the_same_key_starts_one_operation(api: Api, catalog: Catalog) -> None:
    create(catalog, files=2)
    given = {"all": True, "idempotencyKey": "once"}
    first = (await api.data(RUN, input=given))["runCompaction"]
    again = (await api.data(RUN, input=given))["runCompaction"]
    assert first == again
    for other in ({"policy": {"targetFileSizeMb": 64}}, {"budget": "1GB"}, {"dryRun": False}):
        error = await api.refused(RUN, input={**given, **other})
        assert (error["errorCode"], error["path"]) == ("IDEMPOTENCY_KEY_REUSED", ["input", "idempotencyKey"])
