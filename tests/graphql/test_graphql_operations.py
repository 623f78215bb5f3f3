"""Operations over GraphQL: looked at, listed, cancelled."""

from __future__ import annotations

import base64
import json
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.domain.operations import Operation, OperationFailure
from app.graphql.ids import change_id, operation_id
from app.registry.operation_leases import ClaimedOperation, OperationLeases
from app.registry.operations import OperationStore
from tests.graphql.api import Api
from tests.graphql.registry import ERRORS
from tests.integration.operations.jobs import HALF, KIND, READING, by, claim

pytestmark = pytest.mark.anyio

FIELDS = """id operationId kind status progress message request requestedAt requestedBy { subject } reason startedAt
  endedAt isCancelRequested result error errorCode errorDetails"""
OPERATION = f"query($id: ID!) {{ operation(id: $id) {{ {FIELDS} }} }}"
NODE = f"query($id: ID!) {{ node(id: $id) {{ __typename id ... on Operation {{ {FIELDS} }} }} }}"
LIST = """query($first: Int, $after: String, $kind: OperationKind, $status: OperationStatus) {
  operations(first: $first, after: $after, kind: $kind, status: $status) {
    totalCount nodes { operationId status result } pageInfo { hasNextPage endCursor } } }"""
CANCEL = f"mutation($id: ID!) {{ cancelOperation(id: $id) {{ operation {{ {FIELDS} }} {ERRORS} }} }}"


@pytest.fixture
def leases(api: Api) -> OperationLeases:
    return api.services.operation_runner._leases


async def start(api: Api, **request: Any) -> Operation:
    return await api.services.operations.start(KIND, request, by(reason="to see"))


async def begin(api: Api, leases: OperationLeases) -> ClaimedOperation:
    claimed = await claim(leases)
    await leases.renew(claimed.lease, READING, lease_s=60, timeout_s=10)
    return claimed


def of_kind(kind: str, *key: str) -> str:
    """An id with whatever inside."""
    return base64.urlsafe_b64encode(json.dumps([kind, *key]).encode()).rstrip(b"=").decode()


async def test_an_operation_is_shown_from_its_begin_to_its_end(api: Api, leases: OperationLeases) -> None:
    asked = await start(api, n=2**60)
    node_id = operation_id(asked.operation_id)

    waiting = (await api.data(OPERATION, id=node_id))["operation"]
    claimed = await begin(api, leases)
    running = (await api.data(OPERATION, id=node_id))["operation"]
    await leases.succeed(claimed.lease, HALF, {"rowsAdded": 2**60, "sample": []})
    done = (await api.data(OPERATION, id=node_id))["operation"]

    assert waiting.pop("requestedAt").endswith("Z")
    assert waiting == {
        "id": node_id,
        "operationId": str(asked.operation_id),
        "kind": "ROW_DIFF",
        "status": "QUEUED",
        "progress": 0,
        "message": None,
        "request": {"n": str(2**60)},
        "requestedBy": {"subject": "ada"},
        "reason": "to see",
        "startedAt": None,
        "endedAt": None,
        "isCancelRequested": False,
        "result": None,
        "error": None,
        "errorCode": None,
        "errorDetails": None,
    }
    assert (running["status"], running["progress"], running["message"]) == ("RUNNING", 0.25, "reading")
    assert running["startedAt"] is not None
    assert (done["status"], done["progress"], done["endedAt"] is None) == ("SUCCEEDED", 1, False)
    assert done["result"] == {"rowsAdded": str(2**60), "sample": []}
    assert (await api.data(NODE, id=node_id))["node"] == {"__typename": "Operation", **done}


async def test_a_failure_is_told(api: Api, leases: OperationLeases) -> None:
    asked = await start(api)
    failure = OperationFailure(code="NO_SNAPSHOT", message="There is none.", fields={"dataset": "a.b"})
    await leases.fail((await begin(api, leases)).lease, HALF, failure)

    found = (await api.data(OPERATION, id=operation_id(asked.operation_id)))["operation"]

    assert (found["status"], found["error"], found["errorCode"]) == ("FAILED", "There is none.", "NO_SNAPSHOT")
    assert found["errorDetails"] == {"dataset": "a.b"}
    refused = await api.refused(CANCEL, id=found["id"])
    assert (refused["errorCode"], refused["code"], refused["path"]) == ("OPERATION_ENDED", "CONFLICT", ["id"])
    assert refused["details"] == {"operationId": str(asked.operation_id), "operationStatus": "FAILED"}


