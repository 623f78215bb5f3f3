"""`DatasetDiff.rows`, `files`, `stats` and `identical`, `startRowDiff`, and the data behind a model's difference."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pyiceberg.catalog import Catalog

from app.errors import DatasetNotFoundError
from tests.changed_tables import CHANGED, DOUBLED, OPENED, PRICES, Prices, create_prices
from tests.graphql.api import Api
from tests.graphql.registry import ERRORS, register_model
from tests.lake_tables import Orders

pytestmark = pytest.mark.anyio

ROWS = """rowsFrom rowsTo rowsAdded rowsRemoved rowsChanged keys keysChecked keyProblem { fault side example message }
  columnsNotCompared method bytesRead filesRead cached
  sample { added removed changed { key before after columns } truncated }"""
DIFF = f"""query($from: VersionSelector!, $to: VersionSelector, $keys: [String!], $size: Int) {{
  dataset(namespace: "sales", name: "prices") {{ diff(from: $from, to: $to) {{ identical
    rows(keys: $keys, sampleSize: $size) {{ {ROWS} }} }} }} }}"""
FILES = """query($from: VersionSelector!, $to: VersionSelector, $first: Int) {
  dataset(namespace: "sales", name: "prices") { diff(from: $from, to: $to) { identical files {
    filesAdded filesRemoved bytesAdded bytesRemoved deleteFilesAdded deleteFilesRemoved partitionCount rewrittenOnly
    partitions(first: $first) { partition specId filesAdded filesRemoved recordsAdded recordsRemoved } } } } }"""
STATS = """query($names: [String!]) {
  dataset(namespace: "sales", name: "prices") { diff(from: {tag: "prices_opened"}, to: {tag: "prices_changed"}) {
    stats(names: $names) { path before { nullCount valueCount lower upper } after { nullCount valueCount lower upper }
      nullRateDelta rangeChanged } } } }"""
START = f"""mutation($input: StartRowDiffInput!) {{
  startRowDiff(input: $input) {{ operation {{ operationId status kind request reason }} {ERRORS} }} }}"""
INPUT = {"dataset": {"namespace": "sales", "name": "prices"}, "from": {"tag": OPENED}, "to": {"tag": CHANGED}}


@pytest.fixture
def prices(catalog: Catalog, orders: Orders) -> Prices:
    del orders  # it makes the namespace
    return create_prices(catalog)


async def rows(api: Api, from_: str, to: str, **more: Any) -> dict[str, Any]:
    data = await api.data(DIFF, **{"from": {"tag": from_}, "to": {"tag": to}, **more})
    found: dict[str, Any] = data["dataset"]["diff"]["rows"]
    return found


async def test_rows_that_differ_are_told_apart_and_found_once(api: Api, prices: Prices) -> None:
    found = await rows(api, OPENED, CHANGED)
    again = await rows(api, OPENED, CHANGED)

    assert (found["rowsFrom"], found["rowsTo"]) == ("4", "5")
    assert (found["rowsAdded"], found["rowsRemoved"], found["rowsChanged"]) == ("2", "1", "1")
    assert (found["method"], found["keys"], found["cached"]) == ("KEYS", ["id"], False)
    assert [row["id"] for row in found["sample"]["added"]] == [5, 6]
    assert found["sample"]["changed"] == [
        {
            "key": {"id": 2},
            "before": {"id": 2, "name": "ink", "price": "8.00"},
            "after": {"id": 2, "name": "ink", "price": "8.20"},
            "columns": ["price"],
        }
    ]
    assert again == {**found, "cached": True}


async def test_keys_that_identify_no_rows_are_told(api: Api, prices: Prices) -> None:
    found = await rows(api, CHANGED, DOUBLED)
    multiset = await rows(api, CHANGED, DOUBLED, keys=[])

    assert (found["keyProblem"]["fault"], found["keyProblem"]["side"]) == ("NOT_UNIQUE", "TO")
    assert found["keyProblem"]["example"] == {"id": 5}
    assert (found["rowsChanged"], found["rowsAdded"], found["method"]) == (None, "1", "MULTISET")
    assert (multiset["keyProblem"], multiset["rowsAdded"]) == (None, "1")


@pytest.mark.parametrize(
    ("case", "more", "code", "argument"),
    [
        ("sample below 0", {"size": -1}, "INVALID_ARGUMENT", "sampleSize"),
        ("sample too large", {"size": 1001}, "INVALID_ARGUMENT", "sampleSize"),
        ("unknown key", {"keys": ["nmae"]}, "UNKNOWN_COLUMN", None),
        ("key twice", {"keys": ["id", "id"]}, "INVALID_ARGUMENT", "keys"),
        ("empty key", {"keys": [""]}, "UNKNOWN_COLUMN", None),
    ],
)
async def test_bad_input_is_a_typed_error(
    api: Api, prices: Prices, case: str, more: dict[str, Any], code: str, argument: str | None
) -> None:
    answer = await api.run(DIFF, **{"from": {"tag": OPENED}, "to": {"tag": CHANGED}, **more})

    assert answer.codes == [code], case
    assert answer.errors[0]["extensions"]["fields"].get("argument") == argument


async def test_a_file_that_is_gone_is_told_by_its_location(api: Api, prices: Prices, catalog: Catalog) -> None:
    (task,) = catalog.load_table(PRICES).scan(snapshot_id=prices.opened).plan_files()
    catalog.load_table(PRICES).io.delete(task.file.file_path)

    answer = await api.run(DIFF, **{"from": {"tag": OPENED}, "to": {"tag": CHANGED}})

    told = answer.errors[0]["extensions"]
    assert (told["code"], told["retryable"]) == ("MISSING_FILE", False)
    assert told["fields"] == {"dataset": PRICES, "file": task.file.file_path}


async def test_files_and_partitions_come_from_manifests(api: Api, prices: Prices) -> None:
    query = {"from": {"tag": OPENED}, "to": {"tag": CHANGED}}
    found = (await api.data(FILES, **query))["dataset"]["diff"]
    files = found["files"]

    assert found["identical"] is False
    # The file without the rows 2 and 3 is written anew, and the new rows make one of their own.
    assert (files["filesAdded"], files["filesRemoved"], files["rewrittenOnly"]) == ("2", "1", False)
    assert int(files["bytesAdded"]) > int(files["bytesRemoved"]) > 0
    assert files["partitions"] == [
        {
            "partition": {},
            "specId": 0,
            "filesAdded": "2",
            "filesRemoved": "1",
            "recordsAdded": "5",
            "recordsRemoved": "4",
        }
    ]
    assert files["partitionCount"] == 1
    assert (await api.run(FILES, **query, first=0)).codes == ["INVALID_ARGUMENT"]


async def test_statistics_are_set_against_each_other(api: Api, prices: Prices) -> None:
    (name,) = (await api.data(STATS, names=["name"]))["dataset"]["diff"]["stats"]
    every = (await api.data(STATS))["dataset"]["diff"]["stats"]
    unknown = await api.run(STATS, names=["nmae"])

    assert (name["before"]["nullCount"], name["after"]["nullCount"]) == ("0", "1")
    assert name["nullRateDelta"] == pytest.approx(0.2)
    assert [column["path"] for column in every] == ["id", "name", "price"]
    assert every[0]["rangeChanged"] is True
    assert unknown.codes == ["UNKNOWN_COLUMN"]


async def test_a_rowdiff_is_run_as_an_operation(api: Api, prices: Prices) -> None:
    payload = (await api.data(START, input={**INPUT, "reason": "to see", "sampleSize": 1}))["startRowDiff"]
    assert (payload["userErrors"], payload["operation"]["status"]) == ([], "QUEUED")
    assert payload["operation"]["reason"] == "to see"
    assert await api.services.operation_runner.run_next(asyncio.Event())

    query = "query($id: ID!) { operation(id: $id) { status progress result } }"
    node = "query { operations(first: 1) { nodes { id } } }"
    (found,) = (await api.data(node))["operations"]["nodes"]
    operation = (await api.data(query, id=found["id"]))["operation"]

    assert (operation["status"], operation["progress"]) == ("SUCCEEDED", 1.0)
    assert operation["result"]["rows_added"] == 2
    assert len(operation["result"]["sample_diff"]["added"]) == 1
    # What an operation found is found.
    assert (await rows(api, OPENED, CHANGED, size=1))["cached"] is True


async def test_an_operation_of_a_table_that_was_dropped_meanwhile_fails_and_says_so(
    api: Api, prices: Prices, catalog: Catalog
) -> None:
    await api.data(START, input=INPUT)
    catalog.drop_table(PRICES)
    assert await api.services.operation_runner.run_next(asyncio.Event())

    (found,) = (await api.data("{ operations { nodes { status errorCode } } }"))["operations"]["nodes"]
    assert (found["status"], found["errorCode"]) == ("FAILED", DatasetNotFoundError.code)


@pytest.mark.parametrize(
    ("case", "changes", "path", "code"),
    [
        (
            "unknown dataset",
            {"dataset": {"namespace": "sales", "name": "x"}},
            ["input", "dataset"],
            "DATASET_NOT_FOUND",
        ),
        ("unknown version", {"from": {"tag": "x"}}, ["input", "from", "tag"], "TAG_NOT_FOUND"),
        ("unknown other version", {"to": {"ref": "x"}}, ["input", "to", "ref"], "VERSION_NOT_FOUND"),
        ("two selectors", {"to": {"ref": "x", "tag": "y"}}, ["input", "to"], "AMBIGUOUS_REFERENCE"),
        ("sample", {"sampleSize": 1001}, ["input", "sampleSize"], "INVALID_ARGUMENT"),
        ("keys", {"keys": ["id", "id"]}, ["input", "keys"], "INVALID_ARGUMENT"),
        ("unknown key", {"keys": ["x"]}, ["input", "keys"], "UNKNOWN_COLUMN"),
        ("unknown second", {"toDataset": {"namespace": "a", "name": "b"}}, ["input", "toDataset"], "DATASET_NOT_FOUND"),
    ],
)
async def test_what_cannot_be_started_is_told_by_its_field(
    api: Api, prices: Prices, case: str, changes: dict[str, Any], path: list[str], code: str
) -> None:
    payload = (await api.data(START, input={**INPUT, **changes}))["startRowDiff"]

    (error,) = payload["userErrors"]
    assert (error["errorCode"], error["path"]) == (code, path), case
    assert payload["operation"] is None
    assert (await api.data("{ operations { totalCount } }"))["operations"]["totalCount"] == 0


async def test_a_model_leads_to_the_difference_of_its_data(api: Api, orders: Orders) -> None:
    await register_model(api, orders.first)
    await register_model(api, orders.third)
    query = """{ model(name: "churn") { diff(from: {number: 1}, to: {number: 2}) {
        trainingData { diff { relation rows { rowsAdded rowsRemoved } commits { totalCount } } } } } }"""

    ((found,),) = [(await api.data(query))["model"]["diff"]["trainingData"]]

    assert found["diff"] == {
        "relation": "ANCESTOR",
        "rows": {"rowsAdded": "3", "rowsRemoved": "0"},
        "commits": {"totalCount": 2},
    }


async def test_rows_that_cannot_be_told_leave_the_rest_of_the_difference(api: Api, prices: Prices) -> None:
    query = """{ dataset(namespace: "sales", name: "prices") { diff(from: {tag: "prices_opened"}) {
        relation schema { breaking } rows(keys: ["nope"]) { rowsAdded } } } }"""

    answer = await api.run(query)

    assert answer.codes == ["UNKNOWN_COLUMN"]
    assert answer.data["dataset"]["diff"] == {"relation": "ANCESTOR", "schema": {"breaking": False}, "rows": None}


async def test_one_operation_has_a_bounded_number_of_comparisons(api: Api, prices: Prices) -> None:
    fields = " ".join(f"r{n}: rows(sampleSize: {n}) {{ rowsAdded }}" for n in range(25))
    query = (
        f'{{ dataset(namespace: "sales", name: "prices") {{ diff(from: {{tag: "prices_opened"}}) {{ {fields} }} }} }}'
    )

    answer = await api.run(query)

    assert answer.codes == ["TOO_MANY_ROW_DIFFS"] * 5
    assert sum(found is not None for found in answer.data["dataset"]["diff"].values()) == 20
