"""Retention over GraphQL: what would expire and why, what it frees, running it, and what is known of it afterwards."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from uuid import uuid4

import pytest
from pyiceberg.catalog import Catalog

from app.lake.store import Lake
from app.registry.holds import HoldStore
from app.registry.pins import PinStore
from tests.graphql.api import Api
from tests.graphql.registry import ERRORS
from tests.integration.format_v3 import upgrade_to_v3
from tests.lake_tables import ORDERS, TAG, Orders, append_elsewhere, create_broken, create_orders

pytestmark = pytest.mark.anyio

ALL_THAT_MAY = {"keepLastN": 0, "keepDays": 0}
PLAN = """query($policy: RetentionPolicyInput, $first: Int) { dataset(namespace: "sales", name: "orders") {
  retention(policy: $policy) {
    policy { keepLastN keepDays keepTagged productionKeepDays isProduction isExpiryEnabled }
    totalSnapshots keepCount expireCount removedTags warnings
    keep(first: $first) { snapshot { snapshotId } keep reasons expiresAt explanation }
    expire(first: $first) { snapshot { snapshotId } keep reasons expiresAt explanation } } } }"""
BYTES = """query($policy: RetentionPolicyInput) { dataset(namespace: "sales", name: "orders") {
  retention(policy: $policy) { bytesTotal bytesFreed pinnedCount pinned { pin bytes snapshots } explanation } } }"""
RUN = f"""mutation($input: RunRetentionInput!) {{ runRetention(input: $input) {{
  operation {{ id operationId kind status request reason }} {ERRORS} }} }}"""
OPERATION = "query($id: ID!) { operation(id: $id) { status result error errorCode } }"
ORDERS_REF = {"namespace": "sales", "name": "orders"}


@pytest.fixture
def history(catalog: Catalog, orders: Orders) -> list[int]:
    """Five snapshots: the first has a tag, the second a branch, the last is the head; nothing names the others."""
    return [*orders.ids, *(append_elsewhere(catalog, number) for number in (7, 8))]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often what is needed for plans is asked for."""
    counted: Counter[str] = Counter()

    def count(owner: type, method: str) -> None:
        real = getattr(owner, method)

        async def counting(self: Any, *args: Any, **kwargs: Any) -> Any:
            counted[method] += 1
            return await real(self, *args, **kwargs)

        monkeypatch.setattr(owner, method, counting)

    count(PinStore, "list_of_tables")
    count(HoldStore, "list_of_tables")
    count(Lake, "measure_expiry")
    count(Lake, "list_neighbours")
    count(Lake, "load")
    return counted


async def run(api: Api, **given: Any) -> Any:
    """The result of an operation that was started and done."""
    payload = (await api.data(RUN, input=given))["runRetention"]
    assert payload["userErrors"] == []
    assert await api.services.operation_runner.run_next(asyncio.Event())
    found = (await api.data(OPERATION, id=payload["operation"]["id"]))["operation"]
    assert found["status"] == "SUCCEEDED", found
    return found["result"]


async def test_a_plan_tells_what_stays_and_what_goes_and_why(api: Api, history: list[int]) -> None:
    found = (await api.data(PLAN, policy=ALL_THAT_MAY, first=100))["dataset"]["retention"]

    kept = {each["snapshot"]["snapshotId"]: each for each in found["keep"]}
    assert [each["snapshot"]["snapshotId"] for each in found["expire"]] == [str(history[3]), str(history[2])]
    assert {number: each["reasons"] for number, each in kept.items()} == {
        str(history[4]): ["head of main"],
        str(history[1]): ["head of dev"],
        str(history[0]): [f"tagged ({TAG})"],
    }
    assert all(each["keep"] for each in kept.values()) and not any(each["keep"] for each in found["expire"])
    assert kept[str(history[0])]["explanation"][0].endswith(f"is kept: tagged ({TAG}).")
    assert found["expire"][0]["explanation"][0].endswith("expires.")
    assert (found["totalSnapshots"], found["keepCount"], found["expireCount"]) == (5, 3, 2)
    assert found["policy"] == {
        "keepLastN": 0,
        "keepDays": 0,
        "keepTagged": True,
        "productionKeepDays": 730,
        "isProduction": False,
        "isExpiryEnabled": True,
    }
    assert (found["removedTags"], found["warnings"]) == ([], [])


