"""Random steps on a real table: rows and files in and out, rewrites, branches, and changes of schema and partitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.expressions import EqualTo, GreaterThanOrEqual
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import Operation
from pyiceberg.transforms import BucketTransform, IdentityTransform, TruncateTransform
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from tests.properties.made_tables import KEY_ID, MadeFile, MadeTable
from tests.properties.raw_values import Row, nullable, to_table, values_of
from tests.unit.lake.local_tables import NAME

PLAIN: list[IcebergType] = [
    IntegerType(),
    LongType(),
    FloatType(),
    DoubleType(),
    DecimalType(9, 2),
    DecimalType(38, 10),
    BooleanType(),
    DateType(),
    TimeType(),
    TimestampType(),
    TimestamptzType(),
    StringType(),
    UUIDType(),
    FixedType(4),
    BinaryType(),
]
NESTED: list[IcebergType] = [
    StructType(NestedField(100, "a", LongType()), NestedField(101, "b", StringType())),
    ListType(102, DoubleType(), element_required=False),
    ListType(103, StructType(NestedField(104, "x", IntegerType())), element_required=False),
    MapType(105, StringType(), 106, LongType(), value_required=False),
    MapType(107, IntegerType(), 108, StructType(NestedField(109, "y", FloatType())), value_required=False),
    StructType(NestedField(110, "l", ListType(111, StringType(), element_required=False))),
]
WIDER: dict[IcebergType, IcebergType] = {
    IntegerType(): LongType(),
    FloatType(): DoubleType(),
    DecimalType(9, 2): DecimalType(18, 2),
}


class Drawn:
    """One table of a test, changed by drawn steps; values come from a few a column, so that rows meet their equals."""

    def __init__(self, draw: st.DrawFn, catalog: SqlCatalog, *, plain: bool) -> None:
        self._draw = draw
        self._kinds = PLAIN if plain else [*PLAIN, *NESTED]
        self._pools: dict[int, list[Any]] = {}
        self.is_plain = plain
        self.is_keyed = draw(st.booleans())
        kinds = draw(st.lists(st.sampled_from(self._kinds), min_size=1, max_size=3))
        fields = [NestedField(KEY_ID, "k", draw(st.sampled_from([IntegerType(), LongType()])), required=self.is_keyed)]
        fields += [NestedField(10 * place, f"c{place}", kind) for place, kind in enumerate(kinds, start=2)]
        properties = {"commit.manifest-merge.enabled": "true", "commit.manifest.min-count-to-merge": "3"}
        table = catalog.create_table(
            str(NAME),
            Schema(*fields, identifier_field_ids=[KEY_ID] if self.is_keyed else []),
            properties=properties if draw(st.booleans()) else {},
        )
        self.made = MadeTable(table, unique_keys=draw(st.booleans()))

    def step(self) -> None:
        """One step of those that can be done now."""
        steps = [self.append, self.append, self.add_column, self.move, self.change_partitions]
        # pyiceberg and a rewrite of deletes know files by their paths alone.
        is_single = not self.made.has_doubles
        if self.is_plain and is_single:
            steps += [self.append_by_pyiceberg]
        if any(made.rows for made in self.made.files):
            steps += [self.delete_positions, self.delete_positions, self.update, self.drop_files, self.add_again]
            steps += [self.compact, self.compact, self.fork, self.roll_back]
            steps += [self.rewrite_deletes] if is_single else []
            steps += [self.delete_by_pyiceberg, self.overwrite_by_pyiceberg] if self.is_plain and is_single else []
        if len(self.made.schema.fields) > 2:
            steps += [self.drop_column, self.swap_names]
        steps += [self.rename, self.promote, self.change_struct]
        self._draw(st.sampled_from(steps))()

    # What changes rows.

    def append(self) -> None:
        files = [made for _ in range(self._draw(st.integers(1, 2))) for made in self._write(self.rows())]
        self.made.commit(Operation.APPEND, add=files)

    def append_by_pyiceberg(self) -> None:
        rows = self.rows()
        data = to_table(self.made.schema, rows)
        branch = self.made.branch
        self.made.through_pyiceberg(lambda table: table.append(data, branch=branch), lambda live: [*live, *rows])

    def delete_by_pyiceberg(self) -> None:
        key = self._draw(st.integers(0, 5))
        branch = self.made.branch
        self.made.through_pyiceberg(
            lambda table: table.delete(EqualTo("k", key), branch=branch),
            lambda live: [row for row in live if row[KEY_ID] != key],
        )

    def overwrite_by_pyiceberg(self) -> None:
        rows, key, branch = self.rows(), self._draw(st.integers(0, 5)), self.made.branch
        data = to_table(self.made.schema, rows)
        self.made.through_pyiceberg(
            lambda table: table.overwrite(data, GreaterThanOrEqual("k", key), branch=branch),
            lambda live: [*(row for row in live if row[KEY_ID] is None or row[KEY_ID] < key), *rows],
        )

    def delete_positions(self) -> None:
        chosen = {}
        for made in self._some_files():
            positions = self._draw(st.frozensets(st.integers(0, len(made.rows) - 1), min_size=1, max_size=4))
            chosen[made.file.file_path] = positions
        self.made.delete_positions(chosen, together=self._draw(st.booleans()))

    def update(self) -> None:
        """Copy-on-write: files are written anew with other values in some rows, and some left out."""
        files = self._some_files()
        kept = []
        for row in (row for made in files for row in made.live):
            what = self._draw(st.sampled_from(["keep", "keep", "change", "leave out"]))
            if what == "change":
                field = self._draw(st.sampled_from(self.made.schema.fields[1:] or self.made.schema.fields))
                row = {**row, field.field_id: self._cell(field)} if field.field_id != KEY_ID else row
            kept += [row] if what != "leave out" else []
        self.made.commit(Operation.OVERWRITE, remove=files, add=self._write(kept))

    def drop_files(self) -> None:
        self.made.commit(Operation.DELETE, remove=self._some_files())

    def add_again(self) -> None:
        """A file that is there already, as `add_files` without its check adds it."""
        spec_id = self.made.table.spec().spec_id
        files = [made for made in self.made.files if made.file.spec_id == spec_id]
        if files:
            made = self._draw(st.sampled_from(files))
            self.made.commit(Operation.APPEND, add=[MadeFile(file=made.file, rows=made.rows)])

    # What changes none.

    def compact(self) -> None:
        files = self._some_files()
        rows = self._draw(st.permutations([row for made in files for row in made.live]))
        cut = self._draw(st.integers(0, len(rows)))
        parts = [rows[:cut], rows[cut:]] if self._draw(st.booleans()) else [rows]
        self.made.commit(Operation.REPLACE, remove=files, add=[made for part in parts for made in self._write(part)])

    def rewrite_deletes(self) -> None:
        self.made.rewrite_deletes()

    def fork(self) -> None:
        self.made.fork(f"b{len(self.made.branches)}")

    def roll_back(self) -> None:
        ids = {snapshot.snapshot_id for snapshot in self.made.table.metadata.snapshots}
        # In the order in which they were made: their numbers are others each time.
        self.made.roll_back(self._draw(st.sampled_from([number for number in self.made.snapshots if number in ids])))
        self.made.branch = MAIN_BRANCH

    # Schema and partitions.

    def add_column(self) -> None:
        name = f"n{self.made.table.metadata.last_column_id}"
        kind = self._draw(st.sampled_from(self._kinds))
        with self.made.table.update_schema() as update:
            update.add_column(name, kind)

    def drop_column(self) -> None:
        used = {part.source_id for spec in self.made.table.specs().values() for part in spec.fields}
        names = [field.name for field in self.made.schema.fields if field.field_id not in {KEY_ID, *used}]
        if names:
            with self.made.table.update_schema() as update:
                update.delete_column(self._draw(st.sampled_from(names)))

    def rename(self) -> None:
        name = self._draw(st.sampled_from([field.name for field in self.made.schema.fields]))
        with self.made.table.update_schema() as update:
            update.rename_column(name, f"r{self.made.table.metadata.current_schema_id}" if name != "k" else name + "")

    def swap_names(self) -> None:
        """A column gets the name of another one, which gets a new one."""
        one, other = (field.name for field in self.made.schema.fields[1:3])
        for old, new in ((one, f"s{self.made.table.metadata.current_schema_id}"), (other, one)):
            with self.made.table.update_schema() as update:
                update.rename_column(old, new)

    def move(self) -> None:
        with self.made.table.update_schema() as update:
            update.move_first(self._draw(st.sampled_from([field.name for field in self.made.schema.fields])))

    def promote(self) -> None:
        fields = [field for field in self.made.schema.fields if field.field_type in WIDER]
        if fields:
            field = self._draw(st.sampled_from(fields))
            with self.made.table.update_schema() as update:
                update.update_column(field.name, field_type=WIDER[field.field_type])  # type: ignore[arg-type]

    def change_struct(self) -> None:
        for field in self.made.schema.fields:
            if isinstance(field.field_type, StructType):
                names = [part.name for part in field.field_type.fields]
                with self.made.table.update_schema() as update:
                    if len(names) > 1 and self._draw(st.booleans()):
                        update.delete_column((field.name, names[0]))
                    else:
                        update.add_column((field.name, f"p{self.made.table.metadata.last_column_id}"), LongType())
                return

    def change_partitions(self) -> None:
        spec = self.made.table.spec()
        with self.made.table.update_spec() as update:
            if spec.fields:
                update.remove_field(spec.fields[0].name)
            else:
                transform = self._draw(st.sampled_from([IdentityTransform(), BucketTransform(2), TruncateTransform(3)]))
                update.add_field("k", transform, f"p{spec.spec_id}")

    # Rows.

    def rows(self) -> list[Row]:
        return [
            {field.field_id: self._cell(field) for field in self.made.schema.fields}
            for _ in range(self._draw(st.integers(0, 4)))
        ]

    def _cell(self, field: NestedField) -> Any:
        if field.field_id == KEY_ID:
            if self.made.unique_keys:
                self.made.next_key += 1
                return self.made.next_key
            return self._draw(st.integers(0, 5) if self.is_keyed else st.none() | st.integers(0, 5))
        pool = self._pools.get(field.field_id)
        if pool is None:
            pool = self._draw(st.lists(values_of(field.field_type), min_size=1, max_size=3))
            self._pools[field.field_id] = pool
        if isinstance(field.field_type, StructType) and self._draw(st.booleans()):
            # Parts that were added since the first ones were drawn.
            pool.append(self._draw(nullable(field.field_type)))
        return self._draw(st.none() | st.sampled_from(pool))

    def _write(self, rows: Sequence[Row]) -> list[MadeFile]:
        return self.made.write(
            rows,
            row_group_rows=self._draw(st.sampled_from([2, 1000])),
            with_statistics=self._draw(st.integers(0, 5)) > 0,
        )

    def _some_files(self) -> list[MadeFile]:
        files = [made for made in self.made.files if made.rows]
        chosen = self._draw(st.lists(st.sampled_from(range(len(files))), min_size=1, max_size=3, unique=True))
        paths = {files[place].file.file_path for place in chosen}
        return [made for made in files if made.file.file_path in paths]


def identity(table: Table) -> str:
    """For a failing example to be told by."""
    return f"{table.name()} {table.metadata.current_snapshot_id}"
