"""Operations over REST: looked at, listed, cancelled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from app.domain.operations import Operation, OperationFailure
from app.registry.operation_leases import ClaimedOperation, OperationLeases
from app.rest.operations import operation_response
from tests.integration.operations.jobs import HALF, KIND, READING, by, claim

PATH = "/api/v1/operations"
# The same in every process that collects tests.
NOBODYS = "5f0b3c6e-6a5d-4c93-9a53-0d1f3e4a7b21"
FAILURE = OperationFailure(code="NO_SNAPSHOT", message="There is none.", fields={"dataset": "a.b"})
MEMBERS = [
    "id",
    "kind",
    "status",
    "progress",
    "message",
    "started_at",
    "ended_at",
    "error",
    "request",
    "requested_at",
    "requested_by",
    "reason",
    "cancel_requested",
]


class Worker:
    """What a worker does with the operations of a server, one statement at a time."""

    def __init__(self, client: TestClient) -> None:
        self._client = client
        self._services: Any = client.app.state.services  # type: ignore[attr-defined]

    def start(self, **request: Any) -> Operation:
        return self._call(lambda _: self._services.operations.start(KIND, request, by(reason="to see")))

    def begin(self) -> ClaimedOperation:
        async def run(leases: OperationLeases) -> ClaimedOperation:
            claimed = await claim(leases)
            await leases.renew(claimed.lease, READING, lease_s=60, timeout_s=10)
            return claimed

        return self._call(run)

    def succeed(self, claimed: ClaimedOperation, result: Any) -> None:
        assert self._call(lambda leases: leases.succeed(claimed.lease, HALF, result))

    def fail(self, claimed: ClaimedOperation) -> None:
        assert self._call(lambda leases: leases.fail(claimed.lease, HALF, FAILURE))

    def _call(self, work: Callable[[OperationLeases], Any]) -> Any:
        assert self._client.portal is not None

        async def run() -> Any:
            return await work(self._services.operation_runner._leases)

        return self._client.portal.call(run)


@pytest.fixture
def worker(own_api: TestClient) -> Worker:
    return Worker(own_api)


def test_an_operation_is_shown_from_its_begin_to_its_end(own_api: TestClient, worker: Worker) -> None:
    asked = worker.start(dataset="a.b")
    path = f"{PATH}/{asked.operation_id}"

    waiting = own_api.get(path)
    claimed = worker.begin()
    running = own_api.get(path)
    worker.succeed(claimed, {"z": 1, "a": [2.0]})
    done = own_api.get(path)

    assert waiting.status_code == 200
    assert list(waiting.json()) == [*MEMBERS, "result"]
    assert waiting.json() | {"requested_at": "…"} == {
        "id": str(asked.operation_id),
        "kind": "ROW_DIFF",
        "status": "QUEUED",
        "progress": 0.0,
        "message": None,
        "started_at": None,
        "ended_at": None,
        "error": None,
        "request": {"dataset": "a.b"},
        "requested_at": "…",
        "requested_by": "ada",
        "reason": "to see",
        "cancel_requested": False,
        "result": None,
    }
    assert (running.json()["status"], running.json()["progress"], running.json()["message"]) == (
        "RUNNING",
        0.25,
        "reading",
    )
    assert done.json()["status"] == "SUCCEEDED"
    assert done.text.endswith('"result":{"z":1,"a":[2.0]}}')  # as the handler spelled it
    assert done.json()["ended_at"].endswith("Z") and done.json()["started_at"].endswith("Z")
    assert [int(each.headers.get("retry-after", 0)) > 0 for each in (waiting, running, done)] == [True, True, False]
    assert {each.headers["cache-control"] for each in (waiting, running, done)} == {"no-store"}
    head = own_api.head(path)
    assert (head.status_code, head.content) == (200, b"")


def test_lists_are_paged_and_filtered(own_api: TestClient, worker: Worker) -> None:
    assert own_api.get(PATH).json() == {"operations": [], "total": 0, "next": None}
    made = [str(worker.start(n=n).operation_id) for n in range(5)]
    worker.succeed(worker.begin(), "large")

    seen, path = [], f"{PATH}?first=2&kind=ROW_DIFF"
    while path:
        page = own_api.get(path).json()
        assert page["total"] == 5
        assert all(list(entry) == MEMBERS for entry in page["operations"])
        seen += [entry["id"] for entry in page["operations"]]
        path = page["next"]

    assert seen == made[::-1]
    queued = own_api.get(PATH, params={"status": "QUEUED", "limit": 100}).json()
    assert ([entry["id"] for entry in queued["operations"]], queued["total"]) == (made[:0:-1], 4)


def test_cancelling_is_done_once_and_twice_is_the_same(own_api: TestClient, worker: Worker) -> None:
    waiting = worker.start()
    path = f"{PATH}/{waiting.operation_id}"

    first = own_api.post(f"{path}/cancel", headers={"X-Actor": "bo"})
    again = own_api.post(f"{path}/cancel", json={})

    assert (first.status_code, first.json()["status"]) == (200, "CANCELLED")
    assert "retry-after" not in first.headers and "location" not in first.headers
    assert (again.status_code, again.json()) == (200, first.json())
    assert own_api.get(path).json() == first.json()


def test_what_runs_is_told_to_stop(own_api: TestClient, worker: Worker) -> None:
    running = worker.start()
    worker.begin()
    path = f"{PATH}/{running.operation_id}"

    told = own_api.post(f"{path}/cancel")

    assert (told.status_code, told.headers["location"]) == (202, path)
    assert int(told.headers["retry-after"]) > 0
    assert (told.json()["status"], told.json()["cancel_requested"]) == ("RUNNING", True)


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED"])
def test_what_has_ended_cannot_be_cancelled(own_api: TestClient, worker: Worker, status: str) -> None:
    asked = worker.start()
    claimed = worker.begin()
    if status == "FAILED":
        worker.fail(claimed)
    else:
        worker.succeed(claimed, None)
    path = f"{PATH}/{asked.operation_id}"

    refused = own_api.post(f"{path}/cancel")

    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert (refused.json()["code"], refused.json()["status"]) == ("OPERATION_ENDED", 409)
    assert (refused.json()["operationId"], refused.json()["operationStatus"]) == (str(asked.operation_id), status)
    error = own_api.get(path).json()["error"]
    failed = {"code": "NO_SNAPSHOT", "message": "There is none.", "fields": {"dataset": "a.b"}}
    assert error == (failed if status == "FAILED" else None)


def test_what_is_begun_over_rest_says_where_it_is(worker: Worker) -> None:
    asked = worker.start()
    request = Request({"type": "http", "method": "POST", "path": "/x", "headers": [], "root_path": "/lake"})

    response = operation_response(request, asked, status=202)

    assert response.status_code == 202
    assert response.headers["location"] == f"/lake{PATH}/{asked.operation_id}"
    assert "retry-after" in response.headers


def test_an_operation_that_is_not_there_is_not_found(api: TestClient) -> None:
    nobody = uuid4()
    for response in (api.get(f"{PATH}/{nobody}"), api.post(f"{PATH}/{nobody}/cancel")):
        assert response.status_code == 404
        assert response.json()["code"] == "OPERATION_NOT_FOUND"
        assert response.json()["operationId"] == str(nobody)


@pytest.mark.parametrize(
    ("name", "operation_id"),
    [
        ("a word", "nobody"),
        ("10 kB", "x" * 10_000),
        ("braces", f"{{{NOBODYS}}}"),
        ("no hyphens", NOBODYS.replace("-", "")),
        ("a blank", f"{NOBODYS}%20"),
        ("NUL", "%00"),
        ("a bidirectional mark", "%E2%80%AE"),
        ("a node id", "WyJvcGVyYXRpb24iLCJ4Il0"),
    ],
)
def test_ids_that_are_none_are_refused(api: TestClient, name: str, operation_id: str) -> None:
    for response in (api.get(f"{PATH}/{operation_id}"), api.post(f"{PATH}/{operation_id}/cancel")):
        assert (response.status_code, response.json()["code"]) == (400, "INVALID_ARGUMENT"), name
        assert response.json()["argument"] == "operation_id"
        assert len(response.json()["detail"]) < 300


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("status=queued", "INVALID_ARGUMENT"),
        ("kind=TIDYING", "INVALID_ARGUMENT"),
        ("kind=" + "x" * 5000, "INVALID_ARGUMENT"),
        ("first=0", "INVALID_PAGE"),
        ("first=101", "INVALID_PAGE"),
        ("first=x", "INVALID_ARGUMENT"),
        ("after=x", "INVALID_PAGE"),
        ("before=x", "INVALID_ARGUMENT"),
        ("status=QUEUED&status=FAILED", "INVALID_ARGUMENT"),
    ],
)
def test_parameters_that_are_wrong_are_refused(api: TestClient, query: str, code: str) -> None:
    response = api.get(f"{PATH}?{query}")

    assert (response.status_code, response.json()["code"]) == (400, code)


def test_a_close_status_is_offered(api: TestClient) -> None:
    assert "did you mean CANCELLED?" in api.get(f"{PATH}?status=canceled").json()["detail"]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b'{"reason": "x"}', {"Content-Type": "application/json"}, 400),
        (b"[]", {"Content-Type": "application/json"}, 400),
        (b"{", {"Content-Type": "application/json"}, 400),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b" " * 5000, {"Content-Type": "application/json"}, 413),
        (b"", {"X-Actor": " "}, 400),
    ],
)
def test_a_cancellation_that_is_wrong_cancels_nothing(
    own_api: TestClient, worker: Worker, body: bytes, headers: dict[str, str], status: int
) -> None:
    path = f"{PATH}/{worker.start().operation_id}"

    response = own_api.post(f"{path}/cancel", content=body, headers=headers)

    assert response.status_code == status, response.text
    assert own_api.get(path).json()["status"] == "QUEUED"
    assert own_api.get(f"{path}/cancel").status_code == 405
    assert own_api.delete(path).status_code == 405
