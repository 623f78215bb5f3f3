"""Reading datasets, snapshots, tags, branches, schemas, statistics and rows."""

from __future__ import annotations

import pytest
from pyiceberg.catalog import Catalog

from tests.graphql.api import Api
from tests.lake_tables import BRANCH, TAG, Orders, create_broken, create_empty

pytestmark = pytest.mark.anyio

DATASET = 'dataset(namespace: "sales", name: "orders")'


async def test_dataset_says_what_its_metadata_says(api: Api, orders: Orders) -> None:
    data = await api.data(
        f"""{{ {DATASET} {{
            namespace name availability tableUuid location formatVersion properties layer isProduction
            current {{ snapshotId label isCurrent isAncestorOfCurrent operation sequenceNumber createdAt availability
                       parent {{ snapshotId isCurrent isAncestorOfCurrent }} dataset {{ name }}
                       summary {{ addedRecords totalRecords addedFiles totalFiles deletedRecords extra }} }}
            branches {{ name head {{ snapshotId }} aheadOfMain behindMain }}
        }} }}"""
    )
    dataset = data["dataset"]
    assert dataset["availability"] == "AVAILABLE"
    assert (dataset["formatVersion"], dataset["layer"], dataset["isProduction"]) == (2, None, False)
    assert dataset["location"].endswith("orders")
    current = dataset["current"]
    assert current["snapshotId"] == current["label"] == str(orders.third)
    assert current["isCurrent"] and current["isAncestorOfCurrent"]
    assert current["operation"] == "APPEND" and current["sequenceNumber"] == "3"
    assert current["createdAt"].endswith("000Z") and "." in current["createdAt"]
    assert current["parent"] == {"snapshotId": str(orders.second), "isCurrent": False, "isAncestorOfCurrent": True}
    assert current["dataset"] == {"name": "orders"}
    summary = current["summary"]
    assert (summary["addedRecords"], summary["totalRecords"], summary["totalFiles"]) == ("1", "6", "3")
    assert summary["deletedRecords"] is None and "added-records" not in summary["extra"]
    assert dataset["branches"] == [
        {"name": "main", "head": {"snapshotId": str(orders.third)}, "aheadOfMain": 0, "behindMain": 0},
        {"name": BRANCH, "head": {"snapshotId": str(orders.second)}, "aheadOfMain": 0, "behindMain": 1},
    ]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ('tag: "production_2026_02_15"', "first"),
        ('branch: "dev"', "second"),
        ('ref: "main~2"', "first"),
        ('ref: "latest"', "third"),
        ('ref: "tag:production_2026_02_15"', "first"),
        ('asOf: "2100-01-01T00:00:00+02:00"', "third"),
    ],
)
async def test_version_takes_every_form_of_reference(api: Api, orders: Orders, selector: str, expected: str) -> None:
    data = await api.data(f"{{ {DATASET} {{ version(at: {{ {selector} }}) {{ snapshotId }} }} }}")
    assert data["dataset"]["version"]["snapshotId"] == str(getattr(orders, expected))


async def test_snapshot_id_is_taken_as_text_and_as_node_id(api: Api, orders: Orders) -> None:
    query = f"query($at: VersionSelector!) {{ {DATASET} {{ version(at: $at) {{ id snapshotId }} }} }}"
    by_number = (await api.data(query, at={"snapshotId": str(orders.first)}))["dataset"]["version"]
    by_node_id = (await api.data(query, at={"id": by_number["id"]}))["dataset"]["version"]
    assert by_number == by_node_id
    assert by_number["snapshotId"] == str(orders.first)


async def test_schema_of_latest_is_the_current_one_and_of_a_tag_the_snapshots_own(api: Api, orders: Orders) -> None:
    data = await api.data(
        f"""query($tag: String!) {{ {DATASET} {{
            now: schema {{ schemaId identifierFields fields {{ fieldId path type required doc children {{ path }} }} }}
            branch: schema(at: {{ branch: "dev" }}) {{ fields {{ path }} }}
            then: schema(at: {{ tag: $tag }}) {{ fields {{ path }} }}
            version(at: {{ tag: $tag }}) {{ schema {{ fields {{ path }} }} }}
        }} }}""",
        tag=TAG,
    )
    dataset = data["dataset"]
    now = [field["path"] for field in dataset["now"]["fields"]]
    then = [field["path"] for field in dataset["then"]["fields"]]
    assert now == ["id", "price", "label", "at", "note"]
    assert then == ["id", "price", "name", "at"]
    assert [field["path"] for field in dataset["branch"]["fields"]] == now
    assert [field["path"] for field in dataset["version"]["schema"]["fields"]] == then
    assert dataset["now"]["fields"][1] == {
        "fieldId": 2,
        "path": "price",
        "type": "decimal(12, 2)",
        "required": False,
        "doc": None,
        "children": None,
    }


