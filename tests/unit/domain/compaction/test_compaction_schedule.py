"""What schedule a table has, by its property or by its layer."""

from __future__ import annotations

import pytest

from app.domain.compaction.schedule import SCHEDULE, Schedule, schedule_of
from app.domain.names import DatasetName
from app.errors import InvalidTablePropertyError


@pytest.mark.parametrize(
    ("case", "namespace", "properties", "expected"),
    [
        ("by its layer", "gold", {}, Schedule.MONTHLY),
        ("below its layer", "gold.sales", {}, Schedule.MONTHLY),
        ("in no layer", "sales", {}, Schedule.WEEKLY),
        ("by its property", "gold", {SCHEDULE: " Weekly "}, Schedule.WEEKLY),
    ],
)
def test_schedule_is_the_tables_own_or_that_of_its_layer(
    case: str, namespace: str, properties: dict[str, str], expected: Schedule
) -> None:
    assert schedule_of(DatasetName(namespace=namespace, name="orders"), properties) is expected


def test_property_that_is_no_schedule_is_the_tables_fault() -> None:
    with pytest.raises(InvalidTablePropertyError, match="hourly") as caught:
        schedule_of(DatasetName(namespace="gold", name="orders"), {SCHEDULE: "hourly"})

    assert (caught.value.fields["property"], caught.value.handling.http_status) == (SCHEDULE, 422)
