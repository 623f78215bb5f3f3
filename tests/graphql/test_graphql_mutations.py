"""Tags, branches, rollbacks: what they do, what they answer, and what is recorded."""

from __future__ import annotations

from typing import Any

import pytest
from pyiceberg.catalog import Catalog

from tests.graphql.api import Api
from tests.lake_tables import BRANCH, ORDERS, TAG, Orders, append_elsewhere, create_broken, create_empty

pytestmark = pytest.mark.anyio

ON = {"dataset": {"namespace": "sales", "name": "orders"}}
DATASET = ON["dataset"]
ERRORS = """userErrors { __typename message path code errorCode docs details
  ... on NotFoundError { ref suggestions }
  ... on HeadMovedError { expected actual }
  ... on TagExistsError { existing { name target { label } } }
  ... on ProtectedTagError { why tag { name protected } }
  ... on UnsupportedTableError { feature } }"""
TAG_FIELDS = f"""tag {{ id name convention protected reason createdAt createdBy {{ subject }}
  target {{ label ... on Snapshot {{ id tags {{ name }} dataset {{ tags {{ totalCount }} }} }} }} }}
  warnings {ERRORS}"""
CREATE_TAG = f"mutation($input: CreateTagInput!) {{ createTag(input: $input) {{ {TAG_FIELDS} }} }}"
MOVE_TAG = f"mutation($input: MoveTagInput!) {{ moveTag(input: $input) {{ {TAG_FIELDS} }} }}"
DELETE_TAG = f"""mutation($input: DeleteTagInput!) {{ deleteTag(input: $input) {{
  deletedId dataset {{ tags {{ nodes {{ name }} }} }} target {{ label }} {ERRORS} }} }}"""
CREATE_BRANCH = f"""mutation($input: CreateBranchInput!) {{ createBranch(input: $input) {{
  branch {{ id name head {{ label }} }} warnings {ERRORS} }} }}"""
DELETE_BRANCH = f"""mutation($input: DeleteBranchInput!) {{ deleteBranch(input: $input) {{
  deletedId dataset {{ branches {{ name }} }} head {{ label }} {ERRORS} }} }}"""
ROLLED_BACK = f"""dryRun restoredSchema schemaWarning previous {{ label isCurrent }} current {{ label isCurrent }}
  undoTag {{ name convention target {{ label }} }}
  dataset {{ current {{ label }} tags {{ nodes {{ name }} }} schema {{ fields {{ path }} }} }} {ERRORS}"""
ROLL_BACK = f"mutation($input: RollbackDatasetInput!) {{ rollbackDataset(input: $input) {{ {ROLLED_BACK} }} }}"
UNDO = f"mutation($input: UndoRollbackInput!) {{ undoRollback(input: $input) {{ {ROLLED_BACK} }} }}"
CHANGES = """query($kind: ChangeKind) { changes(kind: $kind) { totalCount nodes { id at kind state reason details
  by { subject } subject { __typename id ... on Dataset { namespace name } } } } }"""


async def test_tag_is_set_recorded_and_seen_by_others(api: Api, orders: Orders, catalog: Catalog) -> None:
    wanted = {"on": ON, "name": "audit_Q1_2026", "at": {"ref": "main~1"}, "reason": "the books"}
    answer = await api.run(CREATE_TAG, input=wanted, actor="ada")
    assert not answer.errors
    payload = answer.data["createTag"]
    assert payload["userErrors"] == [] and payload["warnings"] == []
    tag = payload["tag"]
    assert (tag["name"], tag["convention"], tag["protected"], tag["reason"]) == (
        "audit_Q1_2026",
        "AUDIT",
        True,
        "the books",
    )
    assert tag["createdBy"] == {"subject": "ada"} and tag["createdAt"].endswith("Z")
    assert tag["target"]["label"] == str(orders.second)
    assert tag["target"]["tags"] == [{"name": "audit_Q1_2026"}]
    assert tag["target"]["dataset"] == {"tags": {"totalCount": 2}}
    assert catalog.load_table(ORDERS).refs()["audit_Q1_2026"].snapshot_id == orders.second
    (change,) = (await api.data(CHANGES))["changes"]["nodes"]
    assert (change["kind"], change["state"], change["reason"]) == ("TAG_CREATED", "DONE", "the books")
    assert change["by"] == {"subject": "ada"}
    assert change["subject"]["namespace"] == "sales" and change["subject"]["name"] == "orders"
    assert change["details"]["snapshotId"] == str(orders.second)
    own = await api.data(
        'query { dataset(namespace: "sales", name: "orders") { id changes { totalCount nodes { id } } } }'
    )
    assert own["dataset"]["changes"] == {"totalCount": 1, "nodes": [{"id": change["id"]}]}
    assert own["dataset"]["id"] == change["subject"]["id"]


