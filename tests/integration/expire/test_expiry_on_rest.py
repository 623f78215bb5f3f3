"""Expiry through a REST catalog, which cannot be made to assert a whole table."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from pyiceberg.catalog import load_catalog
from pyiceberg.catalog.rest import RestCatalog

from app.lake.commits import CommitRefusedError
from app.lake.expire.commit import BaseFinding, commit_expiry
from app.lake.expire.deletion import delete_files
from app.lake.expire.reachable import measure_expiry
from app.lake.metadata_cache import MetadataCache
from tests.integration.format_v3 import upgrade_to_v3
from tests.servers.rest_catalog import rest_catalog
from tests.unit.lake.expire.histories import append, create, set_statistics
from tests.unit.lake.expire.naive import on_disk, reached, rows_of
from tests.unit.lake.local_tables import as_lake_table

pytestmark = pytest.mark.rest_catalog


@pytest.fixture(scope="module")
def rest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestCatalog]:
    with rest_catalog(tmp_path_factory.mktemp("rest")) as url:
        catalog = load_catalog("rest", type="rest", uri=url)
        assert isinstance(catalog, RestCatalog)
        yield catalog
        catalog.close()


@pytest.fixture
def name() -> str:
    return f"expire_{uuid4().hex[:8]}.orders"


@pytest.fixture
def cache() -> MetadataCache:
    return MetadataCache(10**7)


def test_expiry_of_snapshots_tags_and_statistics(rest: RestCatalog, cache: MetadataCache, name: str):
    # Given three snapshots, of which the first is tagged and has statistics
    table = create(rest, name)
    first = append(table, 1)
    set_statistics(table, first)
    table.manage_snapshots().create_tag(first, "old").commit()
    table.refresh()
    table.overwrite(table.scan().to_arrow())
    head = table.refresh().metadata.current_snapshot_id
    assert head is not None
    rows = rows_of(table, head)
    going = [found.snapshot_id for found in table.metadata.snapshots if found.snapshot_id != head]

    # When all but the head go
    lake_table = as_lake_table(table)
    plan = measure_expiry(lake_table, going, ["old"])
    done = commit_expiry(rest, lake_table, plan.expiry, cache)
    deletion = delete_files(done.table.io, [file.path for batch in plan.batches() for file in batch])

    # Then the table is as planned for, reads, and has nothing left over
    table.refresh()
    assert done.base.finding is BaseFinding.AS_PLANNED
    assert done.base.base_location == plan.expiry.base_location
    assert not deletion.left
    assert rows_of(table, head) == rows
    assert list(table.metadata.refs) == ["main"]
    assert table.metadata.statistics == table.metadata.partition_statistics == []
    assert on_disk(table) == reached(table)


def test_known_ref_that_moved_refuses(rest: RestCatalog, cache: MetadataCache, name: str):
    table = create(rest, name)
    first = append(table, 1)
    append(table, 2)
    lake_table = as_lake_table(table)
    plan = measure_expiry(lake_table, [first])
    append(rest.load_table(name), 3)

    with pytest.raises(CommitRefusedError):
        commit_expiry(rest, lake_table, plan.expiry, cache)

    assert len(rest.load_table(name).metadata.snapshots) == 3


@pytest.mark.parametrize("kind", ["tag", "branch"])
def test_unknown_ref_is_found_afterwards(rest: RestCatalog, cache: MetadataCache, name: str, kind: str):
    # Given a tag, or a branch with a snapshot of its own, that was made after the plan
    table = create(rest, name)
    first = append(table, 1)
    append(table, 2)
    lake_table = as_lake_table(table)
    plan = measure_expiry(lake_table, [first])
    other = rest.load_table(name)
    if kind == "tag":
        other.manage_snapshots().create_tag(first, "meanwhile").commit()
    else:
        other.manage_snapshots().create_branch(first, "meanwhile").commit()
        append(other.refresh(), 5, branch="meanwhile")
    base = rest.load_table(name)

    # When the plan is committed, as the server cannot know
    done = commit_expiry(rest, lake_table, plan.expiry, cache)

    # Then no file may be deleted, and it is said why and from what it can be mended
    assert done.base.finding is BaseFinding.STRANGERS
    assert done.base.refs == ("meanwhile",)
    assert len(done.base.snapshot_ids) == (1 if kind == "branch" else 0)
    assert done.base.base_location == base.metadata_location
    assert not done.base.may_delete


def test_properties_set_meanwhile_are_no_strangers(rest: RestCatalog, cache: MetadataCache, name: str):
    table = create(rest, name)
    first = append(table, 1)
    append(table, 2)
    lake_table = as_lake_table(table)
    plan = measure_expiry(lake_table, [first])
    with rest.load_table(name).transaction() as change:
        change.set_properties({"owner": "ops"})

    done = commit_expiry(rest, lake_table, plan.expiry, cache)

    assert done.base.may_delete
    assert done.base.base_location != plan.expiry.base_location


def test_v3_table_expires(rest: RestCatalog, cache: MetadataCache, name: str):
    table = create(rest, name)
    first = append(table, 1)
    append(table, 2)
    lake_table = as_lake_table(upgrade_to_v3(rest, table))

    done = commit_expiry(rest, lake_table, measure_expiry(lake_table, [first]).expiry, cache)

    assert done.base.may_delete
    assert list(done.table.state.history.snapshots) != [first]
    assert first not in done.table.state.history.snapshots
