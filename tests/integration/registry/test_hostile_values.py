"""What JSON and Python can spell and Postgres cannot keep is refused by name, ahead of anything that is written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from app.bootstrap import Services
from app.domain.changes import ModelSubject
from app.domain.models import MAX_PARAMETERS_BYTES
from app.errors import (
    IdempotencyKeyReusedError,
    InvalidArgumentError,
    InvalidDagError,
    ModelNotFoundError,
    PipelineNotFoundError,
)
from app.services.pipelines import NewPipelineVersion
from app.services.runs import RunReport, RunStatus
from tests.integration.registry.lake import SALES, by_ada, churn, refs_of, trained_on
from tests.lake_tables import Orders

pytestmark = pytest.mark.anyio

RUN = UUID("33333333-3333-4333-8333-333333333333")


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("case", "value", "told"),
    [
        ("too long an integer", 2**63, "/a: .*64 bits"),
        ("too low an integer", -(2**63) - 1, "/a: .*64 bits"),
        ("NaN", float("nan"), "/a: NaN"),
        ("infinity within", {"b": [float("inf")]}, "/a/b/0: NaN"),
        ("NUL", "x\x00", "/a: .*NUL"),
        ("lone surrogate", ["\ud800"], "/a/0: .*surrogate"),
        ("lone surrogate in a name", {"\ud800": 1}, "/a: .*surrogate"),
        ("nested", nested(100), "nested deeper"),
        ("large", "x" * MAX_PARAMETERS_BYTES, "bytes"),
        ("no JSON", datetime(2026, 1, 1, tzinfo=UTC), "/a: .*JSON"),
    ],
)
async def test_parameters_that_cannot_be_kept_are_refused(
    services: Services, sales: Orders, case: str, value: Any, told: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=told) as refused:
        await services.registration.register(
            churn(parameters={"a": value}), [trained_on(SALES, sales.second)], by_ada()
        )

    assert refused.value.fields["argument"] == "parameters", case
    with pytest.raises(ModelNotFoundError):
        await services.models.get("churn")
    assert "model_training_churn_v1" not in await refs_of(services, SALES)


async def test_integers_of_64_bits_are_kept_digit_by_digit(services: Services, sales: Orders) -> None:
    parameters = {"least": -(2**63), "greatest": 2**63 - 1}

    done = await services.registration.register(churn(parameters=parameters), [], by_ada())

    assert (await services.models.get_version("churn", None)).parameters == parameters == done.version.parameters


async def test_a_dag_that_cannot_be_kept_is_refused(services: Services) -> None:
    dag: Any = {"tasks": [{"id": "a", "limits": {"rows": 2**70}}]}

    with pytest.raises(InvalidDagError) as refused:
        await services.pipelines.register(NewPipelineVersion(pipeline_id="p", dag=dag), by_ada())

    assert refused.value.fields["pointer"] == "/tasks/0/limits/rows"
    with pytest.raises(PipelineNotFoundError):
        await services.pipelines.get("p")


@pytest.mark.parametrize(
    ("case", "started_at", "told"),
    [
        ("before the first year", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))), "no time in UTC"),
        ("without a zone", datetime(2026, 2, 15, 10), "needs a zone"),  # noqa: DTZ001
    ],
)
async def test_a_time_that_is_none_is_refused(services: Services, case: str, started_at: datetime, told: str) -> None:
    report = RunReport(run_id=RUN, pipeline_id="p", status=RunStatus.RUNNING, started_at=started_at)

    with pytest.raises(InvalidArgumentError, match=told) as refused:
        await services.runs.record(report, by_ada())

    assert refused.value.fields["argument"] == "startedAt", case


async def test_a_repeated_tag_request_is_the_same_though_latest_is_another_number(services: Services) -> None:
    subject = ModelSubject(name="churn")
    await services.registration.register(churn(), [], by_ada())
    tagging = services.tagging
    first = await tagging.put(subject, "serving", None, by_ada(key="k"))
    await services.registration.register(churn(), [], by_ada())

    again = await tagging.put(subject, "serving", "latest", by_ada(key="k"))

    assert again == first
    with pytest.raises(IdempotencyKeyReusedError):
        await tagging.put(subject, "serving", "2", by_ada(key="k"))
    moved = await tagging.put(subject, "serving", None, by_ada(key="m"), move=True, expected=1)
    await services.registration.register(churn(), [], by_ada())
    assert moved.tag.number == 2
    assert await tagging.put(subject, "serving", None, by_ada(key="m"), move=True, expected=1) == moved