async def test_lists_are_paged_and_filtered_and_load_results_once(
    api: Api, leases: OperationLeases, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [await start(api, n=n) for n in range(5)]
    for n in range(2):
        await leases.succeed((await begin(api, leases)).lease, HALF, n)
    calls: Counter[str] = Counter()
    find_results = OperationStore.find_results

    async def counting(self: OperationStore, ids: list[UUID]) -> Any:
        calls["find_results"] += 1
        return await find_results(self, ids)

    monkeypatch.setattr(OperationStore, "find_results", counting)

    first = (await api.data(LIST, first=3))["operations"]
    rest = (await api.data(LIST, first=3, after=first["pageInfo"]["endCursor"]))["operations"]

    shown = [each["operationId"] for each in (*first["nodes"], *rest["nodes"])]
    assert shown == [str(each.operation_id) for each in reversed(made)]
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (5, True, False)
    assert [each["result"] for each in rest["nodes"]] == [1, 0]
    assert calls == {"find_results": 1}
    queued = (await api.data(LIST, status="QUEUED", kind="ROW_DIFF"))["operations"]
    assert (queued["totalCount"], {each["status"] for each in queued["nodes"]}) == (3, {"QUEUED"})
    for wrong in ({"first": 0}, {"first": 101}, {"after": "x"}, {"after": of_kind("changes", "1", str(uuid4()))}):
        assert (await api.run(LIST, **wrong)).codes == ["INVALID_PAGE"]


async def test_cancelling_is_done_once_and_twice_is_the_same(api: Api, leases: OperationLeases) -> None:
    waiting, running = await start(api), None
    node_id = operation_id(waiting.operation_id)

    first = (await api.data(CANCEL, id=node_id))["cancelOperation"]
    again = (await api.data(CANCEL, id=node_id))["cancelOperation"]

    assert first["userErrors"] == []
    assert (first["operation"]["status"], first["operation"]["endedAt"] is None) == ("CANCELLED", False)
    assert again == first

    running = await start(api)
    await begin(api, leases)
    told = (await api.data(CANCEL, id=operation_id(running.operation_id)))["cancelOperation"]
    assert told["userErrors"] == []
    assert (told["operation"]["status"], told["operation"]["isCancelRequested"]) == ("RUNNING", True)


HOSTILE = {
    "empty": "",
    "a UUID": str(uuid4()),
    "10 kB": "x" * 10_000,
    "no UUID inside": of_kind("operation", "nobody"),
    "10 kB inside": of_kind("operation", "x" * 10_000),
    "two keys": of_kind("operation", str(uuid4()), "x"),
    "of a change": change_id(uuid4()),
    "of a run": of_kind("run", str(uuid4())),
    "of a model": of_kind("model", "churn"),
    "of an unknown kind": of_kind("sofa", "x"),
    "not ASCII": "ü" * 40,
    "NUL": "a\x00",
    "a graph's id": "dataset:sales:orders",
}


@pytest.mark.parametrize("node_id", HOSTILE.values(), ids=HOSTILE)
async def test_ids_that_are_none_are_refused(api: Api, node_id: str) -> None:
    answer = await api.run(OPERATION, id=node_id)
    refused = await api.refused(CANCEL, id=node_id)

    assert answer.data == {"operation": None}
    assert answer.codes == [refused["errorCode"]] == ["INVALID_ARGUMENT"]
    assert (refused["code"], refused["path"]) == ("INVALID", ["id"])
    assert len(refused["message"]) < 300


async def test_an_operation_that_is_not_there_is_not_found(api: Api) -> None:
    nobody = uuid4()
    node_id = operation_id(nobody)

    refused = await api.refused(CANCEL, id=node_id)

    for query in (OPERATION, NODE):
        answer = await api.run(query, id=node_id)
        assert answer.codes == ["OPERATION_NOT_FOUND"]
        assert answer.errors[0]["extensions"]["fields"] == {"operationId": str(nobody)}
    assert (refused["__typename"], refused["ref"], refused["path"]) == ("NotFoundError", str(nobody), ["id"])


async def test_lineage_passes_through_no_operation(api: Api) -> None:
    asked = await start(api)

    answer = await api.run("query($id: ID!) { lineage(root: $id) { nodeCount } }", id=operation_id(asked.operation_id))

    assert answer.codes == ["INVALID_ARGUMENT"]
