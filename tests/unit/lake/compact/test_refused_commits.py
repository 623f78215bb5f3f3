"""Refusals of what had been done: a gateway sends a commit twice, and passes on what is said of the second copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError
from pyiceberg.table import Table

from app.domain.compaction.policy import CompactionPolicy
from app.lake.commits import CommitOutcomeUnknownError
from app.lake.compact import commit
from app.lake.compact.making import BinMaker
from app.lake.compact.outcomes import CompactionOutcome
from app.lake.compact.planning import plan_table
from app.lake.compact.running import CompactionRun
from app.lake.metadata_cache import MetadataCache
from app.lake.table import LakeTable
from tests.unit.lake.local_tables import NAME, as_lake_table

FILES = 12
RENAMED = f"{NAME.namespace}.renamed"


class Gateway(SqlCatalog):
    """A catalog behind one: `meanwhile` is what happens before the second copy of the next commit is refused."""

    meanwhile: Callable[[], Exception] | None = None
    is_first_lost = False

    def commit_table(self, table: Table, requirements: Any, updates: Any) -> Any:
        if self.meanwhile is None:
            return super().commit_table(table, requirements, updates)
        meanwhile, self.meanwhile = self.meanwhile, None
        if not self.is_first_lost:
            super().commit_table(table, requirements, updates)
        raise meanwhile()


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    monkeypatch.setattr(commit, "_FIRST_WAIT_S", 0.0)
    opened = Gateway("gateway", uri=f"sqlite:///{tmp_path}/c.db", warehouse=f"file://{tmp_path}/lake")
    opened.create_namespace(NAME.namespace)
    table = opened.create_table(str(NAME), pa.schema([("id", pa.int64())]))
    for number in range(FILES):
        table.append(pa.table({"id": [number]}))
    yield opened
    opened.close()


def compact(gateway: Gateway, tmp_path: Path) -> CompactionOutcome:
    def load() -> LakeTable:
        return as_lake_table(gateway.load_table(str(NAME)))

    make = BinMaker(name="run", memory_bytes=2**26, scratch=tmp_path)
    run = CompactionRun(gateway, load, MetadataCache(1), make, properties={}, threads=1, rounds=1)
    return run.run(plan_table(load(), CompactionPolicy()))


def append(gateway: Gateway) -> Exception:
    gateway.load_table(str(NAME)).append(pa.table({"id": [FILES]}))
    return CommitFailedException("branch main has changed")


def append_and_expire(gateway: Gateway) -> Exception:
    refusal = append(gateway)
    table = gateway.load_table(str(NAME))
    for snapshot in table.metadata.snapshots:
        if snapshot.snapshot_id != table.metadata.current_snapshot_id:
            table.maintenance.expire_snapshots().by_id(snapshot.snapshot_id).commit()
    return refusal


def append_delete_all_and_expire(gateway: Gateway) -> Exception:
    table = gateway.load_table(str(NAME))
    ours = table.metadata.current_snapshot_id
    refusal = append(gateway)
    table.refresh().delete("id >= 0")
    table.refresh().maintenance.expire_snapshots().by_id(ours).commit()
    return refusal


def on_disk(tmp_path: Path) -> set[str]:
    return {str(path) for path in tmp_path.rglob("*") if path.suffix in (".parquet", ".avro")}


@pytest.mark.parametrize("meanwhile", [append, append_and_expire, append_delete_all_and_expire])
def test_what_others_have_gone_on_from_is_not_removed(
    gateway: Gateway, tmp_path: Path, meanwhile: Callable[[Gateway], Exception]
) -> None:
    # When a commit is refused that had been taken, and others have gone on from it
    gateway.meanwhile = lambda: meanwhile(gateway)
    found = compact(gateway, tmp_path)

    # Then it counts as committed
    assert (len(found.committed), found.overtaken) == (1, ())
    # And all that there is of the table can be read
    table = gateway.load_table(str(NAME))
    expected = [] if meanwhile is append_delete_all_and_expire else list(range(FILES + 1))
    assert sorted(table.scan().to_arrow()["id"].to_pylist()) == expected
    for snapshot in table.metadata.snapshots:
        table.scan(snapshot_id=snapshot.snapshot_id).to_arrow()


def test_of_a_table_that_got_another_name_nothing_is_removed(gateway: Gateway, tmp_path: Path) -> None:
    def rename() -> Exception:
        gateway.rename_table(str(NAME), RENAMED)
        return NoSuchTableError(str(NAME))

    gateway.meanwhile = rename
    with pytest.raises(CommitOutcomeUnknownError, match="nor can the table be loaded"):
        compact(gateway, tmp_path)
    assert sorted(gateway.load_table(RENAMED).scan().to_arrow()["id"].to_pylist()) == list(range(FILES))


def test_another_table_of_that_name_tells_nothing(gateway: Gateway, tmp_path: Path) -> None:
    def replace() -> Exception:
        gateway.rename_table(str(NAME), RENAMED)
        gateway.create_table(str(NAME), pa.schema([("id", pa.int64())]))
        return CommitFailedException("another table")

    gateway.meanwhile = replace
    with pytest.raises(CommitOutcomeUnknownError, match="another table has its name"):
        compact(gateway, tmp_path)
    assert sorted(gateway.load_table(RENAMED).scan().to_arrow()["id"].to_pylist()) == list(range(FILES))


def test_a_race_that_was_lost_leaves_nothing_behind(gateway: Gateway, tmp_path: Path) -> None:
    # When a commit is refused that was not taken, because another came first
    gateway.is_first_lost = True
    gateway.meanwhile = lambda: append(gateway)
    found = compact(gateway, tmp_path)

    # Then it is tried again, and what was written for the first attempt is gone
    assert len(found.committed) == 1
    table = gateway.load_table(str(NAME))
    assert sorted(table.scan().to_arrow()["id"].to_pylist()) == list(range(FILES + 1))
    named = {snapshot.manifest_list for snapshot in table.metadata.snapshots}
    named |= {some.manifest_path for snapshot in table.metadata.snapshots for some in snapshot.manifests(table.io)}
    named |= set(table.inspect.all_data_files()["file_path"].to_pylist())
    assert {path.removeprefix("file://") for path in named} >= on_disk(tmp_path)
