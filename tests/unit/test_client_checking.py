"""Checks ahead of a deploy, from Python."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from app.client import IcebergCatalog, check_dataset_rows, check_dataset_schema, check_model
from app.errors import (
    DatasetNotFoundError,
    InvalidArgumentError,
    InvalidNameError,
    ModelNotFoundError,
    UnknownColumnError,
    UnreadableTableError,
    VersionNotFoundError,
)
from tests.changed_tables import CHANGED, OPENED, PRICES, ChangedLake, changed_lake
from tests.evolving_fixtures import EvolvingLake, evolving_lake
from tests.lake_tables import ORDERS
from tests.schema_evolutions import BEFORE

__all__ = ["changed_lake", "evolving_lake"]

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def evolved(evolving_lake: EvolvingLake) -> Iterator[IcebergCatalog]:
    with IcebergCatalog(settings=evolving_lake.lake.settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def changed(changed_lake: ChangedLake) -> Iterator[IcebergCatalog]:
    with IcebergCatalog(settings=changed_lake.lake.settings) as opened:
        for metrics in ({"auc": 0.85, "rmse": 1.2}, {"auc": 0.92, "rmse": 1.5}, {"f1": 0.5}):
            opened.register_model_version("checked", metrics=metrics, training_data=[f"{ORDERS}@latest"])
        yield opened


async def test_a_schema(evolved: IcebergCatalog, evolving_lake: EvolvingLake) -> None:
    ids = evolving_lake.evolving

    async def passed(**options: Any) -> bool:
        found = await check_dataset_schema("sales", "evolving", BEFORE, ids.second, catalog=evolved, **options)
        assert (found["check"], found["to_version"]) == ("schema", str(ids.second))
        return found["passed"]

    lost = ["name", "amount", "fax"]
    assert not await passed()
    assert not await passed(allow="fax")
    assert await passed(allow=lost)
    assert not await passed(allow=lost, breaking=True)
    assert await passed(allow=(*lost, "at"), breaking=True)


async def test_rows(changed: IcebergCatalog) -> None:
    found = await check_dataset_rows("sales", "prices", OPENED, CHANGED, catalog=changed)

    assert found == {
        "check": "rows",
        "name": PRICES,
        "from_version": OPENED,
        "to_version": CHANGED,
        "passed": False,
        "checked": 4,
        "findings": [
            {"subject": "rows removed", "message": "1 of 4 rows went (25 %), and 10 % are allowed", "failure": True}
        ],
    }


@pytest.mark.parametrize(
    ("options", "passed"),
    [
        ({"max_removed": 0.25}, True),
        ({"max_removed": Decimal("0.2499")}, False),
        ({"max_removed": 1, "min_rows": 5}, True),
        ({"max_removed": 1, "min_rows": 6}, False),
        ({"max_removed": 0.25, "key": "id", "any_size": True}, True),
        ({"max_removed": 0.25, "key": []}, False),
    ],
)
async def test_how_many_rows_may_go(changed: IcebergCatalog, options: dict[str, Any], passed: bool) -> None:
    found = await check_dataset_rows("sales", "prices", OPENED, CHANGED, catalog=changed, **options)

    assert found["passed"] is passed


async def test_a_model(changed: IcebergCatalog) -> None:
    async def passed(*versions: int | str, **options: Any) -> bool:
        return (await check_model("checked", *versions, catalog=changed, **options))["passed"]  # type: ignore[arg-type]

    assert not await passed(1, 2)
    assert await passed(1, 2, regression_threshold=0.25)
    assert await passed(1, 2, metric_thresholds={"rmse": 0.25})
    assert not await passed("v2")
    assert await passed("v2", allow_missing=True)


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        *(
            ({"max_removed": share}, "max_removed")
            for share in (float("nan"), float("inf"), -1, 2, "x", "10%", None, True, 1000)
        ),
        *(({"min_rows": number}, "min_rows") for number in (-1, 2**63, 1.5, "1", None)),
        ({"key": 5}, "key"),
        ({"key": ["id", "id"]}, "key"),
        ({"any_size": "no"}, "any_size"),
        ({"to_dataset": 5}, "to_dataset"),
        ({"catalog": 5}, "catalog"),
    ],
)
async def test_rows_refuse_bad_input(changed: IcebergCatalog, options: dict[str, Any], argument: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        await check_dataset_rows("sales", "prices", OPENED, **{"catalog": changed, **options})

    assert refused.value.fields["argument"] == argument


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (("sales", "nope", OPENED), {}, DatasetNotFoundError),
        (("sales", "prices", "nope"), {}, VersionNotFoundError),
        (("sales", "broken", "main"), {}, UnreadableTableError),
        (("sales", "prices", OPENED), {"allow": "nope"}, UnknownColumnError),
        (("sales", "prices", OPENED), {"allow": [5]}, InvalidArgumentError),
        (("sales", "prices", OPENED), {"breaking": 1}, InvalidArgumentError),
        (("sales", "prices", OPENED), {"to_dataset": "x"}, InvalidNameError),
    ],
)
async def test_a_schema_that_cannot_be_told_raises(
    changed: IcebergCatalog, arguments: Any, options: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await check_dataset_schema(*arguments, catalog=changed, **options)


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (("nope", 1), {}, ModelNotFoundError),
        (("checked", 9), {}, VersionNotFoundError),
        (("checked", 1.5), {}, InvalidArgumentError),
        (("checked", 1), {"regression_threshold": 2}, InvalidArgumentError),
        (("checked", 1), {"metric_thresholds": {"acu": 0.1}}, InvalidArgumentError),
        (("checked", 1), {"allow_missing": None}, InvalidArgumentError),
    ],
)
async def test_a_model_that_cannot_be_told_raises(
    changed: IcebergCatalog, arguments: Any, options: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await check_model(*arguments, catalog=changed, **options)