async def test_a_list_that_is_cut_says_so_by_its_count(api: Api, history: list[int]) -> None:
    found = (await api.data(PLAN, policy=ALL_THAT_MAY, first=1))["dataset"]["retention"]
    assert (len(found["keep"]), found["keepCount"], len(found["expire"]), found["expireCount"]) == (1, 3, 1, 2)
    for first in (0, -1, 1001):
        answer = await api.run(PLAN, policy=ALL_THAT_MAY, first=first)
        assert set(answer.codes) == {"INVALID_ARGUMENT"}


async def test_by_the_default_policy_what_is_new_stays_until_its_days_are_over(api: Api, history: list[int]) -> None:
    found = (await api.data(PLAN, first=100))["dataset"]["retention"]
    assert (found["keepCount"], found["expireCount"]) == (5, 0)
    third = next(each for each in found["keep"] if each["snapshot"]["snapshotId"] == str(history[2]))
    assert third["reasons"] == ["recent (top 30)", "within retention (90 days)"]
    # It is among the newest 30 until there are more commits, whatever the time.
    assert third["expiresAt"] is None


async def test_the_rules_are_those_that_the_table_makes_of_the_policy(
    api: Api, catalog: Catalog, history: list[int]
) -> None:
    with catalog.load_table(ORDERS).transaction() as transaction:
        transaction.set_properties({"retention.keep-days": "400", "retention.production": "true"})
    found = (await api.data(PLAN, policy={"keepDays": 7}, first=1))["dataset"]["retention"]
    assert (found["policy"]["keepDays"], found["policy"]["isProduction"]) == (400, True)


async def test_bytes_are_measured_where_they_are_asked_for(api: Api, history: list[int], calls: Counter[str]) -> None:
    await api.data(PLAN, policy=ALL_THAT_MAY, first=100)
    assert (calls["measure_expiry"], calls["list_neighbours"]) == (0, 0)

    found = (await api.data(BYTES, policy=ALL_THAT_MAY))["dataset"]["retention"]

    assert (calls["measure_expiry"], calls["list_neighbours"]) == (1, 1)
    # Appends share all of their data with what follows; a manifest list is each snapshot's own.
    assert 0 < int(found["bytesFreed"]) < int(found["bytesTotal"])
    (pin,) = found["pinned"]
    assert (pin["pin"], pin["snapshots"], found["pinnedCount"]) == (f"tagged ({TAG})", 1, 1)
    assert int(pin["bytes"]) > 0
    assert found["explanation"][0] == "Of 5 snapshots, the plan keeps 3 and expires 2."
    assert any(f"tagged ({TAG}) alone keeps" in sentence for sentence in found["explanation"])


async def test_many_snapshots_of_many_datasets_are_planned_once_a_dataset(
    api: Api, catalog: Catalog, history: list[int], calls: Counter[str]
) -> None:
    for number in range(3):
        create_orders(catalog, f"sales.more{number}")
    data = await api.data(
        """{ datasets { nodes { name retention { keepCount } snapshots(first: 100) { nodes {
               snapshotId retention { keep reasons expiresAt snapshot { snapshotId } } } } } } }"""
    )
    verdicts = [
        (each["snapshotId"], each["retention"]["snapshot"]["snapshotId"], each["retention"]["keep"])
        for node in data["datasets"]["nodes"]
        for each in node["snapshots"]["nodes"]
    ]
    assert len(verdicts) == 5 + 3 * 3
    assert all(one == other and keep for one, other, keep in verdicts)
    # The plans by the default policy and those of the snapshots are the same ones.
    assert calls["list_of_tables"] == 2
    assert calls["load"] == 4


async def test_a_page_of_datasets_is_measured_up_to_a_limit(api: Api, catalog: Catalog, orders: Orders) -> None:
    aliases = " ".join(f"a{n}: retention(policy: {{keepDays: {n + 1}}}) {{ bytesFreed }}" for n in range(22))
    answer = await api.run(f'{{ dataset(namespace: "sales", name: "orders") {{ {aliases} }} }}')
    assert answer.codes == ["TOO_MANY_MEASURES"] * 2
    found = [value["bytesFreed"] for value in answer.data["dataset"].values()]
    assert found.count("0") == 20 and found.count(None) == 2