async def test_same_tag_again_is_unchanged_and_doubtful_names_are_warned_of(api: Api, orders: Orders) -> None:
    first = await api.data(CREATE_TAG, input={"on": ON, "name": "backup"})
    again = await api.data(CREATE_TAG, input={"on": ON, "name": "backup"})
    assert first["createTag"]["warnings"] and again["createTag"]["warnings"]
    assert again["createTag"]["tag"]["target"]["label"] == str(orders.third)
    assert (await api.data(CHANGES))["changes"]["totalCount"] == 1


async def test_protection_asked_for_holds(api: Api, orders: Orders) -> None:
    await api.data(CREATE_TAG, input={"on": ON, "name": "mine", "protected": True})
    error = await api.refused(DELETE_TAG, input={"on": ON, "name": "mine"})
    assert (error["__typename"], error["code"], error["path"]) == ("ProtectedTagError", "PROTECTED", ["input", "name"])
    assert error["tag"] == {"name": "mine", "protected": True} and error["why"]
    gone = (await api.data(DELETE_TAG, input={"on": ON, "name": "mine", "force": True}))["deleteTag"]
    assert gone["target"] == {"label": str(orders.third)}
    assert gone["dataset"]["tags"]["nodes"] == [{"name": TAG}]
    answer = await api.run("query($id: ID!) { node(id: $id) { id } }", id=gone["deletedId"])
    assert (answer.data, answer.codes) == ({"node": None}, ["TAG_NOT_FOUND"])


async def test_tag_is_moved_only_from_where_it_was_expected(api: Api, orders: Orders) -> None:
    tag = (await api.data(CREATE_TAG, input={"on": ON, "name": "model_training_v1"}))["createTag"]["tag"]
    moved = await api.data(
        MOVE_TAG,
        input={"on": ON, "name": "model_training_v1", "to": {"tag": TAG}, "expectedTarget": tag["target"]["id"]},
    )
    assert moved["moveTag"]["tag"]["target"]["label"] == str(orders.first)
    error = await api.refused(
        MOVE_TAG,
        input={"on": ON, "name": "model_training_v1", "to": {"ref": "main"}, "expectedTarget": tag["target"]["id"]},
    )
    assert (error["__typename"], error["path"]) == ("HeadMovedError", ["input", "expectedTarget"])
    assert (error["expected"], error["actual"]) == (str(orders.third), str(orders.first))
    kinds = [change["kind"] for change in (await api.data(CHANGES))["changes"]["nodes"]]
    assert kinds == ["TAG_MOVED", "TAG_CREATED"]


async def test_branch_comes_and_goes(api: Api, orders: Orders) -> None:
    made = (await api.data(CREATE_BRANCH, input={"dataset": DATASET, "name": "fix", "at": {"tag": TAG}}))[
        "createBranch"
    ]
    assert made["branch"]["head"] == {"label": str(orders.first)}
    node = await api.data("query($id: ID!) { node(id: $id) { ... on Branch { name } } }", id=made["branch"]["id"])
    assert node["node"] == {"name": "fix"}
    error = await api.refused(
        DELETE_BRANCH, input={"dataset": DATASET, "name": "fix", "expectedHead": str(orders.second)}
    )
    assert (error["code"], error["path"]) == ("CONFLICT", ["input", "expectedHead"])
    gone = await api.data(DELETE_BRANCH, input={"dataset": DATASET, "name": "fix", "expectedHead": str(orders.first)})
    assert gone["deleteBranch"]["head"] == {"label": str(orders.first)}
    assert gone["deleteBranch"]["dataset"]["branches"] == [{"name": "main"}, {"name": BRANCH}]