async def test_column_stats_come_from_manifests(api: Api, orders: Orders) -> None:
    data = await api.data(
        f"""{{ {DATASET} {{ version(at: {{ ref: "{orders.second}" }}) {{
            columnStats(names: ["id", "name"]) {{ fieldId path nullCount valueCount sizeBytes lower upper }}
        }} }} }}"""
    )
    ids, names = data["dataset"]["version"]["columnStats"]
    assert (ids["path"], ids["valueCount"], ids["nullCount"], ids["lower"], ids["upper"]) == ("id", "5", "0", 1, 5)
    assert int(ids["sizeBytes"]) > 0
    assert names["nullCount"] == "1"


async def test_rows_at_a_version_are_filtered_projected_and_say_that_there_are_more(api: Api, orders: Orders) -> None:
    data = await api.data(
        f"""{{ {DATASET} {{
            then: rows(at: {{ tag: "{TAG}" }}, columns: ["name", "id", "price"], first: 2) {{ columns rows truncated }}
            now: rows(filter: "id >= 5", columns: ["id", "label"]) {{ rows truncated bytesRead }}
        }} }}"""
    )
    then, now = data["dataset"]["then"], data["dataset"]["now"]
    assert then["columns"] == ["id", "price", "name"]
    assert then["rows"] == [{"id": 1, "name": 'say "hi", all', "price": "0.25"}, {"id": 2, "name": "", "price": "0.50"}]
    assert then["truncated"] is True
    assert sorted(row["id"] for row in now["rows"]) == [5, 6]
    assert now["truncated"] is False and int(now["bytesRead"]) > 0


async def test_snapshots_are_newest_first_and_filtered(api: Api, orders: Orders) -> None:
    data = await api.data(
        f"""query($middle: DateTime!) {{ {DATASET} {{
            all: snapshots {{ totalCount nodes {{ snapshotId createdAt }} }}
            branch: snapshots(branch: "dev") {{ nodes {{ snapshotId }} }}
            replaced: snapshots(operation: REPLACE) {{ totalCount nodes {{ snapshotId }} pageInfo {{ startCursor }} }}
            none: snapshots(committed: {{ to: $middle }}) {{ totalCount }}
            some: snapshots(committed: {{ from: $middle }}) {{ totalCount }}
        }} }}""",
        middle="2020-01-01T00:00:00Z",
    )
    dataset = data["dataset"]
    assert [node["snapshotId"] for node in dataset["all"]["nodes"]] == [str(n) for n in reversed(orders.ids)]
    assert [node["snapshotId"] for node in dataset["branch"]["nodes"]] == [str(orders.second), str(orders.first)]
    assert dataset["replaced"] == {"totalCount": 0, "nodes": [], "pageInfo": {"startCursor": None}}
    assert (dataset["none"]["totalCount"], dataset["some"]["totalCount"]) == (0, 3)
    second = dataset["all"]["nodes"][1]["createdAt"]
    bounded = await api.data(
        f"""query($from: DateTime, $to: DateTime) {{ {DATASET} {{
            snapshots(committed: {{ from: $from, to: $to }}) {{ nodes {{ snapshotId }} }}
        }} }}""",
        **{"from": second, "to": dataset["all"]["nodes"][0]["createdAt"]},
    )
    assert bounded["dataset"]["snapshots"]["nodes"] == [{"snapshotId": str(orders.second)}]


async def test_snapshots_of_an_unknown_branch_cost_that_field_alone(api: Api, orders: Orders) -> None:
    answer = await api.run(f'{{ {DATASET} {{ name snapshots(branch: "devv") {{ totalCount }} }} }}')
    assert answer.data["dataset"] == {"name": "orders", "snapshots": {"totalCount": 0}}
    assert answer.codes == ["BRANCH_NOT_FOUND"]
    assert answer.errors[0]["path"] == ["dataset", "snapshots"]
    assert answer.errors[0]["extensions"]["fields"]["suggestions"] == ["dev"]


async def test_tags_that_others_set_have_no_record(api: Api, orders: Orders) -> None:
    data = await api.data(
        f"""{{ {DATASET} {{ tags(prefix: "prod") {{ totalCount nodes {{
            name convention protected createdAt createdBy {{ subject }} reason
            target {{ __typename label ... on Snapshot {{ snapshotId tags {{ name }} }} }}
        }} }} none: tags(prefix: "x") {{ totalCount }} }} }}"""
    )
    assert data["dataset"]["none"] == {"totalCount": 0}
    assert data["dataset"]["tags"]["nodes"] == [
        {
            "name": TAG,
            "convention": "PRODUCTION",
            "protected": True,
            "createdAt": None,
            "createdBy": None,
            "reason": None,
            "target": {
                "__typename": "Snapshot",
                "label": str(orders.first),
                "snapshotId": str(orders.first),
                "tags": [{"name": TAG}],
            },
        }
    ]


