"""Commits, files and statistics of two versions by the asynchronous helpers of the Python API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.client import (
    IcebergCatalog,
    compare_dataset_commits,
    compare_dataset_data,
    compare_dataset_files,
    compare_dataset_stats,
)
from app.errors import AppError, InvalidArgumentError, UnknownColumnError, UnsupportedTableError, VersionNotFoundError
from tests.changed_tables import CHANGED, OPENED, ChangedLake, changed_lake
from tests.lake_tables import ORDERS

__all__ = ["changed_lake"]


@pytest.fixture(scope="module")
def catalog(changed_lake: ChangedLake) -> Iterator[IcebergCatalog]:
    with IcebergCatalog(settings=changed_lake.lake.settings) as opened:
        yield opened


def ask(helper: Callable[..., Any], catalog: IcebergCatalog, *versions: Any, **options: Any) -> Any:
    return asyncio.run(helper("sales", "prices", *versions, catalog=catalog, **options))


def test_commits_are_all_in_one_answer(catalog: IcebergCatalog, changed_lake: ChangedLake) -> None:
    ids = changed_lake.prices

    found = ask(compare_dataset_commits, catalog, ids.opened, ids.changed)
    swapped = ask(compare_dataset_commits, catalog, CHANGED, OPENED, side="from")

    assert (found["from_version"], found["relation"], found["total"]) == (str(ids.opened), "ANCESTOR", 2)
    assert found["commits"][0]["snapshot_id"] == str(ids.changed)
    assert [each["snapshot_id"] for each in swapped["commits"]] == [each["snapshot_id"] for each in found["commits"]]


def test_files_and_stats_are_those_of_rest(catalog: IcebergCatalog) -> None:
    files = ask(compare_dataset_files, catalog, OPENED, CHANGED, partitions=1)
    stats = ask(compare_dataset_stats, catalog, OPENED, CHANGED, columns=["price"])

    assert (files["files_added"], files["files_removed"], len(files["partitions"])) == (2, 1, 1)
    (column,) = stats["columns"]
    assert (column["from"]["null_count"], column["to"]["null_count"]) == (1, 0)


@pytest.mark.parametrize(
    ("case", "helper", "versions", "options", "error"),
    [
        ("side", compare_dataset_commits, (OPENED,), {"side": "left"}, InvalidArgumentError),
        ("side", compare_dataset_commits, (OPENED,), {"side": 1}, InvalidArgumentError),
        ("partitions", compare_dataset_files, (OPENED,), {"partitions": 0}, InvalidArgumentError),
        ("partitions", compare_dataset_files, (OPENED,), {"partitions": "1"}, InvalidArgumentError),
        ("columns", compare_dataset_stats, (OPENED,), {"columns": "price"}, InvalidArgumentError),
        ("to_dataset", compare_dataset_stats, (OPENED,), {"to_dataset": 5}, InvalidArgumentError),
        ("unknown column", compare_dataset_stats, (OPENED,), {"columns": ["nmae"]}, UnknownColumnError),
        ("two datasets", compare_dataset_files, (OPENED, "main"), {"to_dataset": ORDERS}, UnsupportedTableError),
        ("unknown version", compare_dataset_commits, ("nope",), {}, VersionNotFoundError),
    ],
)
def test_bad_input_raises(
    catalog: IcebergCatalog, case: str, helper: Any, versions: Any, options: Any, error: type[AppError]
) -> None:
    with pytest.raises(error) as refused:
        ask(helper, catalog, *versions, **options)
    if error is InvalidArgumentError:
        assert refused.value.fields["argument"] == case


def test_rows_are_counted_as_a_multiset_where_the_key_is_empty(catalog: IcebergCatalog) -> None:
    by_key = ask(compare_dataset_data, catalog, OPENED, CHANGED)
    counted = ask(compare_dataset_data, catalog, OPENED, CHANGED, key=[])

    assert (by_key["keys"], by_key["method"], by_key["rows_changed"]) == (["id"], "keys", 1)
    assert (counted["keys"], counted["method"], counted["rows_changed"]) == ([], "multiset", None)
    assert (counted["rows_added"], counted["rows_removed"]) == (3, 2)