async def test_rollback_and_undo_show_the_new_state(api: Api, orders: Orders, catalog: Catalog) -> None:
    wanted = {"dataset": DATASET, "to": {"tag": TAG}, "reason": "bad load", "expectedHead": str(orders.third)}
    dry = (await api.data(ROLL_BACK, input={**wanted, "dryRun": True}))["rollbackDataset"]
    assert dry["dryRun"] is True and dry["schemaWarning"]
    assert dry["previous"] == {"label": str(orders.third), "isCurrent": True}
    assert dry["current"] == {"label": str(orders.first), "isCurrent": False}
    assert dry["undoTag"]["target"] == {"label": str(orders.third)}
    assert dry["dataset"]["current"] == {"label": str(orders.third)}
    assert catalog.load_table(ORDERS).current_snapshot().snapshot_id == orders.third

    done = (await api.data(ROLL_BACK, input=wanted))["rollbackDataset"]
    assert done["dryRun"] is False and done["restoredSchema"] is False and done["schemaWarning"]
    assert done["current"] == {"label": str(orders.first), "isCurrent": True}
    assert done["dataset"]["current"] == {"label": str(orders.first)}
    undo_tag = done["undoTag"]["name"]
    assert done["undoTag"]["convention"] == "PRE_ROLLBACK"
    assert {"name": undo_tag} in done["dataset"]["tags"]["nodes"]
    assert catalog.load_table(ORDERS).current_snapshot().snapshot_id == orders.first

    undone = await api.data(UNDO, input={"dataset": DATASET, "undoTag": undo_tag, "reason": "it was good"})
    assert undone["undoRollback"]["dataset"]["current"] == {"label": str(orders.third)}
    assert catalog.load_table(ORDERS).current_snapshot().snapshot_id == orders.third
    changes = (await api.data(CHANGES))["changes"]["nodes"]
    assert [change["kind"] for change in changes] == ["ROLLBACK_UNDONE", "ROLLED_BACK"]
    only = await api.data(CHANGES, kind="ROLLED_BACK")
    assert only["changes"]["totalCount"] == 1


async def test_rollback_restores_the_schema_when_asked(api: Api, orders: Orders) -> None:
    wanted = {"dataset": DATASET, "to": {"tag": TAG}, "reason": "all of it", "restoreSchema": True}
    done = (await api.data(ROLL_BACK, input=wanted))["rollbackDataset"]
    assert done["restoredSchema"] is True and done["schemaWarning"] is None
    assert [field["path"] for field in done["dataset"]["schema"]["fields"]] == ["id", "price", "name", "at"]


async def test_mutations_of_one_request_see_each_other(api: Api, orders: Orders) -> None:
    data = await api.data(
        """mutation($a: CreateTagInput!, $b: DeleteTagInput!) {
             made: createTag(input: $a) { tag { target { ... on Snapshot { dataset { tags { totalCount } } } } } }
             gone: deleteTag(input: $b) { dataset { tags { totalCount } } } }""",
        a={"on": ON, "name": "one"},
        b={"on": ON, "name": "one"},
    )
    assert data["made"]["tag"]["target"]["dataset"]["tags"] == {"totalCount": 2}
    assert data["gone"]["dataset"]["tags"] == {"totalCount": 1}


async def test_idempotency_key_answers_the_same_and_refuses_another_request(api: Api, orders: Orders) -> None:
    wanted = {"dataset": DATASET, "to": {"tag": TAG}, "reason": "once", "idempotencyKey": "k1"}
    first = (await api.data(ROLL_BACK, input=wanted))["rollbackDataset"]
    again = (await api.data(ROLL_BACK, input=wanted))["rollbackDataset"]
    assert again["undoTag"] == first["undoTag"] and again["userErrors"] == []
    assert (await api.data(CHANGES))["changes"]["totalCount"] == 1
    error = await api.refused(ROLL_BACK, input={**wanted, "to": {"branch": BRANCH}})
    assert (error["errorCode"], error["path"]) == ("IDEMPOTENCY_KEY_REUSED", ["input", "idempotencyKey"])


