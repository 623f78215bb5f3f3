"""Laws of schema diffs, on any two schemas at all."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.domain.moves import moved
from app.domain.schema_changes import SchemaChange, SchemaChangeKind
from app.domain.schema_diff import SchemaDiff, VersionSchema, diff_schemas
from app.domain.schemas import SchemaField, SchemaVersion
from tests.properties.schema_strategies import evolutions, renumbered, schemas
from tests.strategies import make_field, make_schema

KIND = SchemaChangeKind
MIRRORED = {
    KIND.ADDED: KIND.REMOVED,
    KIND.REMOVED: KIND.ADDED,
    KIND.MADE_OPTIONAL: KIND.MADE_REQUIRED,
    KIND.MADE_REQUIRED: KIND.MADE_OPTIONAL,
}


def diff(before: SchemaVersion, after: SchemaVersion, *, by_id: bool = True, format_version: int = 3) -> SchemaDiff:
    old, new = (VersionSchema(schema=schema, format_version=format_version) for schema in (before, after))
    return diff_schemas(old, new, by_id=by_id)


def shape(field: SchemaField) -> Any:
    """All of a field but its id."""
    inner = tuple(shape(child) for child in field.children)
    return (
        field.path,
        field.type,
        field.is_required,
        field.doc or None,
        field.initial_default,
        field.write_default,
        inner,
    )


@given(schemas(), st.booleans())
def test_a_schema_does_not_differ_from_itself(schema, by_id):
    found = diff(schema, schema, by_id=by_id)

    assert found.is_empty and not found.is_breaking
    assert found.common_columns == schema.column_names


@given(schemas(), schemas(), st.booleans())
def test_no_difference_means_the_same_schema(before, after, by_id):
    found = diff(before, after, by_id=by_id)

    same = [shape(field) for field in before.fields] == [shape(field) for field in after.fields]
    assert not found.changes if same and not by_id else True
    if not found.changes:
        assert same


@given(schemas(), schemas(), st.booleans())
def test_swapped_versions_give_the_mirror(before, after, by_id):
    def facts(changes: tuple[SchemaChange, ...], *, swapped: bool) -> list[Any]:
        told = []
        for change in changes:
            if change.kind is KIND.MOVED:  # which ones are taken for moved, where there is a choice, is not a law
                continue
            old, new = (change.after, change.before) if swapped else (change.before, change.after)
            kind = MIRRORED.get(change.kind, change.kind) if swapped else change.kind
            told.append((kind, old and (old.path, old.field_id), new and (new.path, new.field_id)))
        return sorted(told, key=repr)

    there, back = diff(before, after, by_id=by_id), diff(after, before, by_id=by_id)

    assert facts(there.changes, swapped=False) == facts(back.changes, swapped=True)
    assert len([c for c in there.changes if c.kind is KIND.MOVED]) == len(
        [c for c in back.changes if c.kind is KIND.MOVED]
    )
    assert set(there.common_columns) == set(back.common_columns)
    assert there.is_empty is back.is_empty
    assert there.identifier_fields.is_changed is back.identifier_fields.is_changed


@given(schemas(), schemas(), st.booleans())
def test_columns_fall_into_three_parts(before, after, by_id):
    found = diff(before, after, by_id=by_id)
    renamed = found.of_kind(KIND.RENAMED)

    old_parts = [*found.removed_columns, *found.common_columns, *(c.before.path for c in renamed if c.before)]
    new_parts = [*found.added_columns, *found.common_columns, *(c.path for c in renamed)]
    assert sorted(old_parts) == sorted(before.column_names)
    assert sorted(new_parts) == sorted(after.column_names)
    assert [name for name in after.column_names if name in found.common_columns] == list(found.common_columns)


@given(schemas(), schemas(), st.booleans())
def test_what_is_inside_of_something_new_or_gone_is_not_told_again(before, after, by_id):
    found = diff(before, after, by_id=by_id)
    gone = {change.field_id for change in found.changes if change.kind is KIND.REMOVED and change.before}
    new = {change.field_id for change in found.changes if change.kind is KIND.ADDED}

    inside_gone = {f.field_id for field in before.walk() if field.field_id in gone for f in field.walk() if f != field}
    inside_new = {f.field_id for field in after.walk() if field.field_id in new for f in field.walk() if f != field}
    assert not gone & inside_gone
    assert not new & inside_new


@given(schemas(), schemas(), st.integers(50, 90))
def test_two_tables_are_compared_without_regard_to_ids(before, after, by):
    other = make_schema(9, *(renumbered(field, by) for field in after.fields), identifiers=after.identifier_fields)

    plain, shifted = diff(before, after, by_id=False), diff(before, other, by_id=False)

    assert [(c.kind, c.path) for c in plain.changes] == [(c.kind, c.path) for c in shifted.changes]
    assert plain.breaking_reasons == shifted.breaking_reasons
    assert all(c.kind not in (KIND.RENAMED, KIND.REPLACED) for c in plain.changes)


@given(schemas(), schemas())
def test_more_differences_break_no_less(before, after):
    removed, made_required = make_field(98, "x"), make_field(99, "y")
    more_before = make_schema(0, *before.fields, removed, made_required, identifiers=before.identifier_fields)
    more_after = make_schema(1, *after.fields, make_field(99, "y", required=True), identifiers=after.identifier_fields)

    few, many = diff(before, after), diff(more_before, more_after)

    assert {*few.breaking_for_readers, "x is removed"} == set(many.breaking_for_readers)
    assert {*few.breaking_for_writers, "x is removed", "y may not be null any more"} == set(many.breaking_for_writers)


@given(st.data())
def test_what_breaks_nobody_twice_breaks_nobody_at_once(data):
    first = data.draw(schemas())
    second = data.draw(evolutions(first))
    third = data.draw(evolutions(second))
    steps = (diff(first, second), diff(second, third))
    whole = diff(first, third)

    if not any(step.breaking_for_readers for step in steps):
        assert whole.breaking_for_readers == ()
    if not any(step.breaking_for_writers for step in steps):
        assert whole.breaking_for_writers == ()


@given(st.permutations(range(7)))
def test_no_smaller_set_of_moves_makes_the_rest_rise(places):
    found = moved(places)

    rest = [place for position, place in enumerate(places) if position not in found]
    assert rest == sorted(rest)
    kept = len(places) - len(found)
    assert not any(list(more) == sorted(more) for more in combinations(places, min(kept + 1, 8)))
