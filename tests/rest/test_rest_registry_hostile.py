"""What is refused of the registry's REST face, and how: typed, with the place of what is wrong, and nothing written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from starlette.testclient import TestClient

from app.rest.bodies import parse_json
from app.rest.registry_bodies import MODEL_BYTES, TAG_BYTES
from tests.lake_tables import ORDERS, SmallLake
from tests.rest.conftest import rest_client
from tests.rest.test_rest_registry import DAG, MODELS, PIPELINES, RUN_ID, RUNS, run_body

JSON = {"Content-Type": "application/json"}
VERSIONS = f"{MODELS}/churn/versions"
USE = {"dataset": ORDERS, "at": "latest"}


@pytest.fixture(scope="module")
def client(shared_lake: SmallLake) -> Iterator[TestClient]:
    """The REST face on a registry with one model and one pipeline, which every test leaves as it is."""
    with rest_client(shared_lake.settings) as opened:
        opened.post(f"{MODELS}/known/versions", json={})
        opened.post(f"{PIPELINES}/nightly/known/versions", json={"dag": DAG})
        yield opened


def used(dataset: str, at: Any) -> dict[str, Any]:
    return {"inputs": [{"dataset": dataset, "at": at}]}


def refused(response: Any, status: int, code: str) -> dict[str, Any]:
    problem: dict[str, Any] = response.json()
    assert (response.status_code, problem["code"]) == (status, code), problem
    assert response.headers["content-type"] == "application/problem+json"
    return problem


HOSTILE: list[tuple[str, bytes, str, str]] = [
    ("nothing", b"", "", "no JSON"),
    ("not JSON", b"{", "", "no JSON"),
    ("not UTF-8", b'{"framework": "\xff"}', "", "not UTF-8"),
    ("UTF-16", '{"framework": "x"}'.encode("utf-16"), "", "not UTF-8"),
    ("two documents", b"{} {}", "", "no JSON"),
    ("a list", b"[]", "", "an object is needed"),
    ("null", b"null", "", "an object is needed"),
    ("NaN", b'{"metrics": [{"name": "auc", "value": NaN}]}', "/metrics/0/value", "NaN and infinity"),
    ("infinity", b'{"parameters": {"a": [-Infinity]}}', "/parameters/a/0", "NaN and infinity"),
    ("beyond doubles", b'{"parameters": {"a": 1e400}}', "/parameters/a", "NaN and infinity"),
    ("beyond 64 bits", b'{"parameters": {"a": 9223372036854775808}}', "/parameters/a", "more than 64 bits"),
    ("thousands of digits", b'{"parameters": {"a": ' + b"9" * 10_000 + b"}}", "/parameters/a", "more than 64 bits"),
    ("NUL", b'{"framework": "a\\u0000"}', "/framework", "NUL or a lone surrogate"),
    ("lone surrogate", b'{"parameters": {"a/b": "\\ud800"}}', "/parameters/a~1b", "NUL or a lone surrogate"),
    ("lone surrogate in a name", b'{"parameters": {"\\udc00": 1}}', "/parameters", "NUL or a lone surrogate"),
    ("nested", b'{"parameters": {"a": ' + b"[" * 100 + b"]" * 100 + b"}}", "/parameters/a" + "/0" * 62, "deeper"),
    ("nested far", b'{"parameters": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}", "", "deeper"),
    ("twice", b'{"framework": "a", "framework": "b"}', "/framework", "twice"),
    ("twice within", b'{"parameters": {"a": [{"b": 1, "b": 1}]}}', "/parameters/a/0/b", "twice"),
    ("unknown member", b'{"artifactUri": "s3://x"}', "/artifactUri", "no such member"),
    ("unknown within", b'{"metrics": [{"name": "a", "value": 1, "up": true}]}', "/metrics/0/up", "no such member"),
    ("text for a list", b'{"metrics": "auc"}', "/metrics", "a list is needed"),
    ("text for a number", b'{"metrics": [{"name": "auc", "value": "1"}]}', "/metrics/0/value", "a number is needed"),
    ("null for a number", b'{"metrics": {"auc": null}}', "/metrics/0/value", "a number is needed"),
    ("number for a text", b'{"framework": 1}', "/framework", "a text is needed"),
    ("list for an object", b'{"parameters": []}', "/parameters", "an object is needed"),
    ("missing", b'{"training_data": [{"dataset": "a.b"}]}', "/training_data/0/at", "it is missing"),
    ("dataset", b'{"training_data": [{"dataset": 5, "at": "x"}]}', "/training_data/0/dataset", "namespace.table"),
    (
        "dataset's member",
        b'{"training_data": [{"dataset": {"namespace": "a"}, "at": "x"}]}',
        "/training_data/0/dataset",
        "namespace.table",
    ),
    (
        "rounded id",
        b'{"training_data": [{"dataset": "a.b", "at": {"snapshot_id": 9007199254740993}}]}',
        "/training_data/0/at/snapshot_id",
        "may have been rounded",
    ),
    (
        "role",
        b'{"training_data": [{"dataset": "a.b", "at": "x", "role": "training"}]}',
        "/training_data/0/role",
        "did you mean TRAINING?",
    ),
    ("a number as version", b'{"training_data": [{"dataset": "a.b", "at": 5}]}', "/training_data/0/at", "an object"),
    ("run id", b'{"run_id": 5}', "/run_id", "a UUID"),
    ("too many metrics", orjson.dumps({"metrics": {str(n): 1 for n in range(1001)}}), "/metrics", "1000"),
]


@pytest.mark.parametrize(("case", "body", "pointer", "reason"), HOSTILE, ids=[each[0] for each in HOSTILE])
def test_a_hostile_body_is_refused_with_its_pointer(
    client: TestClient, case: str, body: bytes, pointer: str, reason: str
) -> None:
    problem = refused(client.post(VERSIONS, content=body, headers=JSON), 400, "INVALID_BODY")

    assert problem["pointer"] == pointer, case
    assert reason in problem["reason"]
    assert client.get(f"{MODELS}/churn").status_code == 404


def test_an_unknown_member_is_told_with_the_closest_one(client: TestClient) -> None:
    problem = refused(client.post(VERSIONS, json={"artifactUri": "s3://x"}), 400, "INVALID_BODY")

    assert problem["suggestions"] == ["artifact_uri"]


def test_a_million_unknown_members_are_one_error(client: TestClient) -> None:
    body = b'{"metrics": [{%s}]}' % b",".join(b'"x%d":1' % n for n in range(200_000))

    problem = refused(client.post(VERSIONS, content=body, headers=JSON), 400, "INVALID_BODY")

    assert problem["pointer"] == "/metrics/0/x0"


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize(("path", "limit"), [(VERSIONS, MODEL_BYTES), (f"{MODELS}/known/tags/x", TAG_BYTES)])
def test_a_body_of_50_mb_is_refused(client: TestClient, path: str, limit: int, is_chunked: bool) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(50):
            yield b" " * 1024 * 1024

    content: Any = chunks() if is_chunked else b" " * 50 * 1024 * 1024
    method = "PUT" if "/tags/" in path else "POST"

    problem = refused(client.request(method, path, content=content, headers=JSON), 413, "BODY_TOO_LARGE")

    assert problem["limitBytes"] == str(limit)
    assert "event" not in problem["detail"]


@pytest.mark.parametrize(
    ("case", "headers"),
    [
        ("a form", {"Content-Type": "application/x-www-form-urlencoded"}),
        ("text", {"Content-Type": "text/plain"}),
        ("no type", {}),
        ("compressed", JSON | {"Content-Encoding": "gzip"}),
    ],
)
@pytest.mark.parametrize("path", [VERSIONS, f"{MODELS}/known/versions/1/archive", RUNS, "/api/v1/promotions"])
def test_what_no_preflight_guards_is_refused(client: TestClient, case: str, headers: dict[str, str], path: str) -> None:
    refused(client.post(path, content=b"{}", headers=headers), 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    ("case", "method", "path", "status", "code"),
    [
        ("model", "GET", f"{MODELS}/nope", 404, "MODEL_NOT_FOUND"),
        ("model's versions", "GET", f"{MODELS}/nope/versions", 404, "MODEL_NOT_FOUND"),
        ("model's tags", "GET", f"{MODELS}/nope/tags", 404, "MODEL_NOT_FOUND"),
        ("NUL in a model", "GET", f"{MODELS}/%00/versions", 404, "MODEL_NOT_FOUND"),
        ("NUL in a pipeline", "GET", f"{PIPELINES}/%00/runs", 404, "PIPELINE_NOT_FOUND"),
        ("NUL in a tag", "DELETE", f"{MODELS}/known/tags/%00", 404, "TAG_NOT_FOUND"),
        ("version", "GET", f"{MODELS}/known/versions/7", 404, "VERSION_NOT_FOUND"),
        ("card", "GET", f"{MODELS}/known/versions/7/card", 404, "VERSION_NOT_FOUND"),
        ("version 0", "GET", f"{MODELS}/known/versions/0", 400, "INVALID_REFERENCE"),
        ("a long number", "GET", f"{MODELS}/known/versions/{'9' * 200}", 400, "INVALID_REFERENCE"),
        ("a branch", "GET", f"{MODELS}/known/versions/branch:main", 400, "INVALID_REFERENCE"),
        ("a tag", "GET", f"{MODELS}/known/versions/tag:nope", 404, "TAG_NOT_FOUND"),
        ("before the first", "GET", f"{MODELS}/known/versions/2000-01-01", 404, "VERSION_NOT_FOUND"),
        ("archive", "POST", f"{MODELS}/known/versions/7/archive", 404, "VERSION_NOT_FOUND"),
        ("archive by name", "POST", f"{MODELS}/known/versions/latest/archive", 400, "INVALID_ARGUMENT"),
        ("archive 0", "POST", f"{MODELS}/known/versions/0/archive", 400, "INVALID_ARGUMENT"),
        ("archive in other digits", "POST", f"{MODELS}/known/versions/%D9%A1/archive", 400, "INVALID_ARGUMENT"),
        ("archive of none", "POST", f"{MODELS}/nope/versions/1/archive", 404, "MODEL_NOT_FOUND"),
        ("name with a colon", "POST", f"{MODELS}/a:b/versions", 400, "INVALID_NAME"),
        ("name with a slash", "POST", f"{MODELS}/a%2Fb/versions", 400, "INVALID_NAME"),
        ("pipeline", "GET", f"{PIPELINES}/nightly/knwon", 404, "PIPELINE_NOT_FOUND"),
        ("pipeline's version", "GET", f"{PIPELINES}/nightly/known/versions/2", 404, "VERSION_NOT_FOUND"),
        ("pipeline's runs", "GET", f"{PIPELINES}/nope/runs", 404, "PIPELINE_NOT_FOUND"),
        ("run", "GET", f"{RUNS}/{RUN_ID}", 404, "LINEAGE_RUN_NOT_FOUND"),
        ("run id", "GET", f"{RUNS}/1", 400, "INVALID_ARGUMENT"),
        ("status", "GET", f"{PIPELINES}/nightly/known/runs?status=ok", 400, "INVALID_ARGUMENT"),
        ("time", "GET", f"{PIPELINES}/nightly/known/runs?started_from=today", 400, "INVALID_ARGUMENT"),
        ("page", "GET", f"{MODELS}?first=101", 400, "INVALID_PAGE"),
        ("cursor", "GET", f"{MODELS}?after=x", 400, "INVALID_PAGE"),
        ("parameter", "GET", f"{MODELS}/known?x=1", 400, "INVALID_ARGUMENT"),
        ("tag on nothing", "PUT", f"{MODELS}/nope/tags/x", 404, "MODEL_NOT_FOUND"),
        ("tag's name", "PUT", f"{MODELS}/known/tags/a b", 400, "INVALID_NAME"),
        ("reserved tag", "PUT", f"{MODELS}/known/tags/latest", 400, "INVALID_NAME"),
        ("untag nothing", "DELETE", f"{PIPELINES}/nope/tags/x", 404, "PIPELINE_NOT_FOUND"),
        ("no such path", "GET", f"{MODELS}/known/runs", 404, "UNKNOWN_PATH"),
        ("empty name", "GET", f"{MODELS}/", 404, "UNKNOWN_PATH"),
        ("empty ref", "GET", f"{MODELS}/known/versions/", 404, "UNKNOWN_PATH"),
        ("not UTF-8", "GET", f"{MODELS}/%FF", 400, "INVALID_ARGUMENT"),
        ("method", "DELETE", f"{MODELS}/known", 405, "METHOD_NOT_ALLOWED"),
        ("method of a list", "PUT", f"{PIPELINES}/nightly/known/versions", 405, "METHOD_NOT_ALLOWED"),
        ("reading runs at once", "GET", RUNS, 405, "METHOD_NOT_ALLOWED"),
    ],
)
def test_what_is_not_there_or_malformed(
    client: TestClient, case: str, method: str, path: str, status: int, code: str
) -> None:
    content = {"content": b"{}", "headers": JSON} if method in ("POST", "PUT") else {}

    refused(client.request(method, path, **content), status, code)  # type: ignore[arg-type]


def test_methods_that_are_allowed_are_told(client: TestClient) -> None:
    assert client.delete(VERSIONS).headers["allow"] == "GET, HEAD, POST"
    assert client.head(f"{MODELS}/known").status_code == 200


@pytest.mark.parametrize(
    ("case", "changes", "code", "told"),
    [
        ("ends before it starts", {"ended_at": "2026-02-15T09:59:59Z"}, "INVALID_ARGUMENT", ("argument", "ended_at")),
        ("goes on and has ended", {"status": "RUNNING"}, "INVALID_ARGUMENT", ("argument", "ended_at")),
        ("over without an end", {"ended_at": None}, "INVALID_ARGUMENT", ("argument", "ended_at")),
        ("error of a success", {"error": "x"}, "INVALID_ARGUMENT", ("argument", "error")),
        ("status", {"status": "COMPLETE"}, "INVALID_BODY", ("pointer", "/status")),
        ("time without a zone", {"started_at": "2026-02-15T10:00:00"}, "INVALID_BODY", ("pointer", "/started_at")),
        ("no time", {"started_at": "yesterday"}, "INVALID_BODY", ("pointer", "/started_at")),
        ("year 10000", {"ended_at": "10000-01-01T00:00:00Z"}, "INVALID_BODY", ("pointer", "/ended_at")),
        ("a number for a time", {"started_at": 0}, "INVALID_BODY", ("pointer", "/started_at")),
        ("version of no pipeline", {"version_number": 1}, "PIPELINE_NOT_FOUND", ("pipelineId", "spark://x/daily")),
        (
            "version that is not there",
            {"pipeline_id": "nightly/known", "version_number": 9},
            "VERSION_NOT_FOUND",
            ("ref", "9"),
        ),
        (
            "version beyond any",
            {"pipeline_id": "nightly/known", "version_number": 2**40},
            "INVALID_REFERENCE",
            ("ref", str(2**40)),
        ),
        ("empty pipeline", {"pipeline_id": " "}, "INVALID_NAME", ("kind", "pipeline")),
        ("dataset", used("sales.order", "latest"), "DATASET_NOT_FOUND", ("dataset", "sales.order")),
        ("snapshot", used(ORDERS, "12345"), "VERSION_NOT_FOUND", ("ref", "12345")),
        (
            "two selectors",
            used(ORDERS, {"tag": "a", "branch": "b"}),
            "AMBIGUOUS_REFERENCE",
            ("given", ["tag", "branch"]),
        ),
        ("no selector", used(ORDERS, {}), "AMBIGUOUS_REFERENCE", ("given", [])),
        ("dataset's name", used("orders", "latest"), "INVALID_NAME", ("kind", "dataset")),
    ],
)
def test_a_run_that_cannot_be_is_refused(
    client: TestClient, case: str, changes: dict[str, Any], code: str, told: tuple[str, Any]
) -> None:
    response = client.post(RUNS, json=run_body(**changes))

    problem = response.json()
    assert (problem["code"], problem[told[0]]) == (code, told[1]), (case, problem)
    assert response.status_code in (400, 404)
    assert client.get(f"{RUNS}/{RUN_ID}").status_code == 404


@pytest.mark.parametrize(
    ("case", "dag", "pointer"),
    [
        ("dangling edge", {"tasks": [{"id": "a"}], "edges": [["a", "b"]]}, "/edges/0/1"),
        ("two tasks of one id", {"tasks": [{"id": "a"}, {"id": "a"}]}, "/tasks/1"),
        ("no DAG", [], ""),
        ("null", None, ""),
    ],
)
def test_a_dag_that_is_none_is_refused(client: TestClient, case: str, dag: Any, pointer: str) -> None:
    problem = refused(client.post(f"{PIPELINES}/new/versions", json={"dag": dag}), 400, "INVALID_DAG")

    assert problem["pointer"] == pointer, case
    assert client.get(f"{PIPELINES}/new").status_code == 404


def test_a_cycle_is_told_with_its_edge_and_its_tasks(client: TestClient) -> None:
    dag = {"tasks": [{"id": name} for name in "abc"], "edges": [["a", "b"], ["b", "c"], ["c", "b"]]}

    problem = refused(client.post(f"{PIPELINES}/new/versions", json={"dag": dag}), 400, "INVALID_DAG")

    assert problem["pointer"] in ("/edges/1", "/edges/2")
    assert (sorted(problem["cycle"]), problem["cycleLength"]) == (["b", "c"], 2)


@pytest.mark.parametrize(
    ("case", "body", "code"),
    [
        ("itself", {"target_at": "main~1"}, "INVALID_ARGUMENT"),
        ("unknown dataset", {"target": "sales.nope"}, "DATASET_NOT_FOUND"),
        ("unknown version", {"source_at": "nope"}, "VERSION_NOT_FOUND"),
        ("empty table", {"target": "sales.empty"}, "NO_SNAPSHOT"),
        ("broken table", {"target": "sales.broken"}, "UNREADABLE_TABLE"),
        ("pipeline", {"pipeline_id": ""}, "INVALID_NAME"),
        ("reason", {"reason": "x" * 3000}, "INVALID_ARGUMENT"),
    ],
)
def test_a_promotion_that_cannot_be_is_refused(client: TestClient, case: str, body: dict[str, Any], code: str) -> None:
    whole = {"source": ORDERS, "source_at": "main~1", "target": ORDERS, "target_at": "latest", **body}

    assert client.post("/api/v1/promotions", json=whole).json()["code"] == code, case


@pytest.mark.parametrize(
    ("header", "value"),
    [("X-Actor", " "), ("X-Actor", "x" * 201), ("Idempotency-Key", ""), ("Idempotency-Key", "x" * 201)],
)
def test_a_malformed_header_is_told_by_its_name(client: TestClient, header: str, value: str) -> None:
    problem = refused(client.post(VERSIONS, json={}, headers={header: value}), 400, "INVALID_ARGUMENT")

    assert problem["argument"] == header


def test_arguments_are_told_as_the_body_has_them(client: TestClient) -> None:
    for body, argument in (
        ({"artifact_uri": " "}, "artifact_uri"),
        ({"training_data": [USE, USE]}, "training_data"),
        ({"metrics": [{"name": "a", "value": 1}, {"name": "a", "value": 2}]}, "metrics"),
        ({"parameters": {"a": "x" * 1_000_001}}, "parameters"),
    ):
        assert refused(client.post(VERSIONS, json=body), 400, "INVALID_ARGUMENT")["argument"] == argument


def test_large_bodies_are_read_too(client: TestClient) -> None:
    body = {"dag": DAG, "code": "é" * 1_500_000}

    response = client.post(f"{PIPELINES}/large/versions", json=body)

    assert response.status_code == 201, response.text[:500]
    assert response.json()["pipeline_version"]["code"] == body["code"]


def test_json_is_read_as_it_is_written() -> None:
    assert parse_json(
        b'\xef\xbb\xbf{"a": [9223372036854775807, -9223372036854775808, 0.1, true, null, "\\u00e9"]}'
    ) == {"a": [2**63 - 1, -(2**63), 0.1, True, None, "é"]}


@pytest.mark.parametrize("uri", ["", " ", "/nowhere", "ftp://host/x", "s3://", "file:///etc/", "no uri", "x" * 3000])
def test_a_place_that_takes_no_artifacts_is_refused(own_api: TestClient, uri: str) -> None:
    own_api.post(f"{MODELS}/churn/versions", json={"artifact_uri": "file:///tmp/none/model.bin"})

    response = own_api.post(f"{MODELS}/churn/versions/1/archive", json={"cold_storage_uri": uri})

    problem = response.json()
    assert 400 <= response.status_code < 500, problem
    assert problem.get("argument", "cold_storage_uri") == "cold_storage_uri"
    assert own_api.get(f"{MODELS}/churn/versions/1").json()["archived_at"] is None
