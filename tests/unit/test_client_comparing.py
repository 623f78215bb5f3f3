"""The asynchronous helpers of `app.client`, on a real lake."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.client import IcebergCatalog, compare_dataset_schema
from app.errors import (
    DatasetNotFoundError,
    InvalidArgumentError,
    InvalidNameError,
    InvalidReferenceError,
    TagNotFoundError,
    VersionNotFoundError,
)
from tests.evolving_fixtures import EvolvingLake, evolving_lake
from tests.lake_tables import ORDERS
from tests.schema_evolutions import AFTER, BEFORE

__all__ = ["evolving_lake"]

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "fixtures" / "compare"


@pytest.fixture(scope="module")
def catalog(evolving_lake: EvolvingLake) -> Iterator[IcebergCatalog]:
    with IcebergCatalog(settings=evolving_lake.lake.settings) as opened:
        yield opened


@pytest.mark.parametrize(
    ("golden", "arguments", "options"),
    [
        ("schema_of_two_tags", (BEFORE, AFTER), {}),
        ("schema_of_a_tag_and_latest", (BEFORE,), {}),
        ("schema_of_two_datasets", ("main", "latest"), {"to_dataset": ORDERS}),
    ],
)
async def test_answer_is_that_of_rest(
    catalog: IcebergCatalog, golden: str, arguments: tuple[str, ...], options: dict[str, str]
) -> None:
    expected = json.loads((GOLDEN / f"{golden}.json").read_text())

    assert await compare_dataset_schema("sales", "evolving", *arguments, catalog=catalog, **options) == expected


async def test_a_snapshot_id_may_be_a_number(catalog: IcebergCatalog, evolving_lake: EvolvingLake) -> None:
    ids = evolving_lake.evolving

    found = await compare_dataset_schema("sales", "evolving", ids.first, ids.second, catalog=catalog)

    assert (found["from_version"], found["to_version"]) == (str(ids.first), str(ids.second))
    assert found["removed_columns"] == ["fax"]


async def test_many_at_once(catalog: IcebergCatalog) -> None:
    asked = [compare_dataset_schema("sales", "evolving", BEFORE, AFTER, catalog=catalog) for _ in range(20)]

    found = await asyncio.gather(*asked)

    assert all(each == found[0] for each in found)


@pytest.mark.parametrize(
    ("case", "arguments", "options", "error"),
    [
        ("namespace", (None, "evolving", BEFORE), {}, InvalidArgumentError),
        ("from_version", ("sales", "evolving", None), {}, InvalidArgumentError),
        ("from_version", ("sales", "evolving", 1.5), {}, InvalidArgumentError),
        ("from_version", ("sales", "evolving", True), {}, InvalidArgumentError),
        ("to_version", ("sales", "evolving", BEFORE, b"x"), {}, InvalidArgumentError),
        ("to_dataset", ("sales", "evolving", BEFORE), {"to_dataset": 5}, InvalidArgumentError),
        ("no name", ("sales", "evolving", BEFORE), {"to_dataset": "x"}, InvalidNameError),
        ("id out of range", ("sales", "evolving", 2**64), {}, InvalidReferenceError),
        ("no reference", ("sales", "evolving", "a b"), {}, InvalidReferenceError),
        ("unknown tag", ("sales", "evolving", "tag:x"), {}, TagNotFoundError),
        ("unknown version", ("sales", "evolving", BEFORE, "x"), {}, VersionNotFoundError),
        ("unknown dataset", ("sales", "x", BEFORE), {}, DatasetNotFoundError),
    ],
)
async def test_bad_input_raises(
    catalog: IcebergCatalog, case: str, arguments: Any, options: Any, error: type[Exception]
) -> None:
    with pytest.raises(error) as refused:
        await compare_dataset_schema(*arguments, catalog=catalog, **options)
    if error is InvalidArgumentError:
        assert refused.value.fields["argument"] == case


def test_the_environment_decides_where_no_catalog_is_named(evolving_lake: EvolvingLake) -> None:
    settings = evolving_lake.lake.settings
    script = (
        "import asyncio\n"
        "from app.client import compare_dataset_schema\n"
        "async def main():\n"
        f"    asked = [compare_dataset_schema('sales', 'evolving', {BEFORE!r}, {AFTER!r}) for _ in range(3)]\n"
        "    print([each['removed_columns'] for each in await asyncio.gather(*asked)])\n"
        "asyncio.run(main())\n"
        "asyncio.run(main())\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
        env={
            "PATH": "",
            "STRATIGRAPH_HOME": str(settings.home),
            "STRATIGRAPH_DATABASE_URL": str(settings.database_url),
        },
    )

    assert done.stdout == "[['fax'], ['fax'], ['fax']]\n" * 2
    assert (done.stderr, done.returncode) == ("", 0)
