"""What Iceberg's own expiry leaves of random histories, by Spark and by our account of it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from pyiceberg.catalog import Catalog

from app.domain.history import MAIN, History, Ref, RefKind
from app.domain.names import DatasetName
from app.domain.retention.iceberg import expire_as_iceberg
from app.domain.retention.overrides import rules_of_table
from app.domain.retention.policy import RetentionPolicy
from app.lake.catalog import EMBEDDED_CATALOG
from app.lake.table import to_state
from app.settings import Settings
from tests.integration.spark.written_histories import register
from tests.strategies import make_ref, make_snapshot

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Seconds each; more of them by hand.
EXAMPLES = int(os.environ.get("STRATIGRAPH_TEST_EXPIRY_EXAMPLES", "12"))
NAMESPACE = "expiry"
HOUR_MS = 3_600_000

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(120 + 15 * EXAMPLES)]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A table, and what is asked for. All instants are relative to when it is tried.

    Snapshots are whole hours old and limits are half an hour off, so that the clock may go on during a test;
    `older_than_ms` alone is an instant, and may be a snapshot's own, to the millisecond.
    """

    history: History
    properties: dict[str, str]
    older_than_ms: int | None = None
    retain_last: int | None = None


ages_ms = st.integers(-2, 12).map(lambda hours: hours * HOUR_MS)
limits_ms = st.integers(0, 12).map(lambda hours: hours * HOUR_MS + HOUR_MS // 2) | st.just(2**63 - 1)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Up to 12 snapshots: lines that fork, lost parents, clocks that run back; refs anywhere, and perhaps no main."""
    ids = list(range(1, draw(st.integers(1, 12)) + 1))
    snapshots = {}
    for number in ids:
        parent: int | None = number - 1
        if number == 1 or draw(st.integers(0, 3)) == 0:
            parent = draw(st.sampled_from([None, 99, *ids[: number - 1]]))
        age_ms = draw(ages_ms) if draw(st.booleans()) else (len(ids) - number) * HOUR_MS
        snapshots[number] = make_snapshot(number, parent, timestamp_ms=-age_ms)
    refs = {}
    names = draw(st.lists(st.sampled_from(["dev", "old", "stage"]), unique=True))
    for name in [*names, *([MAIN] if draw(st.integers(0, 9)) else [])]:
        refs[name] = Ref(
            name=name,
            kind=RefKind.BRANCH,
            snapshot_id=ids[-1] if name == MAIN and draw(st.booleans()) else draw(st.sampled_from(ids)),
            min_snapshots_to_keep=draw(st.none() | st.integers(1, 6)),
            max_snapshot_age_ms=draw(st.none() | limits_ms),
            max_ref_age_ms=draw(st.none() | limits_ms),
        )
    for name in draw(st.lists(st.sampled_from(["t1", "t2", "t3"]), unique=True)):
        target, age_ms = draw(st.sampled_from(ids)), draw(st.none() | limits_ms)
        refs[name] = Ref(name=name, kind=RefKind.TAG, snapshot_id=target, max_ref_age_ms=age_ms)
    return History(snapshots=snapshots, refs=refs)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    history = draw(histories())
    spans = limits_ms.map(str)
    properties = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "history.expire.min-snapshots-to-keep": st.integers(0, 6).map(str),
                "history.expire.max-snapshot-age-ms": spans,
                "history.expire.max-ref-age-ms": spans,
            },
        )
    )
    own = st.sampled_from([snapshot.timestamp_ms for snapshot in history.snapshots.values()])
    instants = ages_ms.map(lambda age: HOUR_MS // 2 - age) | own | own.map(lambda instant: instant + 1)
    return Case(
        history=history,
        properties=properties,
        older_than_ms=draw(st.none() | instants),
        retain_last=draw(st.none() | st.integers(1, 6)),
    )


def forked() -> Case:
    """Main 1 ─ 2 ─ 3 ─ 4, dev 2 ─ 5 ─ 6, a branch and a tag that end, a tag that stays, and 9 under no ref."""
    ages = {1: 10, 2: 9, 3: 8, 4: 7, 5: 6, 6: 5, 7: 11, 8: 11, 9: 12}
    parents = {2: 1, 3: 2, 4: 3, 5: 2, 6: 5, 7: 1}
    snapshots = {
        number: make_snapshot(number, parents.get(number), timestamp_ms=-age * HOUR_MS) for number, age in ages.items()
    }
    refs = (
        make_ref(MAIN, 4, RefKind.BRANCH),
        make_ref("dev", 6, RefKind.BRANCH, min_snapshots_to_keep=2, max_snapshot_age_ms=HOUR_MS // 2),
        make_ref("old", 7, RefKind.BRANCH, max_ref_age_ms=3 * HOUR_MS + HOUR_MS // 2),
        make_ref("t1", 8, RefKind.TAG, max_ref_age_ms=HOUR_MS // 2),
        make_ref("t2", 3, RefKind.TAG),
    )
    return Case(
        history=History(snapshots=snapshots, refs={ref.name: ref for ref in refs}),
        properties={"history.expire.max-snapshot-age-ms": str(HOUR_MS + HOUR_MS // 2)},
        retain_last=1,
    )


@given(case=cases())
@example(case=forked())
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate] if os.environ.get("NOSHRINK") else tuple(Phase),
)
def test_sparks_expiry_leaves_what_we_say(spark: SparkSession, sql_lake: tuple[Settings, Catalog], case: Case) -> None:
    _, catalog = sql_lake
    with written(catalog, case) as (name, now_ms):
        # Given what we say of the table as it is read from its file
        table = catalog.load_table(str(name))
        history = to_state(table.metadata, table.metadata_location, name).history
        rules = rules_of_table(RetentionPolicy(), table.properties, is_production=False)
        older_than_ms = None if case.older_than_ms is None else now_ms + case.older_than_ms
        ours = expire_as_iceberg(
            history,
            now_ms=now_ms,
            settings=rules.iceberg,
            older_than_ms=older_than_ms,
            retain_last=case.retain_last,
        )

        # When Spark expires it
        asked = [f"table => '{name}'"]
        if older_than_ms is not None:
            asked.append(f"older_than => TIMESTAMP '{instant(older_than_ms):%Y-%m-%d %H:%M:%S.%f}'")
        if case.retain_last is not None:
            asked.append(f"retain_last => {case.retain_last}")
        spark.sql(f"CALL {EMBEDDED_CATALOG}.system.expire_snapshots({', '.join(asked)})").collect()

        # Then the same snapshots and the same refs are left
        left = catalog.load_table(str(name)).metadata
        assert {snapshot.snapshot_id for snapshot in left.snapshots} == ours.retained
        assert left.refs.keys() == history.refs.keys() - ours.removed_refs
        assert ours.retained | ours.expired == case.history.snapshots.keys()


@contextmanager
def written(catalog: Catalog, case: Case) -> Iterator[tuple[DatasetName, int]]:
    """The case's table, with the instant that all of it is relative to."""
    name = DatasetName(namespace=NAMESPACE, name=f"t_{uuid4().hex[:10]}")
    now_ms = time.time_ns() // 1_000_000
    snapshots = {
        number: replace(snapshot, timestamp_ms=now_ms + snapshot.timestamp_ms)
        for number, snapshot in case.history.snapshots.items()
    }
    catalog.create_namespace_if_not_exists(NAMESPACE)
    register(catalog, str(name), replace(case.history, snapshots=snapshots), case.properties, now_ms)
    yield name, now_ms
    catalog.drop_table(str(name))


def instant(timestamp_ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=timestamp_ms)
