"""What the summary of a snapshot that is made here says."""

from __future__ import annotations

import pytest
from pyiceberg.table.snapshots import Operation, Snapshot, Summary

from app.lake.snapshot_summaries import summarise


@pytest.mark.parametrize("summary", [None, Summary(Operation.APPEND)], ids=["none", "only its operation"])
def test_totals_that_the_parent_does_not_tell_are_not_made_up(summary: Summary | None) -> None:
    parent = Snapshot(snapshot_id=1, timestamp_ms=0, manifest_list="s", summary=summary)

    found = summarise(Operation.REPLACE, parent, added=[], removed=[], properties={"by": "us"})

    assert found.operation is Operation.REPLACE
    assert found.additional_properties == {"by": "us"}


def test_totals_that_it_tells_go_on() -> None:
    parent = Snapshot(
        snapshot_id=1, timestamp_ms=0, manifest_list="s", summary=Summary(Operation.APPEND, **{"total-records": "7"})
    )

    found = summarise(Operation.REPLACE, parent, added=[], removed=[], properties={})

    assert found.additional_properties["total-records"] == "7"
