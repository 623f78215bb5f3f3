"""Broken manifests and manifest lists: whoever reads them is told which one it is, and is answered nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import ManifestContent, write_manifest_list
from pyiceberg.schema import Schema
from pyiceberg.table import StaticTable, Table
from pyiceberg.table.snapshots import Operation, Snapshot
from pyiceberg.types import LongType, NestedField, StringType

from app.domain.compaction.policy import CompactionPolicy
from app.domain.version_relation import relate
from app.errors import UnreadableTableError
from app.lake.commits import CommitOutcomeUnknownError
from app.lake.compact.commit import drop_deletes
from app.lake.compact.dangling import find_dangling_deletes
from app.lake.compact.planning import plan_table
from app.lake.compact.refusals import has_come
from app.lake.compact.typed_specs import partition_types
from app.lake.expire.reachable import measure_expiry
from app.lake.file_diffs import diff_files
from app.lake.manifest_files import list_manifests
from app.lake.metadata_cache import MetadataCache
from app.lake.statistics import column_stats
from tests.unit.lake.local_tables import as_lake_table, create_table, delete_rows, open_catalog, read
from tests.unit.lake.row_diff.comparing import compare, load, version
from tests.unit.lake.row_diff.made_snapshots import commit_files, write_data_files

SCHEMA = Schema(NestedField(1, "id", LongType()), NestedField(2, "name", StringType()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """A table with its first snapshot and its head; `files` are what a question of the head may read."""

    table: Table
    first: int
    head: Snapshot
    files: dict[str, str]


def on_disk(path: str) -> Path:
    return Path(path.removeprefix("file://"))


def make_versions(catalog: SqlCatalog) -> Versions:
    """Versions that differ in a manifest of two files and in deletes, so that each question reads both."""
    table = create_table(catalog, SCHEMA, [{"id": number, "name": "old"} for number in range(10)])
    first = table.metadata.current_snapshot_id
    rows = [{"id": number, "name": "new"} for number in (20, 21)]
    arrow = pa.Table.from_pylist(rows, schema_to_pyarrow(SCHEMA, include_field_ids=False))
    added = [file for row in range(2) for file, _ in write_data_files(table, arrow.slice(row, 1))]
    second = commit_files(table, Operation.APPEND, add=added)
    delete_rows(table, "id", pc.field("id") == 2)
    head = table.current_snapshot()
    assert first is not None and head is not None
    manifests = head.manifests(table.io)
    return Versions(
        table=table,
        first=first,
        head=head,
        files={
            "list": head.manifest_list,
            "data": next(found.manifest_path for found in manifests if found.added_snapshot_id == second),
            "deletes": next(found.manifest_path for found in manifests if found.content == ManifestContent.DELETES),
        },
    )


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Versions]:
    catalog = open_catalog(tmp_path_factory.mktemp("lake"))
    yield make_versions(catalog)
    catalog.close()


def blocks(content: bytes) -> list[int]:
    """Where the header and each block end."""
    return [at + 16 for at in range(len(content)) if content[at : at + 16] == content[-16:]]


HARMS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "no Avro": lambda content: b"PAR1" + content[4:],
    "nothing but zeros": lambda content: bytes(len(content)),
    "cut in its header": lambda content: content[:50],
    "cut in a block": lambda content: content[:-40],
    "cut in the mark at the end": lambda content: content[:-1],
    "cut where a block would begin": lambda content: content[: blocks(content)[-2]],
    "cut in the size of a block": lambda content: content[: blocks(content)[-2] + 2],
    "another mark at the end": lambda content: content[:-1] + bytes([content[-1] ^ 0xFF]),
    "a block of negative size": lambda content: (
        content[: blocks(content)[0]] + b"\x01\x01" + content[blocks(content)[0] :]
    ),
}


def diff_of(versions: Versions, from_id: int, to_id: int) -> object:
    loaded = load(versions.table)
    return diff_files(loaded, from_id, to_id, relate(loaded.state.history, from_id, to_id))


QUESTIONS: dict[str, Callable[[Versions], object]] = {
    "rows": lambda found: read(found.table),
    "rows of a filter": lambda found: read(found.table, "id >= 2"),
    "row diff": lambda found: compare(version(found.table, found.first), version(found.table), ("id",)),
    "row diff back": lambda found: compare(version(found.table), version(found.table, found.first)),
    "file diff": lambda found: diff_of(found, found.first, found.head.snapshot_id),
    "file diff back": lambda found: diff_of(found, found.head.snapshot_id, found.first),
    "expiry": lambda found: measure_expiry(load(found.table), [found.first]),
    "compaction": lambda found: plan_table(load(found.table), CompactionPolicy()),
    "dangling deletes": lambda found: find_dangling_deletes(load(found.table)),
    # Reads no deletes.
    "statistics": lambda found: column_stats(as_lake_table(found.table), found.head.snapshot_id, None),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("kind", ["list", "data", "deletes"])
def test_a_broken_manifest_or_list_is_named_whatever_is_asked(
    versions: Versions, kind: str, harm: str, question: str
) -> None:
    location = versions.files[kind]
    content = on_disk(location).read_bytes()
    broken = HARMS[harm](content)
    assert broken != content
    before = QUESTIONS[question](versions) if (kind, question) == ("deletes", "statistics") else None
    on_disk(location).write_bytes(broken)
    try:
        if before is not None:
            assert QUESTIONS[question](versions) == before
            return
        with pytest.raises(UnreadableTableError) as raised:
            QUESTIONS[question](versions)
    finally:
        on_disk(location).write_bytes(content)
    assert raised.value.fields["file"] == location
    assert location in raised.value.message


def test_a_manifest_whose_types_cannot_be_told_is_named(catalog: SqlCatalog) -> None:
    versions = make_versions(catalog)
    manifest = versions.head.manifests(versions.table.io)[0]
    on_disk(manifest.manifest_path).write_bytes(b"")
    with pytest.raises(OSError, match=on_disk(manifest.manifest_path).name):
        partition_types(versions.table.io, manifest)


CUTS = ["cut where a block would begin", "cut in the size of a block"]


def cut(location: str, harm: str) -> Path:
    path = on_disk(location)
    path.write_bytes(HARMS[harm](path.read_bytes()))
    return path


@pytest.mark.parametrize("kind", ["list", "deletes"])
@pytest.mark.parametrize("harm", CUTS)
def test_no_snapshot_is_made_of_what_is_left_of_a_manifest(catalog: SqlCatalog, kind: str, harm: str) -> None:
    versions = make_versions(catalog)
    table = load(versions.table)
    deletes = {file.file_path for task in versions.table.scan().plan_files() for file in task.delete_files}
    path = cut(versions.files[kind], harm)
    with pytest.raises(UnreadableTableError, match=path.name):
        drop_deletes(catalog, lambda: load(versions.table), table, MetadataCache(10**6), deletes, properties={})
    assert versions.table.refresh().metadata.current_snapshot_id == versions.head.snapshot_id


@pytest.mark.parametrize("kind", ["list", "data"])
@pytest.mark.parametrize("harm", CUTS)
def test_a_commit_that_a_cut_manifest_may_tell_of_is_not_taken_for_one_that_never_came(
    catalog: SqlCatalog, kind: str, harm: str
) -> None:
    # Given a commit of which an error came back, and others that went on with one of its files
    versions = make_versions(catalog)
    metadata = [StaticTable.from_metadata(entry.metadata_file) for entry in versions.table.metadata.metadata_log]
    base = next(table for table in metadata if table.metadata.current_snapshot_id == versions.first)
    first = base.current_snapshot()
    assert first is not None
    (written,) = {task.file.file_path for task in versions.table.scan("id = 21").plan_files()}
    error = CommitFailedException("refused")

    def ask() -> bool:
        return has_come(load(versions.table), as_lake_table(base), first, 1, {written}, error)

    assert ask()

    # When a manifest that names the file, or the list of the snapshot that added it, is cut short
    added = versions.table.metadata.snapshot_by_id(versions.head.parent_snapshot_id or 0)
    assert added is not None
    path = cut(added.manifest_list if kind == "list" else versions.files[kind], harm)

    # Then it is not known, and the file stays
    with pytest.raises(CommitOutcomeUnknownError, match=path.name):
        ask()


def test_a_manifest_that_is_shorter_than_its_list_says_is_read_where_all_its_entries_are_there(
    catalog: SqlCatalog,
) -> None:
    # Given a list that has the sizes of longer manifests, as Iceberg's own `rewrite_table_path` leaves it
    versions = make_versions(catalog)
    before = {question: ask(versions) for question, ask in QUESTIONS.items() if question != "expiry"}
    freed = measure_expiry(load(versions.table), [versions.first]).freed
    manifests = list_manifests(versions.table.io, versions.head)
    for manifest in manifests:
        manifest[1] = manifest.manifest_length + 100
    output = versions.table.io.new_output(versions.head.manifest_list)
    on_disk(versions.head.manifest_list).unlink()
    with write_manifest_list(2, output, versions.head.snapshot_id, versions.first, 3, "null") as writer:
        writer.add_manifests(manifests)
    assert all(found.manifest_length > len(on_disk(found.manifest_path).read_bytes()) for found in manifests)

    # Then everything is answered as before
    after = {question: ask(versions) for question, ask in QUESTIONS.items() if question != "expiry"}
    for name in before.keys() - {"compaction"}:
        assert after[name] == before[name], name
    assert measure_expiry(load(versions.table), [versions.first]).freed.files == freed.files


def test_a_list_of_nothing_is_one_of_a_snapshot_without_files(catalog: SqlCatalog) -> None:
    # Given a snapshot that has nothing, and a list that names no manifest
    table = create_table(catalog, SCHEMA)
    table.append(pa.Table.from_pylist([], schema_to_pyarrow(SCHEMA, include_field_ids=False)))
    head = table.current_snapshot()
    assert head is not None
    on_disk(head.manifest_list).unlink()
    with write_manifest_list(2, table.io.new_output(head.manifest_list), head.snapshot_id, None, 1, "null") as writer:
        writer.add_manifests([])

    # Then it has no rows, and is not broken
    assert read(table).rows == []
    assert [found.null_count for found in column_stats(as_lake_table(table), head.snapshot_id, None)] == [0, 0]