def _tag(**fields: Any) -> tuple[str, dict[str, Any]]:
    return CREATE_TAG, {"on": ON, "name": "good", **fields}


def _rollback(**fields: Any) -> tuple[str, dict[str, Any]]:
    return ROLL_BACK, {"dataset": DATASET, "to": {"tag": TAG}, "reason": "r", **fields}


def _unknown(namespace: str, name: str) -> dict[str, Any]:
    return {"dataset": {"namespace": namespace, "name": name}}


REFUSALS: dict[str, tuple[tuple[str, dict[str, Any]], str, str, list[str]]] = {
    "unknown namespace": (_tag(on=_unknown("nope", "orders")), "NOT_FOUND", "NotFoundError", ["on", "dataset"]),
    "unknown table": (_tag(on=_unknown("sales", "ordres")), "NOT_FOUND", "NotFoundError", ["on", "dataset"]),
    "empty table name": (_tag(on=_unknown("sales", "")), "INVALID", "GeneralError", ["on", "dataset", "name"]),
    "bad namespace": (_tag(on=_unknown("a..b", "t")), "INVALID", "GeneralError", ["on", "dataset", "namespace"]),
    "NUL in a name": (_tag(on=_unknown("sales", "o\0")), "INVALID", "GeneralError", ["on", "dataset", "name"]),
    "no entity": (_tag(on={}), "INVALID", "GeneralError", ["on"]),
    "unreadable table": (
        _tag(on=_unknown("sales", "broken")),
        "UNAVAILABLE",
        "GeneralError",
        ["on", "dataset"],
    ),
    "empty table": (_tag(on=_unknown("sales", "empty")), "UNSUPPORTED", "GeneralError", ["at"]),
    "unknown tag as version": (_tag(at={"tag": "production_2026_02_14"}), "NOT_FOUND", "NotFoundError", ["at", "tag"]),
    "unknown ref": (_tag(at={"ref": "mein"}), "NOT_FOUND", "NotFoundError", ["at", "ref"]),
    "unknown branch": (_tag(at={"branch": "devv"}), "NOT_FOUND", "NotFoundError", ["at", "branch"]),
    "unknown snapshot": (_tag(at={"snapshotId": "42"}), "NOT_FOUND", "NotFoundError", ["at", "snapshotId"]),
    "too far back": (_tag(at={"ref": "main~9"}), "NOT_FOUND", "NotFoundError", ["at", "ref"]),
    "id 0 as text": (_tag(at={"ref": "0"}), "INVALID", "GeneralError", ["at", "ref"]),
    "id 2^70 as text": (_tag(at={"ref": str(2**70)}), "INVALID", "GeneralError", ["at", "ref"]),
    "ref of 10,000 characters": (_tag(at={"ref": "x" * 10_000}), "INVALID", "GeneralError", ["at", "ref"]),
    "no version": (_tag(at={}), "INVALID", "GeneralError", ["at"]),
    "two versions": (_tag(at={"tag": TAG, "ref": "main"}), "INVALID", "GeneralError", ["at"]),
    "a number": (_tag(at={"number": 3}), "INVALID", "GeneralError", ["at", "number"]),
    "a bad node id": (_tag(at={"id": "xyz"}), "INVALID", "GeneralError", ["at", "id"]),
    "before all history": (
        _tag(at={"asOf": "2001-01-01T00:00:00Z"}),
        "NOT_FOUND",
        "NotFoundError",
        ["at", "asOf"],
    ),
    "name with spaces": (_tag(name="a b"), "INVALID", "GeneralError", ["name"]),
    "name of 10,000 characters": (_tag(name="x" * 10_000), "INVALID", "GeneralError", ["name"]),
    "unicode name": (_tag(name="größe"), "INVALID", "GeneralError", ["name"]),
    "empty name": (_tag(name=""), "INVALID", "GeneralError", ["name"]),
    "main": (_tag(name="main"), "INVALID", "GeneralError", ["name"]),
    "name of a branch": (_tag(name=BRANCH), "ALREADY_EXISTS", "GeneralError", ["name"]),
    "taken name": (_tag(name=TAG), "ALREADY_EXISTS", "TagExistsError", ["name"]),
    "long reason": (_tag(reason="x" * 3000), "INVALID", "GeneralError", ["reason"]),
    "NUL in the reason": (_tag(reason="a\0b"), "INVALID", "GeneralError", ["reason"]),
    "empty idempotency key": (_tag(idempotencyKey=""), "INVALID", "GeneralError", ["idempotencyKey"]),
    "move of a protected tag": (
        (MOVE_TAG, {"on": ON, "name": TAG, "to": {"ref": "main"}}),
        "PROTECTED",
        "ProtectedTagError",
        ["name"],
    ),
    "move of no tag": (
        (MOVE_TAG, {"on": ON, "name": "x", "to": {"ref": "main"}}),
        "NOT_FOUND",
        "NotFoundError",
        ["name"],
    ),
    "move to no tag": (
        (MOVE_TAG, {"on": ON, "name": TAG, "to": {"tag": "x"}}),
        "NOT_FOUND",
        "NotFoundError",
        ["to", "tag"],
    ),
    "move from a bad id": (
        (MOVE_TAG, {"on": ON, "name": TAG, "to": {"ref": "main"}, "expectedTarget": "7"}),
        "INVALID",
        "GeneralError",
        ["expectedTarget"],
    ),
    "deletion of no tag": ((DELETE_TAG, {"on": ON, "name": "x"}), "NOT_FOUND", "NotFoundError", ["name"]),
    "deletion of a branch as a tag": ((DELETE_TAG, {"on": ON, "name": BRANCH}), "NOT_FOUND", "NotFoundError", ["name"]),
    "deletion of a protected tag": ((DELETE_TAG, {"on": ON, "name": TAG}), "PROTECTED", "ProtectedTagError", ["name"]),
    "branch named like a tag": (
        (CREATE_BRANCH, {"dataset": DATASET, "name": TAG}),
        "ALREADY_EXISTS",
        "TagExistsError",
        ["name"],
    ),
    "branch elsewhere": (
        (CREATE_BRANCH, {"dataset": DATASET, "name": BRANCH}),
        "ALREADY_EXISTS",
        "GeneralError",
        ["name"],
    ),
    "deletion of main": ((DELETE_BRANCH, {"dataset": DATASET, "name": "main"}), "PROTECTED", "GeneralError", ["name"]),
    "deletion of no branch": (
        (DELETE_BRANCH, {"dataset": DATASET, "name": "x"}),
        "NOT_FOUND",
        "NotFoundError",
        ["name"],
    ),
    "rollback to the current": (_rollback(to={"ref": "latest"}), "INVALID", "GeneralError", ["to", "ref"]),
    "rollback of no branch": (_rollback(branch="x"), "NOT_FOUND", "NotFoundError", ["branch"]),
    "stale head": (_rollback(expectedHead="42"), "CONFLICT", "HeadMovedError", ["expectedHead"]),
    "schema of another branch": (
        _rollback(branch=BRANCH, restoreSchema=True),
        "INVALID",
        "GeneralError",
        ["restoreSchema"],
    ),
    "undo of no tag": (
        (UNDO, {"dataset": DATASET, "undoTag": "x", "reason": "r"}),
        "NOT_FOUND",
        "NotFoundError",
        ["undoTag"],
    ),
    "undo of another tag": (
        (UNDO, {"dataset": DATASET, "undoTag": TAG, "reason": "r"}),
        "INVALID",
        "GeneralError",
        ["undoTag"],
    ),
}


