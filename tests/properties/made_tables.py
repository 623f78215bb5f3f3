"""Real Iceberg tables that are changed step by step, and beside them what their rows are, kept in plain Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import Operation
from pyiceberg.types import (
    IcebergType,
    ListType,
    MapType,
    NestedField,
    PrimitiveType,
    StructType,
)

from app.lake.json_rows import to_json_rows
from tests.properties.raw_values import Row, canonical_row, to_table
from tests.unit.lake.row_diff.made_snapshots import commit_files, write_data_files, write_position_deletes

KEY_ID = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeFile:
    """A live data file, its rows in their order, and the positions that are deleted."""

    file: DataFile
    rows: tuple[Row, ...]
    gone: frozenset[int] = frozenset()

    @property
    def live(self) -> list[Row]:
        return [row for position, row in enumerate(self.rows) if position not in self.gone]


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeVersion:
    """What a version of the table is: its schema, its rows, and all field ids that there had ever been then."""

    snapshot_id: int | None
    schema: Schema
    rows: tuple[Row, ...]
    seen: frozenset[int]


@dataclass(slots=True)
class MadeTable:
    """A table, and what is in each of its branches."""

    table: Table
    unique_keys: bool
    branches: dict[str, tuple[MadeFile, ...]] = field(default_factory=lambda: {MAIN_BRANCH: ()})
    branch: str = MAIN_BRANCH
    snapshots: dict[int, tuple[MadeFile, ...]] = field(default_factory=dict)
    versions: dict[int, MadeVersion] = field(default_factory=dict)
    next_key: int = 0

    @property
    def files(self) -> tuple[MadeFile, ...]:
        return self.branches[self.branch]

    @property
    def has_doubles(self) -> bool:
        """Whether a file is there more than once."""
        return len({made.file.file_path for made in self.files}) < len(self.files)

    @property
    def schema(self) -> Schema:
        return self.table.schema()

    @property
    def seen(self) -> frozenset[int]:
        """All field ids that were ever given."""
        return frozenset(range(1, self.table.metadata.last_column_id + 1))

    @property
    def latest(self) -> MadeVersion:
        """The head of main in the current schema."""
        rows = tuple(row for made in self.branches[MAIN_BRANCH] for row in made.live)
        return MadeVersion(snapshot_id=None, schema=self.schema, rows=rows, seen=self.seen)

    def write(self, rows: Sequence[Row], **options: object) -> list[MadeFile]:
        """Data files of these rows; nothing is committed."""
        numbered = [{**row, 0: number} for number, row in enumerate(rows)]
        table = to_table(self.schema, rows).append_column("__place", pa.array(range(len(rows)), pa.int32()))
        made = {}
        for file, part in write_data_files(self.table, table, **options):  # type: ignore[arg-type]
            places = part.column("__place").to_pylist()
            made[min(places, default=-1)] = MadeFile(
                file=file, rows=tuple(_without_place(numbered[place]) for place in places)
            )
        # Partitions come in any order, and what is drawn is to be the same each time.
        return [made[place] for place in sorted(made)]

    def commit(
        self,
        operation: Operation,
        *,
        remove: Sequence[MadeFile] = (),
        add: Sequence[MadeFile] = (),
    ) -> None:
        """Data files out and in."""
        snapshot_id = commit_files(
            self.table,
            operation,
            remove=[made.file for made in remove],
            add=[made.file for made in add],
            branch=self.branch,
        )
        gone = {made.file.file_path for made in remove}
        self._keep(snapshot_id, [*(made for made in self.files if made.file.file_path not in gone), *add])

    def delete_positions(self, chosen: dict[str, frozenset[int]], *, together: bool) -> None:
        """Merge-on-read; `together` writes one delete file a partition."""
        by_path = {made.file.file_path: made for made in self.files}
        deletes = []
        for group in self._groups(chosen, together=together):
            positions = {path: sorted(chosen[path]) for path in group}
            deletes.append(write_position_deletes(self.table, positions, by_path[group[0]].file))
        snapshot_id = commit_files(self.table, Operation.DELETE, deletes=deletes, branch=self.branch)
        self._keep(snapshot_id, [_with_gone(made, chosen) for made in self.files])

    def rewrite_deletes(self) -> None:
        """One delete file a data file instead of all that there are; the rows are the same."""
        deletes = [
            write_position_deletes(self.table, {made.file.file_path: sorted(made.gone)}, made.file)
            for made in self.files
            if made.gone
        ]
        snapshot_id = commit_files(
            self.table, Operation.REPLACE, deletes=deletes, drop_deletes=True, branch=self.branch
        )
        self._keep(snapshot_id, self.files)

    def through_pyiceberg(self, step: Callable[[Table], None], rows: Callable[[list[Row]], list[Row]]) -> None:
        """A step of pyiceberg's own, which makes these rows of those that there are."""
        expected = rows([row for made in self.files for row in made.live])
        before = self.table.metadata.refs.get(self.branch)
        try:
            step(self.table)
        except (OverflowError, ValueError) as error:
            # Python has no dates before the year 1 and after 9999.
            if not isinstance(error, OverflowError) and "out of range" not in str(error):
                raise
        self.table.refresh()
        after = self.table.metadata.refs.get(self.branch)
        if after is None or after == before:
            return
        live = {task.file.file_path: task.file for task in self.table.scan(snapshot_id=after.snapshot_id).plan_files()}
        old = [made for made in self.files if made.file.file_path in live]
        known = {made.file.file_path for made in old}
        new = [MadeFile(file=file, rows=tuple(self._read(file))) for path, file in live.items() if path not in known]
        # Those come in any order, and what is drawn is to be the same each time.
        files = [*old, *sorted(new, key=lambda made: repr(made.rows))]
        found_rows = [row for made in files for row in made.live]
        assert self._counted(found_rows) == self._counted(expected), "pyiceberg's step did something else"
        for snapshot in self.table.metadata.snapshots:
            # An overwrite may take two snapshots; of the first one nothing is known here.
            if snapshot.snapshot_id == after.snapshot_id:
                self._keep(snapshot.snapshot_id, files)

    def roll_back(self, snapshot_id: int) -> None:
        """Point main at another of its snapshots."""
        self.table.manage_snapshots().set_current_snapshot(snapshot_id=snapshot_id).commit()
        self.table.refresh()
        self.branches[MAIN_BRANCH] = self.snapshots[snapshot_id]

    def fork(self, name: str) -> None:
        """A new branch at the current one's head, which is then the current one."""
        head = self.table.metadata.refs[self.branch].snapshot_id
        self.table.manage_snapshots().create_branch(head, name).commit()
        self.table.refresh()
        self.branches[name] = self.files
        self.branch = name

    def _keep(self, snapshot_id: int, files: Sequence[MadeFile]) -> None:
        self.branches[self.branch] = self.snapshots[snapshot_id] = tuple(files)
        self.versions[snapshot_id] = MadeVersion(
            snapshot_id=snapshot_id,
            schema=self.schema,
            rows=tuple(row for made in files for row in made.live),
            seen=self.seen,
        )

    def _groups(self, chosen: dict[str, frozenset[int]], *, together: bool) -> list[list[str]]:
        if not together:
            return [[path] for path in chosen]
        groups: dict[tuple[int, str], list[str]] = {}
        for made in self.files:
            if made.file.file_path in chosen:
                place = (made.file.spec_id, repr(made.file.partition))
                groups.setdefault(place, []).append(made.file.file_path)
        return list(groups.values())

    def _read(self, file: DataFile) -> Iterator[Row]:
        """The rows of a file of plain columns as it is, by the field ids in it."""
        with self.table.io.new_input(file.file_path).open() as stream:
            found = pq.read_table(stream)
        columns = {
            int(kind.metadata[b"PARQUET:field_id"]): _raw(column)
            for kind, column in zip(found.schema, found.columns, strict=True)
        }
        for place in range(found.num_rows):
            yield {field_id: values[place] for field_id, values in columns.items()}

    def _counted(self, rows: Sequence[Row]) -> Counter[tuple[str, ...]]:
        return counted(rows, self.schema.fields)


