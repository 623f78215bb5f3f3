"""Removing orphans over GraphQL: as an operation, a dry one unless told otherwise."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog import Catalog

from tests.graphql.api import Api
from tests.graphql.registry import ERRORS
from tests.lake_tables import ORDERS, Orders

pytestmark = pytest.mark.anyio

REMOVE = f"""mutation($input: RemoveOrphansInput!) {{ removeOrphans(input: $input) {{
  operation {{ id kind status request reason }} {ERRORS} }} }}"""
OPERATION = "query($id: ID!) { operation(id: $id) { status result } }"
ORDERS_REF = {"namespace": "sales", "name": "orders"}


@pytest.fixture
def orphan(catalog: Catalog, orders: Orders) -> Path:
    """A file that a writer has left five days ago."""
    path = Path(catalog.load_table(ORDERS).location().removeprefix("file://")) / "data" / "left.parquet"
    path.write_bytes(b"x" * 10)
    then = time.time() - 5 * 86_400
    os.utime(path, (then, then))
    return path


def is_there(path: Path) -> bool:
    return path.exists()


async def run(api: Api, **given: Any) -> Any:
    """The result of an operation that was started and done."""
    payload = (await api.data(REMOVE, input={"dataset": ORDERS_REF, **given}))["removeOrphans"]
    assert payload["userErrors"] == []
    assert (payload["operation"]["kind"], payload["operation"]["status"]) == ("ORPHANS", "QUEUED")
    assert await api.services.operation_runner.run_next(asyncio.Event())
    found = (await api.data(OPERATION, id=payload["operation"]["id"]))["operation"]
    assert found["status"] == "SUCCEEDED", found
    return found["result"]


async def test_a_dry_run_is_the_default_and_the_other_removes(api: Api, orphan: Path) -> None:
    told = await run(api)
    assert (told["dry_run"], told["orphans"], told["bytes"], told["removed"]) == (
        True,
        {"ORPHAN": 1},
        {"ORPHAN": 10},
        0,
    )
    assert [Path(each["path"]).name for each in told["listed"]] == [orphan.name]
    assert is_there(orphan)

    assert (await run(api, olderThanDays=6, dryRun=False))["removed"] == 0
    assert is_there(orphan)

    done = await run(api, dryRun=False, reason="monthly")
    assert (done["removed"], done["removed_bytes"], done["left"]) == (1, 10, 0)
    assert not is_there(orphan)


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        pytest.param({"olderThanDays": 0.5}, "INVALID_ARGUMENT", ["input", "olderThanDays"], id="young"),
        pytest.param(
            {"olderThanDays": -1, "force": True}, "INVALID_ARGUMENT", ["input", "olderThanDays"], id="negative"
        ),
        pytest.param(
            {"dataset": {"namespace": "sales", "name": "nothing"}},
            "DATASET_NOT_FOUND",
            ["input", "dataset"],
            id="unknown",
        ),
    ],
)
async def test_what_cannot_be_is_refused_by_its_field(
    api: Api, orphan: Path, given: dict[str, Any], code: str, path: list[str]
) -> None:
    payload = (await api.data(REMOVE, input={"dataset": ORDERS_REF, **given}))["removeOrphans"]
    assert payload["operation"] is None
    (error,) = payload["userErrors"]
    assert (error["errorCode"], error["path"]) == (code, path)


async def test_a_table_whose_files_may_be_shared_is_refused_with_the_reason(
    api: Api, catalog: Catalog, orphan: Path
) -> None:
    with catalog.load_table(ORDERS).transaction() as change:
        change.set_properties({"gc.enabled": "false"})

    payload = (await api.data(REMOVE, input={"dataset": ORDERS_REF, "dryRun": False}))["removeOrphans"]

    (error,) = payload["userErrors"]
    assert error["errorCode"] == "UNSUPPORTED_TABLE"
    assert "gc.enabled=false" in error["message"]
    assert is_there(orphan)