async def test_bad_input_is_refused_with_its_path_and_changes_nothing(
    api: Api, orders: Orders, catalog: Catalog
) -> None:
    create_broken(catalog)
    create_empty(catalog)
    before = catalog.load_table(ORDERS).metadata_location
    for case, ((mutation, wanted), code, kind, path) in REFUSALS.items():
        error = await api.refused(mutation, input=wanted)
        assert (error["code"], error["__typename"], error["path"]) == (code, kind, ["input", *path]), case
        assert error["message"] and error["docs"].startswith("docs/errors.md#") and error["errorCode"], case
        assert len(error["message"]) < 1000, case
    assert catalog.load_table(ORDERS).metadata_location == before
    assert (await api.data(CHANGES))["changes"]["totalCount"] == 0


async def test_refusals_carry_what_a_client_can_act_on(api: Api, orders: Orders) -> None:
    taken = await api.refused(CREATE_TAG, input={"on": ON, "name": TAG})
    assert taken["existing"] == {"name": TAG, "target": {"label": str(orders.first)}}
    unknown = await api.refused(CREATE_TAG, input={"on": ON, "name": "x", "at": {"tag": "production_2026_02_14"}})
    assert (unknown["ref"], unknown["suggestions"]) == ("production_2026_02_14", [TAG])
    table = await api.refused(CREATE_TAG, input={"on": _unknown("sales", "ordres"), "name": "x"})
    assert (table["ref"], table["suggestions"]) == ("sales.ordres", ["sales.orders"])