def counted(rows: Sequence[Row], fields: Sequence[NestedField]) -> Counter[tuple[str, ...]]:
    """Rows in these columns as texts, how often each is there."""
    return Counter(shown(rows, fields))


def shown(rows: Sequence[Row], fields: Sequence[NestedField]) -> list[tuple[str, ...]]:
    found = []
    for batch in to_table(Schema(*fields), rows).combine_chunks().to_batches():
        found += [canonical_row(row, fields) for row in to_json_rows(batch)]
    return found


def compared_fields(
    older: Sequence[NestedField], newer: Sequence[NestedField], older_seen: frozenset[int], newer_seen: frozenset[int]
) -> list[NestedField]:
    """The columns to compare by, in the wider type and the newer's names: those of both, and those not there *yet*."""
    by_id = {old.field_id: old for old in older}
    kept = []
    for new in newer:
        old = by_id.pop(new.field_id, None)
        if old is not None:
            kind = _merged(old.field_type, new.field_type, older_seen, newer_seen)
        else:
            kind = None if new.field_id in older_seen else new.field_type
        if kind is not None:
            kept.append(NestedField(new.field_id, new.name, kind, required=False))
    assert all(field_id in newer_seen for field_id in by_id), "the newer version knows all fields"
    return kept


def _merged(
    old: IcebergType, new: IcebergType, older_seen: frozenset[int], newer_seen: frozenset[int]
) -> IcebergType | None:
    if isinstance(old, StructType) and isinstance(new, StructType):
        fields = compared_fields(old.fields, new.fields, older_seen, newer_seen)
        return StructType(*fields) if fields else None
    if isinstance(new, (ListType, MapType)):
        return new  # only structs of the first level are changed in these tables
    assert isinstance(new, PrimitiveType)
    return new


def _with_gone(made: MadeFile, chosen: dict[str, frozenset[int]]) -> MadeFile:
    gone = made.gone | chosen.get(made.file.file_path, frozenset())
    return MadeFile(file=made.file, rows=made.rows, gone=gone)


def _without_place(row: Row) -> Row:
    return {field_id: value for field_id, value in row.items() if field_id}


def _raw(column: pa.ChunkedArray) -> list[object]:
    kind = column.type
    if pa.types.is_date(kind):
        column = column.cast(pa.int32())
    elif pa.types.is_temporal(kind):
        column = column.cast(pa.int64())
    elif isinstance(kind, pa.UuidType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
    return list(column.to_pylist())