async def test_a_dry_run_is_the_default_and_changes_nothing(api: Api, catalog: Catalog, history: list[int]) -> None:
    before = catalog.load_table(ORDERS).metadata_location
    told = (await api.data(BYTES, policy=ALL_THAT_MAY))["dataset"]["retention"]

    result = await run(api, dataset=ORDERS_REF, policy=ALL_THAT_MAY, reason="to see")

    (table,) = result["tables"]
    assert (table["namespace"], table["table"], table["dry_run"], table["error"]) == ("sales", "orders", True, None)
    assert (table["total_snapshots"], table["kept"], table["expired"]) == (5, 3, 2)
    assert (table["bytes_freed"], table["bytes_total"]) == (int(told["bytesFreed"]), int(told["bytesTotal"]))
    assert (table["kept_snapshots_truncated"], table["expired_snapshots_truncated"]) == (False, False)
    assert catalog.load_table(ORDERS).metadata_location == before


async def test_a_run_expires_and_is_explained_afterwards(api: Api, catalog: Catalog, history: list[int]) -> None:
    result = await run(
        api,
        dataset=ORDERS_REF,
        policy=ALL_THAT_MAY,
        dryRun=False,
        allowZeroDays=True,
        reason="weekly clean-up",
    )

    # Then what was told is gone
    (table,) = result["tables"]
    assert [each["snapshot_id"] for each in table["expired_snapshots"]] == [str(history[3]), str(history[2])]
    left = {snapshot.snapshot_id for snapshot in catalog.load_table(ORDERS).metadata.snapshots}
    assert left == {history[0], history[1], history[4]}
    # And is told of, by whom and why, in the list of runs and of one snapshot
    data = await api.data(
        """query($gone: SnapshotId!, $left: SnapshotId!, $never: SnapshotId!) {
          dataset(namespace: "sales", name: "orders") {
            retentionRuns { totalCount nodes { runId operationId at by { subject } reason kept expired removedTags
              bytesTotal bytesPlanned bytesFreed filesPlanned filesDeleted isDone failure } }
            pastExpiry(snapshotId: $gone) { snapshotId by { subject } reason runId expiredAt createdAt explanation }
            left: pastExpiry(snapshotId: $left) { runId } never: pastExpiry(snapshotId: $never) { runId }
            retention { verdict(snapshotId: $left) { keep snapshot { snapshotId } } }
            changes { nodes { kind by { subject } reason } } } }""",
        gone=str(history[2]),
        left=str(history[0]),
        never="12345",
    )
    dataset = data["dataset"]
    (ran,) = dataset["retentionRuns"]["nodes"]
    (operation,) = (await api.data("{ operations { nodes { operationId } } }"))["operations"]["nodes"]
    assert ran["operationId"] == operation["operationId"]
    assert (ran["runId"], ran["by"], ran["reason"]) == (table["run_id"], {"subject": "ada"}, "weekly clean-up")
    assert (ran["kept"], ran["expired"], ran["removedTags"], ran["isDone"], ran["failure"]) == (3, 2, 0, True, None)
    assert int(ran["bytesFreed"]) == int(ran["bytesPlanned"]) == table["bytes_freed"] > 0
    assert int(ran["filesDeleted"]) == int(ran["filesPlanned"]) == table["files_deleted"] > 0
    past = dataset["pastExpiry"]
    assert (past["snapshotId"], past["by"], past["runId"]) == (str(history[2]), {"subject": "ada"}, ran["runId"])
    assert past["explanation"][0].endswith("by ada, because: weekly clean-up.")
    assert dataset["left"] is dataset["never"] is None
    assert dataset["retention"]["verdict"] == {"keep": True, "snapshot": {"snapshotId": str(history[0])}}
    assert dataset["changes"]["nodes"][0] == {
        "kind": "SNAPSHOTS_EXPIRED",
        "by": {"subject": "ada"},
        "reason": "weekly clean-up",
    }
    # And whoever asks for it hears so, whichever way
    for query in (
        "retention { verdict(snapshotId: $gone) { keep } }",
        "version(at: {snapshotId: $gone}) { id }",
        "rows(at: {snapshotId: $gone}) { rows }",
    ):
        answer = await api.run(
            f'query($gone: SnapshotId!) {{ dataset(namespace: "sales", name: "orders") {{ {query} }} }}',
            gone=str(history[3]),
        )
        (error,) = answer.errors
        assert error["extensions"]["code"] == "SNAPSHOT_EXPIRED"
        fields = error["extensions"]["fields"]
        assert (fields["expiredBy"], fields["expiryReason"], fields["runId"]) == (
            "ada",
            "weekly clean-up",
            ran["runId"],
        )
        assert "by ada" in error["message"]


