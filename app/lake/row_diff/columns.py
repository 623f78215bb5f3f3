"""Which columns of two versions are compared, and as what type.

Columns of one table are matched by field id, at every depth; those of two tables by name. What both have is compared in
the wider of the two types (Iceberg spec, "Schema Evolution": int to long, float to double, more digits of a decimal).
A column that one version has not *yet* is its initial default there, null mostly, so that filling it shows. A column
that one version has not *any more* is not compared, because what was in it says nothing about rows that were written
since; it is named in the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyiceberg.schema import Schema
from pyiceberg.types import (
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    PrimitiveType,
    StructType,
    UnknownType,
)

from app.domain.history import Snapshot
from app.domain.versions import closest
from app.errors import InvalidArgumentError, UnknownColumnError, UnsupportedTableError
from app.lake.table import LakeTable, are_of_one_table, render_type

_PROMOTIONS = {(IntegerType, LongType), (FloatType, DoubleType)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedColumns:
    """The schemas to read both sides in: the same columns by the same names, in one order, with each side's own ids.

    `keys` are places of top-level columns. `not_compared` are paths.
    """

    from_schema: Schema
    to_schema: Schema
    keys: tuple[int, ...]
    not_compared: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(field.name for field in self.to_schema.fields)

    @property
    def key_names(self) -> tuple[str, ...]:
        """Names of the key columns."""
        return tuple(self.names[place] for place in self.keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionColumns:
    """The columns of a version; `seen` is the highest field id that any column of its table had been given then."""

    table: LakeTable
    snapshot_id: int
    schema: Schema
    seen: int

    @property
    def dataset(self) -> str:
        """Name of the table."""
        return str(self.table.state.name)

    @property
    def names(self) -> list[str]:
        """Names of all columns, at every depth."""
        names = (self.schema.find_column_name(field_id) for field_id in self.schema.field_ids)
        return sorted(name for name in names if name is not None)

    def find(self, name: str) -> int | None:
        """The field id of a column of its own."""
        return next((field.field_id for field in self.schema.fields if field.name == name), None)


def columns_of(table: LakeTable, snapshot_id: int, schema_id: int) -> VersionColumns:
    """The columns of a snapshot that is read in this schema.

    Schemas are numbered in their order, but one that comes back, as by dropping a column that was just added, has its
    old number: snapshots that are not newer tell what there had been.
    """
    snapshots = table.state.history.snapshots
    made = _order(snapshots[snapshot_id])
    known = {snapshot.schema_id for snapshot in snapshots.values() if _order(snapshot) <= made}
    schemas = {schema.schema_id: schema for schema in table.metadata.schemas}
    seen = [other.highest_field_id for number, other in schemas.items() if number <= schema_id or number in known]
    return VersionColumns(table=table, snapshot_id=snapshot_id, schema=schemas[schema_id], seen=max(seen))


def compared_columns(before: VersionColumns, after: VersionColumns, keys: Sequence[str] | None) -> ComparedColumns:
    """The columns that two versions are compared by, in the names and the order of the newer schema.

    Keys may be named as either version does; where both have the name for different columns, it is the newer schema's.

    Raises:
        UnknownColumnError: a key that the versions have not, or of two tables one.
        InvalidArgumentError: a key that one version of a table has not, of a type that identifies nothing, or that is
            part of a struct.
        UnsupportedTableError: they have no column in common, or two tables have one of different types.
    """
    is_one_table = are_of_one_table(before.table, before.snapshot_id, after.table, after.snapshot_id)
    # A newer schema has all that an older one has not dropped, so that no name comes twice, whichever way they are
    # compared.
    is_backwards = is_one_table and (before.seen, before.schema.schema_id) > (after.seen, after.schema.schema_id)
    older, newer = (after, before) if is_backwards else (before, after)
    merging = _Merging(by_name=not is_one_table, seen=older.seen, dataset=after.dataset)
    pairs = merging.fields(older.schema.fields, newer.schema.fields, "")
    if not pairs:
        raise UnsupportedTableError(
            after.dataset, "no column in common", "the two versions have no column that both have"
        )
    schemas = [Schema(*(pair[side] for pair in pairs)) for side in (0, 1)]
    if is_backwards:
        schemas.reverse()
    merged = ComparedColumns(
        from_schema=schemas[0], to_schema=schemas[1], keys=(), not_compared=tuple(merging.not_compared)
    )
    if keys is None:
        places = _identifiers(before, after, merged, is_one_table=is_one_table)
    else:
        places = tuple(_key_place(key, merged, newer, older, is_one_table=is_one_table) for key in keys)
        if len(set(places)) < len(places):
            raise InvalidArgumentError("keys", "a column is named twice")
    return replace(merged, keys=places)


def _order(snapshot: Snapshot) -> tuple[int, int]:
    return snapshot.sequence_number or 0, snapshot.timestamp_ms


def _identifiers(
    before: VersionColumns, after: VersionColumns, merged: ComparedColumns, *, is_one_table: bool
) -> tuple[int, ...]:
    """The identifier fields, where both versions have the same and all are columns of their own."""
    sides = (before.schema, after.schema)
    if is_one_table:
        ids = {frozenset(schema.identifier_field_ids) for schema in sides}
        wanted: set[object] = set(sides[0].identifier_field_ids)
        places = [place for place, field in enumerate(merged.to_schema.fields) if field.field_id in wanted]
        return tuple(places) if len(ids) == 1 and len(places) == len(wanted) else ()
    names = {frozenset(map(schema.find_column_name, schema.identifier_field_ids)) for schema in sides}
    places = [place for place, name in enumerate(merged.names) if name in next(iter(names))]
    return tuple(places) if len(names) == 1 and len(places) == len(next(iter(names))) else ()


def _key_place(
    key: str, merged: ComparedColumns, newer: VersionColumns, older: VersionColumns, *, is_one_table: bool
) -> int:
    sides = (newer, older)
    lacking = [side for side in sides if key not in side.names]
    if len(lacking) == len(sides) or (lacking and not is_one_table):
        raise UnknownColumnError(lacking[0].dataset, key[:120], closest(key, lacking[0].names))
    found = next((field_id for side in sides if (field_id := side.find(key)) is not None), None)
    if found is None:
        raise InvalidArgumentError("keys", f"{key[:120]!r} is part of another column, which cannot be a key")
    if is_one_table and not all(found in side.schema.field_ids for side in sides):
        raise InvalidArgumentError("keys", f"{key[:120]!r} cannot be a key: only one of the versions has this column")
    fields = merged.to_schema.fields
    place = next((place for place, field in enumerate(fields) if field.field_id == found), None)
    kind = newer.schema.find_type(found) if place is None else fields[place].field_type
    if place is None or not isinstance(kind, PrimitiveType):
        raise InvalidArgumentError("keys", f"{key[:120]!r} is of type {render_type(kind)}, which cannot be a key")
    return place


@dataclass(kw_only=True)
class _Merging:
    """Matches an older version's fields with a newer's; `seen` is what the older one knew of."""

    by_name: bool
    seen: int
    dataset: str

    def __post_init__(self) -> None:
        self.not_compared: list[str] = []

    def fields(
        self, older: Sequence[NestedField], newer: Sequence[NestedField], path: str
    ) -> list[tuple[NestedField, NestedField]]:
        """Pairs of fields in the order of `newer`, both with its names."""
        by_key = {self._key(field): field for field in older}
        pairs = []
        for field in newer:
            found = by_key.pop(self._key(field), None)
            pair = self._new(field, path) if found is None else self._both(found, field, path)
            pairs += [pair] if pair is not None else []
        self.not_compared += [f"{path}{field.name}" for field in by_key.values()]
        return pairs

    def _key(self, field: NestedField) -> int | str:
        return field.name if self.by_name else field.field_id

    def _new(self, field: NestedField, path: str) -> tuple[NestedField, NestedField] | None:
        if self.by_name or field.field_id <= self.seen:
            self.not_compared.append(f"{path}{field.name}")
            return None
        optional = _optional(field, field.name, field.field_type)
        return optional, optional

    def _both(self, older: NestedField, newer: NestedField, path: str) -> tuple[NestedField, NestedField] | None:
        kinds = self._types(older.field_type, newer.field_type, f"{path}{newer.name}")
        if kinds is None:
            self.not_compared.append(f"{path}{newer.name}")
            return None
        return _optional(older, newer.name, kinds[0]), _optional(newer, newer.name, kinds[1])

    def _types(self, mine: IcebergType, other: IcebergType, path: str) -> tuple[IcebergType, IcebergType] | None:
        if isinstance(mine, StructType) and isinstance(other, StructType):
            pairs = self.fields(mine.fields, other.fields, f"{path}.")
            return (StructType(*(a for a, _ in pairs)), StructType(*(b for _, b in pairs))) if pairs else None
        if isinstance(mine, ListType) and isinstance(other, ListType):
            kinds = self._types(mine.element_type, other.element_type, f"{path}.element")
            if kinds is None:
                return None
            return (
                ListType(mine.element_id, kinds[0], element_required=False),
                ListType(other.element_id, kinds[1], element_required=False),
            )
        if isinstance(mine, MapType) and isinstance(other, MapType):
            keys = self._types(mine.key_type, other.key_type, f"{path}.key")
            values = self._types(mine.value_type, other.value_type, f"{path}.value")
            if keys is None or values is None:
                return None
            return (
                MapType(mine.key_id, keys[0], mine.value_id, values[0], value_required=False),
                MapType(other.key_id, keys[1], other.value_id, values[1], value_required=False),
            )
        wider = _wider(mine, other)
        if wider is None and self.by_name:
            reason = f"{path} is of type {render_type(mine)} in one and {render_type(other)} in the other"
            raise UnsupportedTableError(self.dataset, "tables of different schemas", reason)
        return None if wider is None else (wider, wider)


def _optional(field: NestedField, name: str, kind: IcebergType) -> NestedField:
    return NestedField(field.field_id, name, kind, required=False, initial_default=field.initial_default, doc=None)


def _wider(one: IcebergType, other: IcebergType) -> IcebergType | None:
    """The type that holds the values of both; pyiceberg's own rules know some that the specification does not."""
    if one == other:
        return one
    for narrow, wide in ((one, other), (other, one)):
        if isinstance(narrow, DecimalType) and isinstance(wide, DecimalType):
            if narrow.scale == wide.scale and narrow.precision <= wide.precision:
                return wide
        elif (type(narrow), type(wide)) in _PROMOTIONS or _is_unknown(narrow, wide):
            return wide
    return None


def _is_unknown(narrow: IcebergType, wide: IcebergType) -> bool:
    return isinstance(narrow, UnknownType) and isinstance(wide, PrimitiveType)
