"""What compaction over GraphQL refuses, by the field that is at fault."""

from __future__ import annotations

from typing import Any

import pytest

from tests.graphql.api import Api
from tests.graphql.test_graphql_compaction import PLAN, RUN
from tests.lake_tables import Orders

pytestmark = pytest.mark.anyio

ORDERS_REF = {"namespace": "sales", "name": "orders"}
MOST = 2**31 - 1
POLICY = ["input", "policy"]


@pytest.mark.parametrize(
    ("policy", "argument"),
    [
        ({"targetFileSizeMb": 5}, "minFileSizeMb"),
        ({"targetFileSizeMb": 64, "minFileSizeMb": 65}, "minFileSizeMb"),
        ({"targetFileSizeMb": 0}, "targetFileSizeMb"),
        ({"targetFileSizeMb": -1}, "targetFileSizeMb"),
        ({"targetFileSizeMb": MOST}, "targetFileSizeMb"),
        ({"minFileSizeMb": 0}, "minFileSizeMb"),
        ({"minFileSizeMb": -(2**31)}, "minFileSizeMb"),
        ({"minFileSizeMb": MOST}, "minFileSizeMb"),
        ({"maxConcurrentFiles": 1}, "maxConcurrentFiles"),
        ({"maxConcurrentFiles": 10_001}, "maxConcurrentFiles"),
    ],
)
async def test_a_policy_that_is_none_is_refused_by_its_field(
    api: Api, orders: Orders, policy: dict[str, int], argument: str
) -> None:
    answer = await api.run(PLAN, ns="sales", name="orders", policy=policy)
    (error,) = answer.errors
    assert (error["extensions"]["code"], error["extensions"]["fields"]["argument"]) == ("INVALID_ARGUMENT", argument)
    assert error["path"] == ["dataset", "compaction"]
    assert answer.data["dataset"]["compaction"] is None

    refused = await api.refused(RUN, input={"all": True, "policy": policy})
    assert (refused["errorCode"], refused["path"]) == ("INVALID_ARGUMENT", [*POLICY, argument])


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
        ({"all": True, "budget": "some"}, "INVALID_ARGUMENT", ["input", "budget"]),
        ({"all": True, "budget": ""}, "INVALID_ARGUMENT", ["input", "budget"]),
        ({"all": True, "budget": "0GB"}, "INVALID_ARGUMENT", ["input", "budget"]),
        ({"all": True, "budget": "-1GB"}, "INVALID_ARGUMENT", ["input", "budget"]),
        ({"all": True, "budget": "9" * 18 + "TB"}, "INVALID_ARGUMENT", ["input", "budget"]),
        ({"all": True, "budget": "1" * 5000 + "m"}, "INVALID_ARGUMENT", ["input", "budget"]),
        ({"all": True, "skipActive": "15"}, "INVALID_ARGUMENT", ["input", "skipActive"]),
        ({"all": True, "skipActive": "\x00"}, "INVALID_ARGUMENT", ["input", "skipActive"]),
        ({"all": True, "reason": "  "}, "INVALID_ARGUMENT", ["input", "reason"]),
        ({"all": True, "reason": "a\x00b"}, "INVALID_ARGUMENT", ["input", "reason"]),
        ({"all": True, "idempotencyKey": ""}, "INVALID_ARGUMENT", ["input", "idempotencyKey"]),
    ],
)
async def test_what_cannot_be_started_is_told_by_its_field(
    api: Api, orders: Orders, given: dict[str, Any], code: str, path: list[str]
) -> None:
    error = await api.refused(RUN, input=given)
    assert (error["errorCode"], error["path"]) == (code, path)
    operations = await api.data("{ operations { totalCount } }")
    assert operations["operations"]["totalCount"] == 0


async def test_an_unknown_dataset_is_told_with_one_like_it(api: Api, orders: Orders) -> None:
    error = await api.refused(RUN, input={"dataset": {"namespace": "sales", "name": "order"}})
    assert (error["__typename"], error["suggestions"]) == ("NotFoundError", ["sales.orders"])
    answer = await api.run(PLAN, ns="sales", name="order")
    assert (answer.codes, answer.data) == (["DATASET_NOT_FOUND"], {"dataset": None})


async def test_numbers_that_are_none_are_refused_ahead_of_everything(api: Api, orders: Orders) -> None:
    for policy in (
        {"targetFileSizeMb": 2**40},
        {"targetFileSizeMb": "512MB"},
        {"minFileSizeMb": 1.5},
        {"rewriteAll": 1},
        {"targetMb": 1},
    ):
        for query, variables in ((PLAN, {"policy": policy}), (RUN, {"input": {"all": True, "policy": policy}})):
            answer = await api.run(query, **variables)
            assert answer.data is None and answer.errors
            assert "INTERNAL_ERROR" not in answer.codes
