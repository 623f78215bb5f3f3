"""Row diffs as operations, of which the large ones run in Spark."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any, cast

import pytest
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField, StringType, TimeType

from app.bootstrap import Services, open_services
from app.domain.names import DatasetName
from app.domain.operations import Operation, OperationStatus
from app.domain.row_diffs import Engine, RowDiffRequest
from tests.integration.operations.jobs import by
from tests.integration.spark_connect.awkward_tables import head
from tests.integration.spark_connect.conftest import SparkLake
from tests.unit.lake.local_tables import append

pytestmark = [pytest.mark.anyio, pytest.mark.spark]

ID, NAME = NestedField(1, "id", LongType(), required=True), NestedField(2, "name", StringType())
NAMED = Schema(ID, NAME, identifier_field_ids=[1])
# Which Spark 4.0 has no type for.
TIMED = Schema(ID, NAME, NestedField(3, "at", TimeType()), identifier_field_ids=[1])


async def run(services: Services, lake: SparkLake, schema: Schema) -> Operation:
    """Compare two tables of this schema as an operation, to its end."""
    for table, names in (("old", ("a", "b", "c")), ("new", ("a", "x"))):
        rows: list[dict[str, Any]] = [{"id": number, "name": name} for number, name in enumerate(names)]
        if len(schema.fields) > 2:
            rows = [{**row, "at": dt.time(1, 2, 3)} for row in rows]
        append(lake.catalog.create_table(lake.name(table), schema), rows)
    compared = await services.comparing.versions(
        DatasetName.parse(lake.name("old")), "latest", "latest", to_dataset=DatasetName.parse(lake.name("new"))
    )
    started = await services.row_diff_operations.start(
        compared, RowDiffRequest(), by(), from_version="latest", to_version=None
    )
    assert await services.operation_runner.run_next(asyncio.Event())
    ended = await services.operations.get(started.operation_id)
    if ended.status is OperationStatus.SUCCEEDED:
        kept = await services.row_diffs.compare(compared, RowDiffRequest())
        assert kept.is_cached
    return ended


@pytest.mark.parametrize(
    ("schema", "limit_bytes", "engine"),
    [
        pytest.param(NAMED, 1, Engine.SPARK, id="large"),
        pytest.param(NAMED, 10**9, Engine.DUCKDB, id="small"),
        pytest.param(TIMED, 1, Engine.DUCKDB, id="of types that Spark has not"),
    ],
)
async def test_what_is_large_is_compared_in_spark(
    lake: SparkLake, schema: Schema, limit_bytes: int, engine: Engine
) -> None:
    settings = lake.settings.model_copy(update={"spark_remote": lake.url, "diff_spark_bytes": limit_bytes})
    async with open_services(settings) as services:
        ended = await run(services, lake, schema)
        assert ended.status is OperationStatus.SUCCEEDED, ended.failure
        result = cast("dict[str, Any]", await services.operations.result_of(ended))

    assert (result["engine"], result["method"]) == (engine, "keys")
    assert (result["rows_added"], result["rows_removed"], result["rows_changed"]) == (0, 1, 1)
    assert result["sample_diff"]["removed"][0]["id"] == 2
    assert result["sample_diff"]["changed"][0]["columns"] == ["name"]


async def test_an_operation_fails_by_name_where_spark_is_away(lake: SparkLake) -> None:
    settings = lake.settings.model_copy(update={"spark_remote": "sc://127.0.0.1:1", "diff_spark_bytes": 1})
    async with open_services(settings) as services:
        ended = await run(services, lake, NAMED)

    assert ended.status is OperationStatus.FAILED
    assert ended.failure is not None
    assert ended.failure.code == "BACKEND_UNAVAILABLE"
    assert ended.failure.fields["backend"] == "spark"
    # One sentence, not the gRPC library's dump.
    assert "\n" not in ended.failure.message
    assert "127.0.0.1" in ended.failure.message


async def test_a_head_that_spark_had_cached_before_is_read_anew(lake: SparkLake) -> None:
    settings = lake.settings.model_copy(update={"spark_remote": lake.url, "diff_spark_bytes": 1})
    table = lake.catalog.create_table(lake.name("moving"), NAMED)
    append(table, [{"id": 1, "name": "a"}])
    name, versions = DatasetName.parse(lake.name("moving")), [head(table)]
    async with open_services(settings) as services:
        for round_number in (2, 3):
            table.overwrite(table.scan().to_arrow().slice(0, 0), overwrite_filter="id = 1")
            append(table, [{"id": 1, "name": f"a{round_number}"}])
            versions.append(head(table))
            compared = await services.comparing.versions(name, str(versions[-2]), str(versions[-1]))
            await services.row_diff_operations.start(
                compared, RowDiffRequest(), by(), from_version=str(versions[-2]), to_version=None
            )
            assert await services.operation_runner.run_next(asyncio.Event())
            answer = await services.row_diffs.compare(compared, RowDiffRequest())
            assert (answer.is_cached, answer.diff.engine, answer.diff.rows_changed) == (True, Engine.SPARK, 1)