async def test_broken_table_keeps_its_place_and_says_why(api: Api, orders: Orders, catalog: Catalog) -> None:
    create_broken(catalog)
    create_empty(catalog, "sales.zebra")
    answer = await api.run(
        """{ datasets { totalCount nodes { id name availability current { snapshotId } location isProduction
             tags { totalCount nodes { name } } branches { name } snapshots { totalCount } changes { totalCount }
             schema { schemaId } rows { truncated } version(at: {ref: "latest"}) { id } } } }"""
    )
    nodes = answer.data["datasets"]["nodes"]
    assert [node["name"] for node in nodes] == ["broken", "orders", "zebra"]
    assert [node["availability"] for node in nodes] == ["UNREACHABLE", "AVAILABLE", "AVAILABLE"]
    broken = nodes[0]
    assert broken["id"]
    assert broken["current"] is broken["location"] is broken["schema"] is broken["rows"] is broken["version"] is None
    assert broken["tags"] == {"totalCount": 0, "nodes": []} and broken["branches"] == []
    assert nodes[1]["current"]["snapshotId"] == str(orders.third)
    # One entry for the broken one; and the empty one has no version to read or to name.
    by_path = {tuple(error["path"]): error["extensions"]["code"] for error in answer.errors}
    assert by_path == {
        ("datasets", "nodes", 0): "UNREADABLE_TABLE",
        ("datasets", "nodes", 2, "rows"): "NO_SNAPSHOT",
        ("datasets", "nodes", 2, "version"): "NO_SNAPSHOT",
    }
    assert len(answer.errors) == 3


async def test_broken_table_is_found_by_name_and_by_its_id(api: Api, catalog: Catalog) -> None:
    create_broken(catalog)
    query = '{ dataset(namespace: "sales", name: "broken") { id name availability } }'
    answer = await api.run(query)
    assert answer.data["dataset"]["availability"] == "UNREACHABLE"
    assert (answer.codes, answer.errors[0]["path"]) == (["UNREADABLE_TABLE"], ["dataset"])
    again = await api.run(
        "query($id: ID!) { node(id: $id) { id ... on Dataset { name } } }", id=answer.data["dataset"]["id"]
    )
    assert again.data["node"]["name"] == "broken"


async def test_table_dropped_during_a_listing_is_expired(
    api: Api, orders: Orders, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_empty(catalog, "sales.doomed")
    listed = api.services.datasets.list_page

    async def list_then_lose(*args: object, **kwargs: object) -> object:
        page = await listed(*args, **kwargs)  # type: ignore[arg-type]
        catalog.drop_table("sales.doomed")
        return page

    monkeypatch.setattr(api.services.datasets, "list_page", list_then_lose)
    answer = await api.run("{ datasets { nodes { name availability tags { totalCount } current { id } } } }")
    doomed, kept = answer.data["datasets"]["nodes"]
    assert doomed == {"name": "doomed", "availability": "EXPIRED", "tags": {"totalCount": 0}, "current": None}
    assert kept["availability"] == "AVAILABLE" and kept["current"]
    assert (answer.codes, answer.errors[0]["path"]) == (["DATASET_NOT_FOUND"], ["datasets", "nodes", 0])


async def test_datasets_are_filtered(api: Api, orders: Orders, catalog: Catalog) -> None:
    create_empty(catalog, "sales.other")
    create_empty(catalog, "bronze.orders")
    data = await api.data(
        """{ all: datasets { nodes { namespace name layer } }
             sales: datasets(namespace: "sales") { nodes { name } }
             prefix: datasets(namePrefix: "ord") { nodes { namespace } }
             tagged: datasets(tag: "production_2026_02_15") { totalCount nodes { namespace name } } }"""
    )
    assert data["all"]["nodes"] == [
        {"namespace": "bronze", "name": "orders", "layer": "BRONZE"},
        {"namespace": "sales", "name": "orders", "layer": None},
        {"namespace": "sales", "name": "other", "layer": None},
    ]
    assert data["sales"]["nodes"] == [{"name": "orders"}, {"name": "other"}]
    assert data["prefix"]["nodes"] == [{"namespace": "bronze"}, {"namespace": "sales"}]
    assert data["tagged"] == {"totalCount": 1, "nodes": [{"namespace": "sales", "name": "orders"}]}
