"""What a plan says that it frees is what the disk has less afterwards, whatever the policy and the history."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from app.domain.history import to_instant
from app.domain.retention.holders import Hold, Holders
from app.domain.retention.planning import plan_retention
from app.domain.retention.policy import RetentionPolicy
from app.lake.expire.commit import commit_expiry
from app.lake.expire.deletion import delete_files
from app.lake.expire.reachable import measure_expiry
from app.lake.internals import CachingSqlCatalog
from app.lake.metadata_cache import MetadataCache
from tests.unit.lake.expire.histories import Step, create, make_history
from tests.unit.lake.expire.naive import du, on_disk, reached, rows_of
from tests.unit.lake.local_tables import as_lake_table

histories = st.lists(st.sampled_from(Step), min_size=4, max_size=14)
PLAIN = settings(deadline=None, suppress_health_check=list(HealthCheck))


@given(steps=histories, data=st.data())
@settings(PLAIN, max_examples=6)
def test_bytes_told_are_bytes_freed(steps: list[Step], data: st.DataObject):
    plan_and_expire(steps, data)


@pytest.mark.long
@pytest.mark.timeout(3600)
@given(steps=histories, data=st.data())
@settings(PLAIN, max_examples=200)
def test_bytes_told_are_bytes_freed_of_two_hundred_plans(steps: list[Step], data: st.DataObject):
    plan_and_expire(steps, data)


def plan_and_expire(steps: list[Step], data: st.DataObject) -> None:
    cache = MetadataCache(10**7)
    with (
        TemporaryDirectory() as folder,
        closing(
            CachingSqlCatalog("local", cache, uri=f"sqlite:///{folder}/c.db", warehouse=f"file://{folder}/w")
        ) as catalog,
    ):
        # Given a table with any history, any policy that it is old enough for, and holds
        catalog.create_tables()
        table = create(catalog)
        make_history(table, [Step.APPEND, *steps])
        lake_table = as_lake_table(table)
        history = lake_table.state.history
        policy = RetentionPolicy(
            keep_last_n=data.draw(st.integers(0, 3)),
            keep_days=1,
            keep_tagged=data.draw(st.booleans()),
            production_keep_days=30,
        )
        held = data.draw(st.lists(st.sampled_from(sorted(history.snapshots)), max_size=2, unique=True))
        holds = tuple(
            Hold(hold_id=str(number), snapshot_id=one, reason="audit", actor="ada") for number, one in enumerate(held)
        )
        later = to_instant(history.newest_first[0].timestamp_ms) + timedelta(days=data.draw(st.sampled_from([2, 100])))
        planned = plan_retention(
            history,
            policy,
            properties=lake_table.state.properties,
            is_production=data.draw(st.booleans()),
            holders=Holders(holds=holds),
            now=later,
        )
        # A plan to do nothing would say little.
        assume(planned.expired_ids)

        # When what it frees is told, and it is carried out
        told = measure_expiry(lake_table, planned.expired_ids, planned.removed_refs)
        strays, before = on_disk(table) - reached(table), du(on_disk(table))
        total = before - du(strays)
        rows = {one.snapshot.snapshot_id: rows_of(table, one.snapshot.snapshot_id) for one in planned.kept}
        done = commit_expiry(catalog, lake_table, told.expiry, cache)
        deletion = delete_files(done.table.io, [file.path for batch in told.batches() for file in batch])

        # Then the disk has so much less, and what stays is whole
        table.refresh()
        assert told.total.size_bytes == total
        assert before - du(on_disk(table)) == told.freed.size_bytes
        assert len(deletion.gone) == told.freed.file_count
        assert on_disk(table) - strays == reached(table)
        assert {snapshot.snapshot_id for snapshot in table.metadata.snapshots} == rows.keys()
        assert {one: rows_of(table, one) for one in rows} == rows
