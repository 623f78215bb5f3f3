"""Data files and delete files that are broken: whoever reads them is told which one it is, and is answered nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import orc
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.typedef import Record
from pyiceberg.types import LongType, NestedField, StringType

from app.domain.version_relation import relate
from app.errors import AppError, MissingFileError, UnreadableTableError
from app.lake.file_diffs import diff_files
from tests.unit.lake.local_tables import NAME, open_catalog, read
from tests.unit.lake.row_diff.comparing import compare, load, version
from tests.unit.lake.row_diff.made_snapshots import commit_files, write_data_files, write_position_deletes

SCHEMA = Schema(NestedField(1, "id", LongType()), NestedField(2, "name", StringType()))
# ORC has no ids of its own.
MAPPING = {"schema.name-mapping.default": '[{"field-id": 1, "names": ["id"]}, {"field-id": 2, "names": ["name"]}]'}
ROWS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Three versions: rows, other rows in another file, and some of these deleted."""

    table: Table
    ids: tuple[int, int, int]
    data: str
    deletes: str


def on_disk(path: str) -> Path:
    return Path(path.removeprefix("file://"))


def write_orc(table: Table, name: str, rows: pa.Table, content: DataFileContent) -> DataFile:
    path = f"{table.location()}/data/{name}.orc"
    with table.io.new_output(path).create() as stream:
        orc.write_table(rows, stream)
    file = DataFile.from_args(
        content=content,
        file_path=path,
        file_format=FileFormat.ORC,
        partition=Record(),
        record_count=len(rows),
        file_size_in_bytes=len(table.io.new_input(path)),
    )
    file.spec_id = 0
    return file


def make_versions(catalog: SqlCatalog, file_format: FileFormat) -> Versions:
    table = catalog.create_table(str(NAME), SCHEMA, properties=MAPPING)
    schema = schema_to_pyarrow(SCHEMA, include_field_ids=False)

    def rows(letter: str) -> pa.Table:
        return pa.Table.from_pylist([{"id": number, "name": letter * (number % 7)} for number in range(ROWS)], schema)

    def write(letter: str) -> DataFile:
        if file_format is FileFormat.ORC:
            return write_orc(table, letter, rows(letter), DataFileContent.DATA)
        ((file, _),) = write_data_files(table, rows(letter))
        return file

    old = write("a")
    first = commit_files(table, Operation.APPEND, add=[old])
    new = write("b")
    second = commit_files(table, Operation.OVERWRITE, remove=[old], add=[new])
    if file_format is FileFormat.ORC:
        gone = pa.table({"file_path": [new.file_path] * 9, "pos": pa.array(range(9), pa.int64())})
        deletes = write_orc(table, "deletes", gone, DataFileContent.POSITION_DELETES)
    else:
        # About another file too, so that what it says of this one is not in its manifest.
        deletes = write_position_deletes(table, {new.file_path: range(9), "file:///gone.parquet": [1]}, new)
    third = commit_files(table, Operation.DELETE, deletes=[deletes])
    assert len(read(table).rows) == ROWS - 9
    return Versions(table=table, ids=(first, second, third), data=new.file_path, deletes=deletes.file_path)


@pytest.fixture(scope="module", params=[FileFormat.PARQUET, FileFormat.ORC], ids=["Parquet", "ORC"])
def versions(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Versions]:
    catalog = open_catalog(tmp_path_factory.mktemp("lake"))
    yield make_versions(catalog, request.param)
    catalog.close()


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


HARMS: dict[str, Callable[[Path], object]] = {
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_bytes(b"hello" * 20),
    "nothing but zeros": lambda path: path.write_bytes(bytes(len(path.read_bytes()))),
    "half": lambda path: path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 2]),
    "cut at its end": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "a folder": as_folder,
}


def rows_differ(versions: Versions, before: int, after: int, keys: tuple[str, ...], sample_size: int = 1000) -> object:
    table = versions.table
    return compare(version(table, versions.ids[before]), version(table, versions.ids[after]), keys, sample_size)


def files_differ(versions: Versions, before: int, after: int) -> object:
    loaded = load(versions.table)
    ids = versions.ids[before], versions.ids[after]
    return diff_files(loaded, *ids, relate(loaded.state.history, *ids))


# What is asked, and which files it has to read for that.
QUESTIONS: dict[str, tuple[Callable[[Versions], object], set[str]]] = {
    "rows": (lambda found: read(found.table), {"data", "deletes"}),
    "the first row": (lambda found: read(found.table, limit=1), {"data", "deletes"}),
    "rows of a filter": (lambda found: read(found.table, "id = 50"), {"data", "deletes"}),
    "one column": (lambda found: read(found.table, None, "id"), {"data", "deletes"}),
    "row diff by key": (lambda found: rows_differ(found, 0, 2, ("id",)), {"data", "deletes"}),
    "row diff by key, back": (lambda found: rows_differ(found, 2, 0, ("id",)), {"data", "deletes"}),
    "row diff as multiset": (lambda found: rows_differ(found, 0, 2, ()), {"data", "deletes"}),
    "row diff by key without sample": (lambda found: rows_differ(found, 0, 2, ("id",), 0), {"data", "deletes"}),
    "deleted rows": (lambda found: rows_differ(found, 1, 2, ("id",)), {"data", "deletes"}),
    "deleted rows, back": (lambda found: rows_differ(found, 2, 1, ()), {"data", "deletes"}),
    "count of deleted rows": (lambda found: rows_differ(found, 1, 2, (), 0), {"deletes"}),
    "file diff": (lambda found: files_differ(found, 0, 2), set()),
    "file diff of deletes": (lambda found: files_differ(found, 1, 2), set()),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("kind", ["data", "deletes"])
def test_a_broken_file_that_has_to_be_read_is_named(versions: Versions, kind: str, harm: str, question: str) -> None:
    location = {"data": versions.data, "deletes": versions.deletes}[kind]
    ask, reads = QUESTIONS[question]
    path = on_disk(location)
    content = path.read_bytes()
    before = None if kind in reads else ask(versions)
    HARMS[harm](path)
    try:
        if kind not in reads:
            assert ask(versions) == before
            return
        expected: type[AppError] = MissingFileError if harm == "gone" else UnreadableTableError
        with pytest.raises(expected) as raised:
            ask(versions)
    finally:
        if path.is_dir():
            path.rmdir()
        path.write_bytes(content)
    assert raised.value.fields["file"] == location
    assert location in raised.value.message