async def test_version_of_another_dataset_is_not_this_ones(api: Api, orders: Orders, catalog: Catalog) -> None:
    schema = catalog.load_table(ORDERS).schema()
    other = catalog.create_table("sales.other", schema)
    other.append(catalog.load_table(ORDERS).scan().to_arrow())
    snapshot = other.current_snapshot()
    assert snapshot is not None
    found = await api.data('{ dataset(namespace: "sales", name: "other") { current { id } } }')
    node_id = found["dataset"]["current"]["id"]
    for to, field in (({"id": node_id}, "id"), ({"snapshotId": str(snapshot.snapshot_id)}, "snapshotId")):
        error = await api.refused(ROLL_BACK, input={"dataset": DATASET, "to": to, "reason": "r"})
        assert (error["code"], error["path"]) == ("NOT_FOUND", ["input", "to", field])
    error = await api.refused(MOVE_TAG, input={"on": ON, "name": TAG, "to": {"ref": "main"}, "expectedTarget": node_id})
    assert error["code"] == "NOT_FOUND"
    assert catalog.load_table(ORDERS).current_snapshot().snapshot_id == orders.third


async def test_expired_snapshot_is_told_from_an_unknown_one(api: Api, orders: Orders, catalog: Catalog) -> None:
    head = append_elsewhere(catalog, 7)
    assert (await api.data(CREATE_TAG, input={"on": ON, "name": "x", "at": {"snapshotId": str(orders.third)}}))[
        "createTag"
    ]["tag"]
    table = catalog.load_table(ORDERS)
    table.manage_snapshots().remove_tag("x").commit()
    table.maintenance.expire_snapshots().by_id(orders.third).commit()
    error = await api.refused(
        ROLL_BACK, input={"dataset": DATASET, "to": {"snapshotId": str(orders.third)}, "reason": "r"}
    )
    assert (error["code"], error["errorCode"], error["path"]) == (
        "EXPIRED",
        "SNAPSHOT_EXPIRED",
        ["input", "to", "snapshotId"],
    )
    assert catalog.load_table(ORDERS).current_snapshot().snapshot_id == head


async def test_changes_outlive_their_dataset_and_follow_its_name(api: Api, orders: Orders, catalog: Catalog) -> None:
    await api.data(CREATE_TAG, input={"on": ON, "name": "x"})
    query = "{ changes { nodes { subject { id ... on Dataset { namespace name availability } } } } }"
    before = (await api.data(query))["changes"]["nodes"][0]["subject"]
    catalog.rename_table(ORDERS, "sales.renamed")
    renamed = (await api.data(query))["changes"]["nodes"][0]["subject"]
    assert renamed == {**before, "name": "renamed"}
    catalog.drop_table("sales.renamed")
    create_empty(catalog, ORDERS)  # another table under the first name is not the one that was tagged
    answer = await api.run(query)
    assert answer.data["changes"]["nodes"][0]["subject"] == {**before, "availability": "EXPIRED"}
    assert answer.codes == ["DATASET_NOT_FOUND"]
