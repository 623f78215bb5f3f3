"""What random schemas look like: any two share some ids and some names, and agree on nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hypothesis import strategies as st

from app.domain.schemas import SchemaField, SchemaVersion
from app.domain.type_promotion import TypeKind, kind_of
from tests.strategies import make_field, make_schema

PRIMITIVES = (
    "int",
    "long",
    "float",
    "double",
    "decimal(9, 2)",
    "decimal(12, 2)",
    "date",
    "timestamp",
    "string",
    "unknown",
)
NAMES = ("a", "b", "c", "d", "e.f")
MAX_DEPTH = 3


@st.composite
def schemas(draw: st.DrawFn) -> SchemaVersion:
    """Up to five columns, nested up to three levels, whose ids are any of forty."""
    ids = iter(draw(st.permutations(range(1, 41))))
    fields = draw(_members("", ids, 0))
    candidates = [field.path for field in fields if field.is_required and not field.children]
    identifiers = draw(st.lists(st.sampled_from(candidates), unique=True, max_size=2)) if candidates else []
    return make_schema(draw(st.integers(0, 3)), *fields, identifiers=tuple(identifiers))


@st.composite
def _members(draw: st.DrawFn, parent: str, ids: Iterator[int], depth: int) -> tuple[SchemaField, ...]:
    # Fewer the deeper, so that the ids last.
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=max(1, 5 - 2 * depth)))
    return tuple(draw(_field(f"{parent}.{name}" if parent else name, ids, depth)) for name in names)


@st.composite
def _field(draw: st.DrawFn, path: str, ids: Iterator[int], depth: int) -> SchemaField:
    field_id = next(ids)
    kind = TypeKind.PRIMITIVE if depth >= MAX_DEPTH else draw(st.sampled_from((*[TypeKind.PRIMITIVE] * 4, *TypeKind)))
    children: tuple[SchemaField, ...] = ()
    if kind is TypeKind.STRUCT:
        children = draw(_members(path, ids, depth + 1))
    elif kind is TypeKind.LIST:
        children = (draw(_field(f"{path}.element", ids, depth + 1)),)
    elif kind is TypeKind.MAP:
        key = draw(_field(f"{path}.key", ids, depth + 2))
        children = (replace(key, is_required=True), draw(_field(f"{path}.value", ids, depth + 1)))
    type_text = draw(st.sampled_from(PRIMITIVES)) if kind is TypeKind.PRIMITIVE else type_of(kind, path, children)
    defaults = st.none() | st.integers(0, 1)
    return make_field(
        field_id,
        path,
        type_text,
        *children,
        required=draw(st.booleans()),
        doc=draw(st.sampled_from((None, "", "one", "two"))),
        initial_default=draw(defaults) if kind is TypeKind.PRIMITIVE else None,
        write_default=draw(defaults) if kind is TypeKind.PRIMITIVE else None,
    )


def type_of(kind: TypeKind, path: str, children: tuple[SchemaField, ...]) -> str:
    """A nested type as `app.lake.table.render_type` writes it."""
    if kind is TypeKind.STRUCT:
        return f"struct<{', '.join(f'{child.path[len(path) + 1 :]}: {child.type}' for child in children)}>"
    return f"{kind}<{', '.join(child.type for child in children)}>"


def renumbered(field: SchemaField, by: int) -> SchemaField:
    """The same field with other ids."""
    children = tuple(renumbered(child, by) for child in field.children)
    return replace(field, field_id=field.field_id + by, children=children)


@st.composite
def evolutions(draw: st.DrawFn, before: SchemaVersion) -> SchemaVersion:
    """What the schema may become in a few steps, most of them such as break nobody."""
    fields = list(before.fields)
    next_id = 100 + 10 * draw(st.integers(0, 5))
    for number in range(draw(st.integers(0, 4))):
        step = draw(
            st.sampled_from(("add", "widen", "move", "describe", "loosen", "tighten", "drop", "rename", "default"))
        )
        if step == "add" or not fields:
            default = draw(st.none() | st.just(1))
            is_required = draw(st.booleans())
            name = f"n{next_id + number}"
            new = make_field(next_id + number, name, "int", required=is_required, initial_default=default)
            fields.append(replace(new, write_default=default))
            continue
        place = draw(st.integers(0, len(fields) - 1))
        if step == "drop":
            del fields[place]
        elif step == "move":
            fields.insert(draw(st.integers(0, len(fields) - 1)), fields.pop(place))
        else:
            fields[place] = _changed(fields[place], step, number)
    paths = {field.path for field in fields}
    kept = tuple(path for path in before.identifier_fields if path in paths)
    return make_schema(before.schema_id + 1, *fields, identifiers=kept)


def _changed(field: SchemaField, step: str, number: int) -> SchemaField:
    if step == "widen" and kind_of(field.type) is TypeKind.PRIMITIVE:
        wider = {
            "int": "long",
            "float": "double",
            "decimal(9, 2)": "decimal(12, 2)",
            "date": "timestamp",
            "unknown": "int",
        }
        return replace(field, type=wider.get(field.type, field.type))
    if step == "describe":
        return replace(field, doc=f"doc {number}")
    if step == "loosen":
        return replace(field, is_required=False)
    if step == "tighten":
        return replace(field, is_required=True)
    if step == "default":
        return replace(field, write_default=None if field.write_default else 1)
    if step == "rename" and not field.children:
        return replace(field, path=f"r{field.field_id}")
    return field
