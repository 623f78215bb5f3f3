"""What compaction over REST refuses."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.lake_tables import ORDERS
from tests.rest.test_rest_compaction import SALES, SWEEP
from tests.rest.test_rest_registry_hostile import refused


@pytest.mark.parametrize(
    ("query", "argument"),
    [
        ("target_file_size_mb=5", "min_file_size_mb"),
        ("target_file_size_mb=64&min_file_size_mb=65", "min_file_size_mb"),
        ("target_file_size_mb=0", "target_file_size_mb"),
        ("target_file_size_mb=-512MB", "target_file_size_mb"),
        ("target_file_size_mb=512KB", "target_file_size_mb"),
        ("target_file_size_mb=1.5GB", "target_file_size_mb"),
        ("target_file_size_mb=1048577", "target_file_size_mb"),
        ("target_file_size_mb=" + "9" * 18 + "TB", "target_file_size_mb"),
        ("target_file_size_mb=" + "9" * 5000, "target_file_size_mb"),
        ("target_file_size_mb=٣", "target_file_size_mb"),
        ("min_file_size_mb=0", "min_file_size_mb"),
        ("max_concurrent_files=1", "max_concurrent_files"),
        ("max_concurrent_files=10001", "max_concurrent_files"),
        ("max_concurrent_files=1e3", "max_concurrent_files"),
        ("rewrite_all=yes", "rewrite_all"),
        ("rewrite_all=true&rewrite_all=true", "rewrite_all"),
        ("target_mb=1", "target_mb"),
    ],
)
def test_parameters_that_are_none_are_refused(api: TestClient, query: str, argument: str) -> None:
    assert refused(api.get(f"{SALES}?{query}"), 400, "INVALID_ARGUMENT")["argument"] == argument


@pytest.mark.parametrize(
    ("policy", "argument"),
    [
        ({"target_file_size_mb": 5}, "min_file_size_mb"),
        ({"target_file_size_mb": 64, "min_file_size_mb": 65}, "min_file_size_mb"),
        ({"target_file_size_mb": 0}, "target_file_size_mb"),
        ({"target_file_size_mb": -1}, "target_file_size_mb"),
        ({"target_file_size_mb": 2**60}, "target_file_size_mb"),
        ({"min_file_size_mb": 0}, "min_file_size_mb"),
        ({"max_concurrent_files": 1}, "max_concurrent_files"),
        ({"max_concurrent_files": 10_001}, "max_concurrent_files"),
    ],
)
def test_a_policy_that_is_none_is_refused(api: TestClient, policy: dict[str, int], argument: str) -> None:
    for path, body in ((SWEEP, {"all": True, "policy": policy}), (f"{SALES}/runs", {"policy": policy})):
        assert refused(api.post(path, json=body), 400, "INVALID_ARGUMENT")["argument"] == argument
    assert api.get("/api/v1/operations", params={"kind": "COMPACTION"}).json()["total"] == 0


@pytest.mark.parametrize(
    ("body", "status", "code", "fields"),
    [
        ({}, 400, "INVALID_ARGUMENT", {"argument": "dataset"}),
        ({"all": True, "namespace": "sales"}, 400, "INVALID_ARGUMENT", {"argument": "all"}),
        ({"all": True, "dataset": ORDERS}, 400, "INVALID_ARGUMENT", {"argument": "all"}),
        ({"dataset": ORDERS, "namespace": "sales"}, 400, "INVALID_ARGUMENT", {"argument": "namespace"}),
        ({"namespace": "salse"}, 404, "NAMESPACE_NOT_FOUND", {"suggestions": ["sales"]}),
        ({"dataset": "sales.order"}, 404, "DATASET_NOT_FOUND", {"dataset": "sales.order"}),
        ({"dataset": "sales"}, 400, "INVALID_NAME", {}),
        ({"dataset": "sales.broken"}, 503, "UNREADABLE_TABLE", {}),
        ({"all": True, "budget": "10"}, 400, "INVALID_ARGUMENT", {"argument": "budget"}),
        ({"all": True, "budget": "9" * 18 + "TB"}, 400, "INVALID_ARGUMENT", {"argument": "budget"}),
        ({"all": True, "skip_active": "15"}, 400, "INVALID_ARGUMENT", {"argument": "skip_active"}),
        ({"all": True, "reason": "x" * 2001}, 400, "INVALID_ARGUMENT", {"argument": "reason"}),
        ({"all": True, "reason": "x" * 70_000}, 413, "BODY_TOO_LARGE", {}),
    ],
)
def test_a_sweep_that_is_none_is_refused(
    api: TestClient, body: dict[str, Any], status: int, code: str, fields: dict[str, Any]
) -> None:
    problem = refused(api.post(SWEEP, json=body), status, code)
    assert {name: problem[name] for name in fields} == fields
    assert api.get("/api/v1/operations", params={"kind": "COMPACTION"}).json()["total"] == 0


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"policy": {"target_file_size_mb": "512MB"}}, "/policy/target_file_size_mb"),
        ({"policy": {"max_concurrent_files": True}}, "/policy/max_concurrent_files"),
        ({"policy": {"min_file_size_mb": 1.5}}, "/policy/min_file_size_mb"),
        ({"policy": {"rewrite_all": 1}}, "/policy/rewrite_all"),
        ({"policy": {"target_file_size": 1}}, "/policy/target_file_size"),
        ({"policy": []}, "/policy"),
        ({"all": "yes"}, "/all"),
        ({"dry_run": "false"}, "/dry_run"),
        ({"dueOnly": True}, "/dueOnly"),
        ({"budget": 10}, "/budget"),
        ({"skip_active": 15}, "/skip_active"),
        ({"dataset": 1}, "/dataset"),
    ],
)
def test_members_of_another_type_or_name_are_refused(api: TestClient, members: dict[str, Any], pointer: str) -> None:
    problem = refused(api.post(SWEEP, json={"all": True, **members}), 400, "INVALID_BODY")
    assert problem["pointer"] == pointer


def test_what_is_not_there_or_cannot_be_read_is_told(api: TestClient) -> None:
    base = "/api/v1/datasets/sales"
    refused(api.get(f"{base}/order/compaction"), 404, "DATASET_NOT_FOUND")
    refused(api.get(f"{base}/broken/compaction"), 503, "UNREADABLE_TABLE")
    refused(api.post(f"{base}/order/compaction/runs"), 404, "DATASET_NOT_FOUND")
    refused(api.post(f"{base}/broken/compaction/runs"), 503, "UNREADABLE_TABLE")
    refused(api.post(f"{base}/orders/compaction/runs?dry_run=true"), 400, "INVALID_ARGUMENT")
    refused(api.post(f"{base}/orders/compaction/runs", json={"dataset": ORDERS}), 400, "INVALID_BODY")
    assert refused(api.post(SALES), 405, "METHOD_NOT_ALLOWED")
    assert api.get(f"{SALES}/runs").headers["allow"] == "POST"
    refused(api.get(SWEEP), 405, "METHOD_NOT_ALLOWED")
    refused(api.post(SWEEP, content=b"all=true"), 415, "UNSUPPORTED_MEDIA_TYPE")