async def test_a_snapshot_that_never_was_has_no_verdict(api: Api, orders: Orders) -> None:
    answer = await api.run(
        '{ dataset(namespace: "sales", name: "orders") { retention { verdict(snapshotId: "12345") { keep } } } }'
    )
    assert answer.codes == ["VERSION_NOT_FOUND"]


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        ({}, "INVALID_ARGUMENT", ["input", "dataset"]),
        ({"all": True, "dataset": ORDERS_REF}, "INVALID_ARGUMENT", ["input", "all"]),
        ({"all": True, "namespace": "sales"}, "INVALID_ARGUMENT", ["input", "all"]),
        ({"namespace": "sales", "dataset": ORDERS_REF}, "INVALID_ARGUMENT", ["input", "namespace"]),
        ({"namespace": "nowhere"}, "NAMESPACE_NOT_FOUND", ["input", "namespace"]),
        ({"namespace": ""}, "INVALID_NAME", ["input", "namespace"]),
        ({"namespace": "a\x00b"}, "INVALID_NAME", ["input", "namespace"]),
        ({"dataset": {"namespace": "sales", "name": "order"}}, "DATASET_NOT_FOUND", ["input", "dataset"]),
        ({"dataset": {"namespace": "sales", "name": ""}}, "INVALID_NAME", ["input", "dataset", "name"]),
        ({"all": True, "policy": {"keepLastN": -1}}, "INVALID_ARGUMENT", ["input", "policy", "keepLastN"]),
        ({"all": True, "policy": {"keepLastN": 2**31 - 1}}, "INVALID_ARGUMENT", ["input", "policy", "keepLastN"]),
        ({"all": True, "policy": {"keepDays": -5}}, "INVALID_ARGUMENT", ["input", "policy", "keepDays"]),
        ({"all": True, "policy": {"productionKeepDays": 36_501}}, "INVALID_ARGUMENT", None),
        (
            {"all": True, "policy": {"keepDays": 0}, "dryRun": False},
            "INVALID_ARGUMENT",
            ["input", "policy", "keepDays"],
        ),
        ({"all": True, "reason": "  "}, "INVALID_ARGUMENT", ["input", "reason"]),
        ({"all": True, "reason": "a\x00b"}, "INVALID_ARGUMENT", ["input", "reason"]),
    ],
)
async def test_what_cannot_be_started_is_told_by_its_field(
    api: Api, orders: Orders, given: dict[str, Any], code: str, path: list[str] | None
) -> None:
    error = await api.refused(RUN, input=given)
    assert error["errorCode"] == code
    assert path is None or error["path"] == path
    operations = await api.data("{ operations { totalCount } }")
    assert operations["operations"]["totalCount"] == 0


async def test_numbers_that_are_none_are_refused_ahead_of_everything(api: Api, orders: Orders) -> None:
    for policy in ({"keepDays": 2**40}, {"keepDays": "7"}, {"keepDays": 1.5}, {"keepTagged": 1}, {"keepWeeks": 1}):
        answer = await api.run(PLAN, policy=policy, first=1)
        assert answer.data is None and answer.errors
        assert "INTERNAL_ERROR" not in answer.codes
    answer = await api.run(PLAN, policy={"keepDays": -1}, first=1)
    assert answer.codes == ["INVALID_ARGUMENT"] and answer.data == {"dataset": {"retention": None}}


