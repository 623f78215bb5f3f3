"""Whether a plan was committed, as the metadata files tell it, some of which may be gone or broken."""

import gzip
from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.metadata import MetadataLogEntry
from pyiceberg.types import IntegerType, NestedField

from app.domain.history import ENDLESS_AGE_MS, Ref, RefKind
from app.domain.ref_plans import RefPlan, RefUpdate
from app.lake.metadata_cache import MetadataCache
from app.lake.recovery import Finding, find_commit
from tests.unit.lake.local_tables import as_lake_table, create_table


def tagging(table: Table, name: str) -> RefPlan:
    head = table.metadata.current_snapshot_id
    assert head is not None
    tag = Ref(name=name, kind=RefKind.TAG, snapshot_id=head)
    return RefPlan(updates=(RefUpdate(name=name, before=None, after=tag),))


def commit(table: Table, name: str) -> str:
    """Tag the head; answers the metadata file that this made."""
    head = table.metadata.current_snapshot_id
    assert head is not None
    table.manage_snapshots().create_tag(head, name).commit()
    return table.metadata_location


@pytest.fixture
def table(catalog: SqlCatalog) -> Table:
    return create_table(catalog, Schema(NestedField(1, "id", IntegerType())), [{"id": 1}])


def test_a_plan_is_found_in_the_step_that_made_it(table: Table) -> None:
    base, plan = table.metadata_location, tagging(table, "wanted")
    commit(table, "before")
    made = commit(table, "wanted")
    commit(table, "after")

    assert find_commit(as_lake_table(table), plan, base, MetadataCache(0)) == (Finding.COMMITTED, made)
    assert find_commit(as_lake_table(table), plan, made, MetadataCache(0)) == (Finding.NOT_COMMITTED, None)
    claimed = find_commit(as_lake_table(table), plan, base, MetadataCache(0), claimed={made})
    assert claimed == (Finding.NOT_COMMITTED, None)


def test_an_age_is_found_in_the_step_that_set_it(table: Table) -> None:
    commit(table, "pin")
    base, head = table.metadata_location, table.metadata.current_snapshot_id
    assert head is not None
    pin = Ref(name="pin", kind=RefKind.TAG, snapshot_id=head, max_ref_age_ms=ENDLESS_AGE_MS)
    plan = RefPlan(updates=(RefUpdate(name="pin", before=head, after=pin, sets_age=True),))
    commit(table, "before")
    assert find_commit(as_lake_table(table), plan, base, MetadataCache(0)) == (Finding.NOT_COMMITTED, None)

    with table.transaction() as transaction:
        transaction._apply(*transaction._set_ref_snapshot(head, "pin", "tag", max_ref_age_ms=ENDLESS_AGE_MS))
    made = table.metadata_location
    commit(table, "after")

    assert find_commit(as_lake_table(table), plan, base, MetadataCache(0)) == (Finding.COMMITTED, made)


def test_a_log_that_does_not_reach_back_decides_nothing_against_a_plan(table: Table) -> None:
    commit(table, "other")

    found = find_commit(as_lake_table(table), tagging(table, "wanted"), "file:///forgotten", MetadataCache(0))

    assert found == (Finding.UNDECIDABLE, None)


@pytest.mark.parametrize("case", ["gone", "no text", "no json", "no metadata", "cut", "no gzip", "broken gzip"])
def test_a_broken_file_between_decides_nothing_against_a_plan(table: Table, case: str) -> None:
    base, plan = table.metadata_location, tagging(table, "wanted")
    between = commit(table, "other")
    commit(table, "another")
    plain = Path(between.removeprefix("file://")).read_bytes()
    packed = gzip.compress(plain)
    content = {
        "no text": b"\xff",
        "no json": b"{",
        "no metadata": b"{}",
        "cut": packed[:-20],
        "no gzip": plain,
        "broken gzip": packed[:10] + b"\xff" * 40,
    }.get(case)
    suffix = ".gz.metadata.json" if case in ("cut", "no gzip", "broken gzip") else ".metadata.json"
    broken = f"{table.location()}/metadata/broken{suffix}"
    if content is not None:
        with table.io.new_output(broken).create() as stream:
            stream.write(content)
    log = [
        MetadataLogEntry(metadata_file=broken, timestamp_ms=entry.timestamp_ms)
        if entry.metadata_file == between
        else entry
        for entry in table.metadata.metadata_log
    ]
    table.metadata = table.metadata.model_copy(update={"metadata_log": log})

    found = find_commit(as_lake_table(table), plan, base, MetadataCache(0))

    assert found == (Finding.UNDECIDABLE, None)
