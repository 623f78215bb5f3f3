"""Files under a table's location that it does not reach."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.domain.names import DatasetName
from app.domain.orphans import Orphan, OrphanKind, OrphanTally, kind_of
from app.errors import UnsupportedTableError
from app.lake.expire.commit import commit_expiry
from app.lake.expire.reachable import measure_expiry
from app.lake.internals import CachingSqlCatalog
from app.lake.metadata_cache import MetadataCache
from app.lake.neighbours import Neighbours
from app.lake.orphans import find_orphans
from app.lake.table import LakeTable
from tests.unit.lake.expire.histories import Step, append, create, make_history
from tests.unit.lake.expire.naive import local, on_disk, reached
from tests.unit.lake.local_tables import NAME, as_lake_table

LATER = 2**60
OTHER = DatasetName(namespace="sales", name="other")


@pytest.fixture
def cache() -> MetadataCache:
    return MetadataCache(10**7)


@pytest.fixture
def sql(tmp_path: Path, cache: MetadataCache) -> Iterator[CachingSqlCatalog]:
    opened = CachingSqlCatalog(
        "local", cache, uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse"
    )
    opened.create_tables()
    yield opened
    opened.close()


def find(
    table: LakeTable, neighbours: Neighbours | None = None, before_ms: int = LATER
) -> tuple[list[Orphan], OrphanTally]:
    found: list[Orphan] = []
    return found, find_orphans(table, neighbours or {}, before_ms, found.extend)


def test_a_table_alone_has_none(sql: CachingSqlCatalog):
    table = create(sql)
    make_history(table, list(Step))
    strays = on_disk(table) - reached(table)

    found, tally = find(as_lake_table(table))

    assert {local(orphan.path) for orphan in found} == strays
    assert tally.reached == tally.files - len(strays)


def test_files_of_expired_snapshots_are_found_to_the_byte(sql: CachingSqlCatalog, cache: MetadataCache):
    # Given an expiry after whose commit no file was deleted
    table = create(sql)
    first = append(table, 1)
    table.overwrite(table.scan().to_arrow())
    strays = on_disk(table) - reached(table)
    lake_table = as_lake_table(table)
    plan = measure_expiry(lake_table, [first])
    commit_expiry(sql, lake_table, plan.expiry, cache)

    # When orphans are looked for
    found, tally = find(as_lake_table(table.refresh()))

    # Then they are the plan's files
    planned = {local(file.path) for batch in plan.batches() for file in batch}
    assert {local(orphan.path) for orphan in found} - strays == planned
    assert {orphan.kind for orphan in found} == {OrphanKind.ORPHAN}
    assert sum(orphan.size_bytes for orphan in found) == tally.bytes[OrphanKind.ORPHAN]


def test_young_files_are_counted_and_not_told(sql: CachingSqlCatalog):
    table = create(sql)
    append(table, 1)
    folder = local(table.location()) / "data"
    for name, age_s in (("old.parquet", 90_000), ("young.parquet", 10)):
        (folder / name).write_bytes(b"1234")
        os.utime(folder / name, (time.time() - age_s,) * 2)

    found, tally = find(as_lake_table(table), before_ms=int((time.time() - 86_400) * 1000))

    assert [local(orphan.path).name for orphan in found] == ["old.parquet"]
    assert found[0].size_bytes == 4
    assert tally.young == 1


def test_what_is_no_icebergs_is_told_apart(sql: CachingSqlCatalog, tmp_path: Path):
    # Given other things in the table's folder, and a link that leads out of it
    table = create(sql)
    append(table, 1)
    top = local(table.location())
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious.parquet").write_bytes(b"x")
    for name in ("metadata/version-hint.text", "data/_SUCCESS", "data/.x.crc", "_staged/part.parquet", "lost.parquet"):
        (top / name).parent.mkdir(exist_ok=True)
        (top / name).write_bytes(b"x")
    (top / "link").symlink_to(outside)

    # When orphans are looked for
    found, _ = find(as_lake_table(table))

    # Then each is told for what it is, and nothing beyond the link
    assert {str(local(orphan.path).relative_to(top)): orphan.kind.value for orphan in found} == {
        "metadata/version-hint.text": "UNKNOWN",
        "data/_SUCCESS": "HIDDEN",
        "data/.x.crc": "HIDDEN",
        "_staged/part.parquet": "HIDDEN",
        "lost.parquet": "ORPHAN",
        "link": "UNKNOWN",
    }


def test_partition_folders_with_an_underscore_are_not_hidden():
    assert kind_of("data/_day=1/a.parquet", ["_day"]) is OrphanKind.ORPHAN
    assert kind_of("data/_day=1/a.parquet") is OrphanKind.HIDDEN


@pytest.mark.parametrize("place", ["", "/", "/inside", "/.."])
def test_a_second_table_near_is_refused(sql: CachingSqlCatalog, place: str):
    table = create(sql)
    append(table, 1)
    location = table.location().rpartition("/")[0] if place == "/.." else table.location() + place

    with pytest.raises(UnsupportedTableError, match=r"sales\.other"):
        find(as_lake_table(table), {NAME: [table.location()], OTHER: [location]})


def test_a_table_whose_name_begins_alike_is_no_neighbour(sql: CachingSqlCatalog):
    table = create(sql)
    append(table, 1)

    found, _ = find(as_lake_table(table), {NAME: [table.location()], OTHER: [table.location() + "_2"]})

    assert found == []


def test_a_whole_store_is_refused(sql: CachingSqlCatalog):
    table = create(sql)
    append(table, 1)
    table.metadata = table.metadata.model_copy(update={"location": "file:///"})

    with pytest.raises(UnsupportedTableError, match="whole store"):
        find(as_lake_table(table))


def test_found_in_batches(sql: CachingSqlCatalog):
    table = create(sql)
    append(table, 1)
    for number in range(2_100):
        (local(table.location()) / "data" / f"{number}.parquet").write_bytes(b"")
    batches: list[int] = []

    tally = find_orphans(as_lake_table(table), {}, LATER, lambda batch: batches.append(len(batch)))

    assert batches == [1_000, 1_000, 100]
    assert tally.orphans[OrphanKind.ORPHAN] == 2_100
