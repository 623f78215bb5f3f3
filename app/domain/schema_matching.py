"""Which field of one schema is which of another.

Two versions of one table are matched by field id (Iceberg spec, "Column Projection": names may change, ids do not);
what is left over, by name among the members of the same struct: a column that was dropped and added again. Two tables
are matched by name alone, as the ids of one say nothing about the other. The parts of lists and maps are members by
the names `element`, `key` and `value`, and have ids as all fields have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.domain.moves import moved
from app.domain.schemas import SchemaField
from app.domain.type_promotion import TypeKind, kind_of

MAP_KEY = "key"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldPair:
    """A field in two versions; None where it is not in one of them, with all that is nested in it.

    `is_replaced`: it has the name of another field that was dropped. `is_in_key`: it is part of a map's key.
    """

    before: SchemaField | None
    after: SchemaField | None
    before_name: str = ""
    after_name: str = ""
    is_nested: bool = False
    is_in_key: bool = False
    is_moved: bool = False
    is_replaced: bool = False

    @property
    def is_same_name(self) -> bool:
        """Whether both versions have it by one name."""
        return self.before is not None and self.after is not None and self.before_name == self.after_name


@dataclass(frozen=True, slots=True, kw_only=True)
class _Struct:
    """Members of one struct on both sides, still to be matched."""

    before: tuple[SchemaField, ...]
    after: tuple[SchemaField, ...]
    before_path: str = ""
    after_path: str = ""
    by_id: bool
    is_map: bool = False
    is_nested: bool = False
    is_in_key: bool = False


def match_schemas(before: Sequence[SchemaField], after: Sequence[SchemaField], *, by_id: bool) -> Iterator[FieldPair]:
    """Each field of either schema once, with its like; parents ahead of what is nested in them.

    Costs O(n log n) in the number of fields.
    """
    open_structs = [_Struct(before=tuple(before), after=tuple(after), by_id=by_id)]
    while open_structs:
        struct = open_structs.pop()
        below: list[_Struct] = []
        for pair in _match(struct):
            yield pair
            inner = _inside(pair, struct)
            if inner is not None:
                below.append(inner)
        open_structs += reversed(below)


def _match(struct: _Struct) -> Iterator[FieldPair]:
    old_names = [own_name(field, struct.before_path) for field in struct.before]
    new_names = [own_name(field, struct.after_path) for field in struct.after]
    partners = _by_name(old_names, new_names, range(len(old_names)), range(len(new_names)))
    replaced: dict[int, int] = {}
    if struct.by_id:
        partners = _by_id(struct.before, struct.after)
        taken = set(partners.values())
        replaced = _by_name(
            old_names,
            new_names,
            [place for place in range(len(old_names)) if place not in taken],
            [place for place in range(len(new_names)) if place not in partners],
        )
    # Only what kept its identity can have been moved; what was added again was put somewhere anew.
    kept = sorted(partners)
    moved_places = {kept[position] for position in moved([partners[place] for place in kept])}
    for place, field in enumerate(struct.after):
        old_place = partners.get(place, replaced.get(place))
        yield FieldPair(
            before=None if old_place is None else struct.before[old_place],
            after=field,
            before_name="" if old_place is None else old_names[old_place],
            after_name=new_names[place],
            is_nested=struct.is_nested,
            is_in_key=struct.is_in_key or (struct.is_map and new_names[place] == MAP_KEY),
            is_moved=place in moved_places,
            is_replaced=place in replaced,
        )
    found = {*partners.values(), *replaced.values()}
    for place, field in enumerate(struct.before):
        if place not in found:
            yield FieldPair(
                before=field,
                after=None,
                before_name=old_names[place],
                is_nested=struct.is_nested,
                is_in_key=struct.is_in_key,
            )


def _inside(pair: FieldPair, struct: _Struct) -> _Struct | None:
    if pair.before is None or pair.after is None:
        return None
    kind = kind_of(pair.after.type)
    if kind is TypeKind.PRIMITIVE or kind is not kind_of(pair.before.type):
        return None
    return _Struct(
        before=pair.before.children,
        after=pair.after.children,
        before_path=pair.before.path,
        after_path=pair.after.path,
        # All that is in a field that was added again has new ids too, and would be told a second time.
        by_id=struct.by_id and not pair.is_replaced,
        is_map=kind is TypeKind.MAP,
        is_nested=True,
        is_in_key=pair.is_in_key,
    )


def own_name(field: SchemaField, parent_path: str) -> str:
    """The field's name within the field that has this path; names may have dots of their own."""
    return field.path[len(parent_path) + 1 :] if parent_path else field.path


def _by_id(before: Sequence[SchemaField], after: Sequence[SchemaField]) -> dict[int, int]:
    """Places in the new list with the places of the same fields in the old one."""
    old = {field.field_id: place for place, field in enumerate(before)}
    return {place: old[field.field_id] for place, field in enumerate(after) if field.field_id in old}


def _by_name(
    old_names: Sequence[str], new_names: Sequence[str], old_places: Sequence[int], new_places: Sequence[int]
) -> dict[int, int]:
    old = {old_names[place]: place for place in old_places}
    return {place: old[new_names[place]] for place in new_places if new_names[place] in old}