async def test_the_same_key_starts_one_operation(api: Api, orders: Orders) -> None:
    given = {"all": True, "idempotencyKey": "once"}
    first = (await api.data(RUN, input=given))["runRetention"]
    again = (await api.data(RUN, input=given))["runRetention"]
    assert first == again
    error = await api.refused(RUN, input={**given, "policy": {"keepDays": 7}})
    assert error["errorCode"] == "IDEMPOTENCY_KEY_REUSED"


async def test_what_fails_at_one_table_is_told_with_it_and_the_others_are_done(
    api: Api, catalog: Catalog, history: list[int]
) -> None:
    # Given one table that cannot be read, and one of a format that cannot be written here
    create_broken(catalog)
    create_orders(catalog, "sales.three")
    append_elsewhere(catalog, 7, name="sales.three")
    upgrade_to_v3(catalog, catalog.load_table("sales.three"))
    # When it is asked before, it is told
    plan = PLAN.replace('name: "orders"', 'name: "three"')
    told = (await api.data(plan, policy=ALL_THAT_MAY, first=1))["dataset"]["retention"]
    assert "would be refused" in told["warnings"][0] and "format version 3" in told["warnings"][0]

    result = await run(api, namespace="sales", policy=ALL_THAT_MAY, dryRun=False, allowZeroDays=True)

    found = {table["table"]: table for table in result["tables"]}
    assert found["orders"]["error"] is None and found["orders"]["expired"] == 2
    assert found["broken"]["error"]["code"] == "UNREADABLE_TABLE"
    assert found["three"]["error"]["code"] == "UNSUPPORTED_TABLE"
    assert (found["three"]["kept"], found["three"]["expired"]) == (4, 0)
    assert result["expired"] == 2


async def test_a_table_that_cannot_be_read_or_has_a_bad_property_costs_its_plan_alone(
    api: Api, catalog: Catalog, orders: Orders
) -> None:
    create_broken(catalog)
    create_orders(catalog, "sales.odd")
    with catalog.load_table("sales.odd").transaction() as transaction:
        transaction.set_properties({"retention.keep-days": "many"})
    answer = await api.run("{ datasets { nodes { name retention { keepCount bytesFreed explanation } } } }")
    found = {node["name"]: node["retention"] for node in answer.data["datasets"]["nodes"]}
    assert found["broken"] is None and found["odd"] is None
    assert found["orders"]["keepCount"] == 3 and found["orders"]["bytesFreed"] == "0"
    assert sorted(answer.codes) == ["INVALID_TABLE_PROPERTY", "UNREADABLE_TABLE"]
    told = next(each["extensions"] for each in answer.errors if "PROPERTY" in each["extensions"]["code"])
    assert (told["category"], told["fields"]["property"]) == ("UNSUPPORTED", "retention.keep-days")


async def test_a_plan_of_a_table_whose_files_may_be_anothers_is_told_without_bytes(
    api: Api, catalog: Catalog, orders: Orders
) -> None:
    catalog.register_table("sales.twin", catalog.load_table(ORDERS).metadata_location)
    answer = await api.run(
        '{ dataset(namespace: "sales", name: "orders") { retention { keepCount bytesFreed explanation } } }'
    )
    found = answer.data["dataset"]["retention"]
    assert (found["keepCount"], found["bytesFreed"]) == (3, None)
    assert found["explanation"]
    assert set(answer.codes) == {"UNSUPPORTED_TABLE"}


async def test_what_is_unknown_has_nothing(api: Api, catalog: Catalog, orders: Orders) -> None:
    create_broken(catalog)
    answer = await api.run(
        """{ dataset(namespace: "sales", name: "broken") { retention { keepCount } retentionRuns { totalCount }
             pastExpiry(snapshotId: "1234") { runId } holds { totalCount } } }"""
    )
    assert answer.data["dataset"] == {
        "retention": None,
        "retentionRuns": {"totalCount": 0},
        "pastExpiry": None,
        "holds": {"totalCount": 0},
    }
    for query in ("retentionRuns(first: 0)", 'retentionRuns(after: "x")', "holds(first: 101)"):
        refused = await api.run(f'{{ dataset(namespace: "sales", name: "orders") {{ {query} {{ totalCount }} }} }}')
        assert refused.codes == ["INVALID_PAGE"], query
    assert (await api.run("query($id: ID!) { operation(id: $id) { id } }", id=str(uuid4()))).codes
