"""Which columns of two versions are compared, and as what type.

Columns of one table are matched by field id, at every depth; those of two tables by name. What both have is compared in
the wider of the two types (Iceberg spec, "Schema Evolution": int to long, float to double, more digits of a decimal).
A column that one version has not *yet* is its initial default there, null mostly, so that filling it shows. A column
that one version has not *any more* is not compared, because what was in it says nothing about rows that were written
since; it is named in the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pyiceberg.exceptions import ResolveError
from pyiceberg.schema import Schema, promote
from pyiceberg.types import (
    BinaryType,
    FixedType,
    IcebergType,
    ListType,
    MapType,
    NestedField,
    PrimitiveType,
    StringType,
    StructType,
    UUIDType,
)

from app.domain.versions import closest
from app.errors import InvalidArgumentError, UnknownColumnError, UnsupportedTableError
from app.lake.table import LakeTable, render_type

_NO_NUMBERS = (StringType, BinaryType, FixedType, UUIDType)


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


def compared_columns(
    from_table: LakeTable, from_schema: Schema, to_table: LakeTable, to_schema: Schema, keys: Sequence[str] | None
) -> ComparedColumns:
    """The columns that two versions are compared by.

    Raises:
        UnknownColumnError: a key that one of the versions has not.
        InvalidArgumentError: a key of a type that identifies nothing, or that is part of a struct.
        UnsupportedTableError: they have no column in common, or two tables have one of different types.
    """
    is_one_table = from_table.state.table_uuid == to_table.state.table_uuid
    merging = _Merging(
        by_name=not is_one_table,
        from_seen=_seen(from_table, from_schema),
        to_seen=_seen(to_table, to_schema),
        dataset=str(to_table.state.name),
    )
    pairs = merging.fields(from_schema.fields, to_schema.fields, "")
    if not pairs:
        raise UnsupportedTableError(
            str(to_table.state.name), "no column in common", "the two versions have no column that both have"
        )
    merged = ComparedColumns(
        from_schema=Schema(*(mine for mine, _ in pairs)),
        to_schema=Schema(*(other for _, other in pairs)),
        keys=(),
        not_compared=tuple(merging.not_compared),
    )
    chosen = _identifiers(from_schema, to_schema, merged) if keys is None else tuple(keys)
    return ComparedColumns(
        from_schema=merged.from_schema,
        to_schema=merged.to_schema,
        keys=tuple(_key_place(key, merged, ((from_table, from_schema), (to_table, to_schema))) for key in chosen),
        not_compared=merged.not_compared,
    )


def _seen(table: LakeTable, schema: Schema) -> int:
    """The highest field id that was given to a column when this schema was made."""
    known = [other.highest_field_id for other in table.metadata.schemas if other.schema_id <= schema.schema_id]
    return max(known, default=0)


def _identifiers(from_schema: Schema, to_schema: Schema, merged: ComparedColumns) -> tuple[str, ...]:
    """The identifier fields, where both versions have the same and all are columns of their own."""
    names = [schema.find_column_name(field_id) for schema in (to_schema,) for field_id in schema.identifier_field_ids]
    if set(from_schema.identifier_field_ids) != set(to_schema.identifier_field_ids) and {
        from_schema.find_column_name(field_id) for field_id in from_schema.identifier_field_ids
    } != set(names):
        return ()
    if not all(name in merged.names for name in names):
        return ()
    return tuple(sorted((str(name) for name in names), key=merged.names.index))


def _key_place(key: str, merged: ComparedColumns, sides: Iterable[tuple[LakeTable, Schema]]) -> int:
    for table, schema in sides:
        known = {name for field_id in schema.field_ids if (name := schema.find_column_name(field_id)) is not None}
        if key not in known and key not in merged.names:
            raise UnknownColumnError(str(table.state.name), key[:120], closest(key, sorted(known)))
    if key not in merged.names:
        reason = "only columns of their own that both versions have can be keys"
        raise InvalidArgumentError("keys", f"{key[:120]!r} cannot be a key: {reason}")
    place = merged.names.index(key)
    kind = merged.to_schema.fields[place].field_type
    if not isinstance(kind, PrimitiveType):
        raise InvalidArgumentError("keys", f"{key[:120]!r} is of type {render_type(kind)}, which cannot be a key")
    return place


@dataclass(kw_only=True)
class _Merging:
    by_name: bool
    from_seen: int
    to_seen: int
    dataset: str

    def __post_init__(self) -> None:
        self.not_compared: list[str] = []

    def fields(
        self, mine: Sequence[NestedField], others: Sequence[NestedField], path: str
    ) -> list[tuple[NestedField, NestedField]]:
        """Pairs of fields in the order of `others`, those that only `mine` has at the end."""
        by_key = {self._key(field): field for field in mine}
        pairs = []
        for other in others:
            found = by_key.pop(self._key(other), None)
            pair = self._one_sided(other, path, self.from_seen) if found is None else self._both(found, other, path)
            pairs += [pair] if pair is not None else []
        for left in by_key.values():
            pair = self._one_sided(left, path, self.to_seen)
            pairs += [pair] if pair is not None else []
        return pairs

    def _key(self, field: NestedField) -> int | str:
        return field.name if self.by_name else field.field_id

    def _one_sided(self, field: NestedField, path: str, seen: int) -> tuple[NestedField, NestedField] | None:
        if self.by_name or field.field_id <= seen:
            self.not_compared.append(f"{path}{field.name}")
            return None
        optional = _optional(field, field.name, field.field_type)
        return optional, optional

    def _both(self, mine: NestedField, other: NestedField, path: str) -> tuple[NestedField, NestedField] | None:
        kinds = self._types(mine.field_type, other.field_type, f"{path}{other.name}")
        if kinds is None:
            self.not_compared.append(f"{path}{other.name}")
            return None
        return _optional(mine, other.name, kinds[0]), _optional(other, other.name, kinds[1])

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
    if one == other:
        return one
    if isinstance(one, _NO_NUMBERS) or isinstance(other, _NO_NUMBERS):
        # pyiceberg reads these as each other, which the specification does not know.
        return None
    for narrow, wide in ((one, other), (other, one)):
        try:
            return promote(narrow, wide)
        except ResolveError:
            continue
    return None
