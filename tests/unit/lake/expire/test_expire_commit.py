"""Expiry as a whole: measured, committed, deleted; and what happens where somebody comes in between."""

from __future__ import annotations

import contextlib
import threading
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table
from sqlalchemy.exc import SQLAlchemyError

from app.domain.expiry import Expiry
from app.errors import UnsupportedTableError
from app.lake.commits import CommitRefusedError
from app.lake.expire.commit import BaseFinding, commit_expiry, judge_base
from app.lake.expire.deletion import delete_files
from app.lake.expire.reachable import ExpiryPlan, measure_expiry
from app.lake.internals import CachingSqlCatalog
from app.lake.metadata_cache import MetadataCache
from tests.integration.format_v3 import upgrade_to_v3
from tests.unit.lake.expire.histories import Step, append, create, make_history, set_statistics
from tests.unit.lake.expire.naive import du, local, on_disk, reached, rows_of
from tests.unit.lake.local_tables import NAME, as_lake_table


def paths_of(plan: ExpiryPlan) -> list[str]:
    return [file.path for batch in plan.batches() for file in batch]


@given(steps=st.lists(st.sampled_from(Step), min_size=3, max_size=10), data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_stays_reads_as_before_and_nothing_else_is_left(steps: list[Step], data: st.DataObject):
    with TemporaryDirectory() as folder:
        # Given a table with any history, any of its tags and any snapshots that no other ref names
        cache = MetadataCache(10**7)
        catalog = CachingSqlCatalog("local", cache, uri=f"sqlite:///{folder}/c.db", warehouse=f"file://{folder}/w")
        catalog.create_tables()
        table = create(catalog)
        make_history(table, [Step.APPEND, *steps])
        refs = [name for name in sorted(table.metadata.refs) if name != "main" and data.draw(st.booleans())]
        held = {ref.snapshot_id for name, ref in table.metadata.refs.items() if name not in refs}
        ids = [found.snapshot_id for found in table.metadata.snapshots]
        going = [one for one in ids if one not in held and data.draw(st.booleans())]
        # A ref whose snapshot goes has to go too; the others may.
        before = {one: rows_of(table, one) for one in ids if one not in going}
        strays = on_disk(table) - reached(table)
        size_before = du(on_disk(table))

        # When they are expired
        lake_table = as_lake_table(table)
        plan = measure_expiry(lake_table, going, refs)
        done = commit_expiry(catalog, lake_table, plan.expiry, cache)
        deletion = delete_files(done.table.io, paths_of(plan))

        # Then what stays reads fully, only what is reached is on the disk, and the disk has that much less
        table.refresh()
        assert done.base.may_delete
        assert not deletion.left
        assert {one: rows_of(table, one) for one in before} == before
        assert {found.snapshot_id for found in table.metadata.snapshots} == set(before)
        assert on_disk(table) - strays == reached(table)
        assert size_before - du(on_disk(table)) == plan.freed.size_bytes
        assert plan.expiry.is_done_in(done.table.state)
        catalog.close()


def meanwhile_tag(catalog: Catalog, first: int) -> None:
    catalog.load_table(str(NAME)).manage_snapshots().create_tag(first, "meanwhile").commit()


def meanwhile_branch(catalog: Catalog, first: int) -> None:
    catalog.load_table(str(NAME)).manage_snapshots().create_branch(first, "meanwhile").commit()


def meanwhile_append(catalog: Catalog, _first: int) -> None:
    append(catalog.load_table(str(NAME)), 9)


def meanwhile_rollback(catalog: Catalog, first: int) -> None:
    catalog.load_table(str(NAME)).manage_snapshots().rollback_to_snapshot(first).commit()


def meanwhile_add_files(catalog: Catalog, first: int) -> None:
    table = catalog.load_table(str(NAME))
    (task,) = table.scan(snapshot_id=first).plan_files()
    table.add_files([task.file.file_path])


@pytest.mark.parametrize(
    "meanwhile", [meanwhile_tag, meanwhile_branch, meanwhile_append, meanwhile_rollback, meanwhile_add_files]
)
@pytest.mark.parametrize("is_loaded_again", [False, True])
def test_whatever_is_made_meanwhile_makes_it_plan_again(
    catalog: CachingSqlCatalog, cache: MetadataCache, meanwhile, is_loaded_again: bool
):
    # Given a plan, and somebody who changes the table after it
    table = create(catalog)
    first = append(table, 1)
    table.overwrite(table.scan().to_arrow())
    lake_table = as_lake_table(table)
    plan = measure_expiry(lake_table, [first])
    meanwhile(catalog, first)
    changed = catalog.load_table(str(NAME))
    files = on_disk(changed)

    # When it is committed
    with pytest.raises(CommitRefusedError):
        commit_expiry(catalog, as_lake_table(changed) if is_loaded_again else lake_table, plan.expiry, cache)

    # Then nothing was changed
    after = catalog.load_table(str(NAME))
    assert after.metadata_location == changed.metadata_location
    assert on_disk(after) == files
    assert rows_of(after, first) == [(1, "row 1")]


def test_log_statistics_and_parents_are_as_iceberg_leaves_them(catalog: CachingSqlCatalog, cache: MetadataCache):
    # Given four snapshots with statistics, each one main's head in turn
    table = create(catalog)
    ids = [append(table, number) for number in range(4)]
    for snapshot_id in ids:
        set_statistics(table, snapshot_id)

    # When the first and the third go
    lake_table = as_lake_table(table)
    plan = measure_expiry(lake_table, [ids[0], ids[2]])
    commit_expiry(catalog, lake_table, plan.expiry, cache)

    # Then the log begins after the last gap, statistics went too, and children know who their parent was
    metadata = table.refresh().metadata
    assert [entry.snapshot_id for entry in metadata.snapshot_log] == [ids[3]]
    assert {found.snapshot_id for found in metadata.statistics} == {ids[1], ids[3]}
    assert {found.snapshot_id for found in metadata.partition_statistics} == {ids[1], ids[3]}
    assert metadata.snapshot_by_id(ids[3]).parent_snapshot_id == ids[2]  # type: ignore[union-attr]
    assert metadata.current_snapshot_id == ids[3]


def test_plain_catalog_refuses_a_changed_table_too(tmp_path):
    # Given a catalog that is pyiceberg's own
    from tests.unit.lake.local_tables import open_catalog

    catalog = open_catalog(tmp_path)
    table = create(catalog)
    first = append(table, 1)
    append(table, 2)
    lake_table = as_lake_table(table)
    plan = measure_expiry(lake_table, [first])
    meanwhile_tag(catalog, first)

    with pytest.raises(CommitRefusedError):
        commit_expiry(catalog, lake_table, plan.expiry, MetadataCache(10**6))

    catalog.close()


def test_v3_table_is_refused_before_anything(catalog: CachingSqlCatalog, cache: MetadataCache):
    table = create(catalog)
    first = append(table, 1)
    append(table, 2)
    lake_table = as_lake_table(upgrade_to_v3(catalog, table))
    plan = measure_expiry(lake_table, [first])

    with pytest.raises(UnsupportedTableError, match="format version 3"):
        commit_expiry(catalog, lake_table, plan.expiry, cache)


def test_what_was_done_is_found_again_after_a_restart(catalog: CachingSqlCatalog, cache: MetadataCache):
    # Given an expiry that was written down, committed, and whose answer was lost; and commits since
    table = create(catalog)
    first = append(table, 1)
    append(table, 2)
    lake_table = as_lake_table(table)
    plan = measure_expiry(lake_table, [first])
    written = plan.expiry.to_json()
    assert not Expiry.from_json(written).is_done_in(lake_table.state)
    commit_expiry(catalog, lake_table, plan.expiry, cache)
    append(table.refresh(), 3)

    # When it is read back
    expiry = Expiry.from_json(written)
    now = as_lake_table(table.refresh())

    # Then it is known to be done, and on what
    assert expiry == plan.expiry
    assert expiry.is_done_in(now.state)
    judgement = judge_base(now, expiry, cache)
    assert judgement.finding is BaseFinding.AS_PLANNED
    assert judgement.base_location == expiry.base_location


def test_base_with_a_stranger_is_found_in_the_log(catalog: CachingSqlCatalog, cache: MetadataCache):
    # Given that a tag was made after the plan, and the snapshots went by somebody else's hand, tag and all
    table = create(catalog)
    first = append(table, 1)
    append(table, 2)
    plan = measure_expiry(as_lake_table(table), [first])
    meanwhile_tag(catalog, first)
    with_tag = catalog.load_table(str(NAME))
    other = measure_expiry(as_lake_table(with_tag), [first], ["meanwhile"])
    commit_expiry(catalog, as_lake_table(with_tag), other.expiry, cache)
    append(table.refresh(), 3)

    # When the log is asked what the plan was applied to
    judgement = judge_base(as_lake_table(table.refresh()), plan.expiry, cache)

    # Then it is the state with the tag, and no file may be deleted
    assert judgement.finding is BaseFinding.STRANGERS
    assert judgement.refs == ("meanwhile",)
    assert judgement.base_location == with_tag.metadata_location
    assert not judgement.may_delete


def test_base_that_is_gone_vouches_for_nothing(catalog: CachingSqlCatalog):
    table = create(catalog)
    first = append(table, 1)
    append(table, 2)
    plan = measure_expiry(as_lake_table(table), [first])
    append(table, 3)
    base: Table = catalog.load_table(str(NAME))
    other = measure_expiry(as_lake_table(base), [first])
    commit_expiry(catalog, as_lake_table(base), other.expiry, MetadataCache(10**6))
    local(base.metadata_location).unlink()

    judgement = judge_base(as_lake_table(table.refresh()), plan.expiry, MetadataCache(10**6))

    assert judgement.finding is BaseFinding.UNKNOWN


def test_tags_made_all_the_while_keep_what_they_name(catalog: CachingSqlCatalog, cache: MetadataCache):
    # Given a table whose snapshots have all files of their own, and two who tag any of them while they are expired
    table = create(catalog)
    append(table, 1)
    for _ in range(11):
        table.overwrite(table.scan().to_arrow())
    ids = [found.snapshot_id for found in table.metadata.snapshots]
    before = {snapshot_id: rows_of(table, snapshot_id) for snapshot_id in ids}
    acknowledged: dict[str, int] = {}

    def tag(tagger: int) -> None:
        for number, snapshot_id in enumerate(ids[tagger::3]):
            name = f"tag_{tagger}_{number}"
            # A commit that was overtaken, or a snapshot that is gone: nothing was promised then.
            with contextlib.suppress(CommitFailedException, ValueError, SQLAlchemyError):
                catalog.load_table(str(NAME)).manage_snapshots().create_tag(snapshot_id, name).commit()
                acknowledged[name] = snapshot_id

    taggers = [threading.Thread(target=tag, args=(number,)) for number in range(2)]
    for tagger in taggers:
        tagger.start()

    # When snapshots that no ref names are expired one by one, planned again wherever it is refused
    while going := unheld(now := catalog.load_table(str(NAME))):
        lake_table = as_lake_table(now)
        plan = measure_expiry(lake_table, going[:1])
        with contextlib.suppress(CommitRefusedError):
            done = commit_expiry(catalog, lake_table, plan.expiry, cache)
            assert not delete_files(done.table.io, paths_of(plan)).left
    for tagger in taggers:
        tagger.join()

    # Then each tag that was acknowledged is there, and reads
    table.refresh()
    assert {name: table.metadata.refs[name].snapshot_id for name in acknowledged} == acknowledged
    assert all(rows_of(table, snapshot_id) == before[snapshot_id] for snapshot_id in acknowledged.values())
    assert acknowledged
    assert reached(table) <= on_disk(table)


def unheld(table: Table) -> list[int]:
    held = {ref.snapshot_id for ref in table.metadata.refs.values()}
    return [found.snapshot_id for found in table.metadata.snapshots if found.snapshot_id not in held]
