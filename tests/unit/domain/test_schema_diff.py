"""How two schemas differ: by field id, by name, in nested fields, and whom that breaks."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.layouts import Layout, PartitionField, PartitionSpec
from app.domain.schema_changes import SchemaChangeKind
from app.domain.schema_diff import SchemaDiff, VersionSchema, diff_schemas
from app.domain.schemas import SchemaField
from tests.strategies import make_field, make_schema

ID = make_field(1, "id", required=True)
NAME = make_field(2, "name", "string")
PRICE = make_field(3, "price", "decimal(9, 2)")
AT = make_field(4, "at", "timestamptz")


def diff(before: tuple[SchemaField, ...], after: tuple[SchemaField, ...], **how: Any) -> SchemaDiff:
    format_version = how.pop("format_version", 2)
    return diff_schemas(
        VersionSchema(
            schema=make_schema(0, *before), format_version=format_version, layout=how.pop("layout", Layout())
        ),
        VersionSchema(schema=make_schema(1, *after), format_version=format_version),
        **how,
    )


def told(found: SchemaDiff) -> list[tuple[str, str]]:
    return [(change.kind.value, change.path) for change in found.changes]


def struct(field_id: int, path: str, *children: SchemaField, **more: Any) -> SchemaField:
    inner = ", ".join(f"{child.path[len(path) + 1 :]}: {child.type}" for child in children)
    return make_field(field_id, path, f"struct<{inner}>", *children, **more)


def array(field_id: int, path: str, element: SchemaField, **more: Any) -> SchemaField:
    return make_field(field_id, path, f"list<{element.type}>", element, **more)


def mapping(field_id: int, path: str, key: SchemaField, value: SchemaField, **more: Any) -> SchemaField:
    return make_field(field_id, path, f"map<{key.type}, {value.type}>", key, value, **more)


@pytest.mark.parametrize(
    ("case", "before", "after", "changes"),
    [
        ("same", (ID, NAME), (ID, NAME), []),
        ("added", (ID,), (ID, NAME), [("ADDED", "name")]),
        ("removed", (ID, NAME), (ID,), [("REMOVED", "name")]),
        ("renamed", (ID, NAME), (ID, make_field(2, "label", "string")), [("RENAMED", "label")]),
        (
            "two names swapped",
            (NAME, make_field(5, "label", "string")),
            (make_field(2, "label", "string"), make_field(5, "name", "string")),
            [("RENAMED", "label"), ("RENAMED", "name")],
        ),
        (
            "renamed, and its name given to a new column",
            (NAME,),
            (make_field(2, "label", "string"), make_field(5, "name", "string")),
            [("RENAMED", "label"), ("ADDED", "name")],
        ),
        (
            "renamed to the name of one that was dropped",
            (NAME, make_field(5, "label", "string")),
            (make_field(2, "label", "string"),),
            [("RENAMED", "label"), ("REMOVED", "label")],
        ),
        (
            "dropped and added again with another type",
            (ID, make_field(2, "amount", "int")),
            (ID, make_field(5, "amount", "string")),
            [("REPLACED", "amount"), ("TYPE_CHANGED", "amount")],
        ),
        ("dropped and added again as it was", (NAME,), (make_field(5, "name", "string"),), [("REPLACED", "name")]),
        (
            "type, nullability and doc of one",
            (make_field(2, "n", "int", required=True, doc="old"),),
            (make_field(2, "n", "long", doc="new"),),
            [("TYPE_CHANGED", "n"), ("MADE_OPTIONAL", "n"), ("DOC_CHANGED", "n")],
        ),
        ("made required", (NAME,), (make_field(2, "name", "string", required=True),), [("MADE_REQUIRED", "name")]),
        ("no doc and an empty one", (NAME,), (make_field(2, "name", "string", doc=""),), []),
        ("default", (NAME,), (make_field(2, "name", "string", write_default="x"),), [("DEFAULT_CHANGED", "name")]),
        ("the last to the front", (ID, NAME, PRICE, AT), (AT, ID, NAME, PRICE), [("MOVED", "at")]),
        ("the first to the end", (ID, NAME, PRICE, AT), (NAME, PRICE, AT, ID), [("MOVED", "id")]),
        (
            "moved and renamed",
            (ID, NAME, PRICE),
            (make_field(3, "cost", "decimal(9, 2)"), ID, NAME),
            [("RENAMED", "cost"), ("MOVED", "cost")],
        ),
        ("added in the middle moves nothing", (ID, AT), (ID, NAME, AT), [("ADDED", "name")]),
        ("dropped from the middle moves nothing", (ID, NAME, AT), (ID, AT), [("REMOVED", "name")]),
    ],
)
def test_columns_are_told_apart_by_field_id_and_then_by_name(case, before, after, changes):
    assert told(diff(before, after)) == changes


ADDRESS = struct(10, "address", make_field(11, "address.zip", "int"), make_field(12, "address.city", "string"))
TAGS = array(20, "tags", make_field(21, "tags.element", "int"))
SIZES = mapping(30, "sizes", make_field(31, "sizes.key", "string", required=True), make_field(32, "sizes.value", "int"))


@pytest.mark.parametrize(
    ("case", "before", "after", "changes"),
    [
        (
            "member added",
            ADDRESS,
            struct(10, "address", *ADDRESS.children, make_field(13, "address.land", "string")),
            [("ADDED", "address.land")],
        ),
        ("member removed", ADDRESS, struct(10, "address", ADDRESS.children[0]), [("REMOVED", "address.city")]),
        (
            "member promoted",
            ADDRESS,
            struct(10, "address", make_field(11, "address.zip", "long"), ADDRESS.children[1]),
            [("TYPE_CHANGED", "address.zip")],
        ),
        ("members swapped", ADDRESS, struct(10, "address", *reversed(ADDRESS.children)), [("MOVED", "address.city")]),
        (
            "struct and member renamed",
            ADDRESS,
            struct(10, "home", make_field(11, "home.code", "int"), make_field(12, "home.city", "string")),
            [("RENAMED", "home"), ("RENAMED", "home.code")],
        ),
        (
            "element",
            TAGS,
            array(20, "tags", make_field(21, "tags.element", "long")),
            [("TYPE_CHANGED", "tags.element")],
        ),
        (
            "another element than before",
            TAGS,
            array(20, "tags", make_field(29, "tags.element", "int")),
            [("REPLACED", "tags.element")],
        ),
        (
            "value of a map",
            SIZES,
            mapping(30, "sizes", SIZES.children[0], make_field(32, "sizes.value", "int", required=True)),
            [("MADE_REQUIRED", "sizes.value")],
        ),
        ("struct to a primitive", ADDRESS, make_field(10, "address", "string"), [("TYPE_CHANGED", "address")]),
        (
            "list to a struct",
            TAGS,
            struct(20, "tags", make_field(21, "tags.element", "int")),
            [("TYPE_CHANGED", "tags")],
        ),
        (
            "struct added again, told once",
            ADDRESS,
            struct(40, "address", make_field(41, "address.zip", "int"), make_field(42, "address.city", "string")),
            [("REPLACED", "address")],
        ),
        (
            "struct added again with another member",
            ADDRESS,
            struct(40, "address", make_field(41, "address.zip", "string"), make_field(42, "address.city", "string")),
            [("REPLACED", "address"), ("TYPE_CHANGED", "address.zip")],
        ),
    ],
)
def test_nested_fields_are_told_by_their_paths(case, before, after, changes):
    found = diff((ID, before), (ID, after))

    assert told(found) == changes
    assert [change.path for change in found.nested] == [path for _, path in changes if "." in path]


def test_structs_in_lists_in_maps_are_compared():
    def orders(amount_type: str) -> SchemaField:
        amount = make_field(55, "orders.value.element.amount", amount_type)
        element = struct(54, "orders.value.element", amount)
        value = array(53, "orders.value", element)
        return mapping(51, "orders", make_field(52, "orders.key", "string", required=True), value)

    (change,) = diff((orders("float"),), (orders("double"),)).changes

    assert (change.kind, change.path) == (SchemaChangeKind.TYPE_CHANGED, "orders.value.element.amount")
    assert change.before is not None and change.before.type == "float"


def test_names_with_dots_are_names():
    before = struct(1, "a.b", make_field(2, "a.b.c.d", "int"))
    after = struct(1, "a", make_field(2, "a.c.d", "int"))

    assert told(diff((before,), (after,))) == [("RENAMED", "a")]


def test_columns_fall_into_added_removed_renamed_and_common():
    amount = make_field(5, "amount", "int")
    found = diff(
        (ID, NAME, amount, AT), (AT, ID, make_field(2, "label", "string"), make_field(6, "amount", "string"), PRICE)
    )

    assert found.added_columns == ("price",)
    assert found.removed_columns == ()
    assert found.common_columns == ("at", "id", "amount")
    assert [change.path for change in found.of_kind(SchemaChangeKind.RENAMED)] == ["label"]


def test_two_tables_are_compared_by_name_alone():
    before = (ID, NAME, struct(10, "address", make_field(11, "address.zip", "int")))
    after = (make_field(1, "name", "string"), struct(2, "address", make_field(3, "address.zip", "long")), PRICE)

    found = diff(before, after, by_id=False)

    assert told(found) == [("ADDED", "price"), ("REMOVED", "id"), ("TYPE_CHANGED", "address.zip")]
    assert found.common_columns == ("name", "address")


BREAKING = [
    ("added optional", (ID,), (ID, NAME), False, False),
    ("added required", (ID,), (ID, make_field(2, "name", "string", required=True)), False, True),
    (
        "added required with a default",
        (ID,),
        (ID, make_field(2, "n", "int", required=True, initial_default=0, write_default=0)),
        False,
        False,
    ),
    (
        "added required with a default of old rows alone",
        (ID,),
        (ID, make_field(2, "n", "int", required=True, initial_default=0)),
        False,
        True,
    ),
    ("removed", (ID, NAME), (ID,), True, True),
    ("renamed", (NAME,), (make_field(2, "label", "string"),), True, True),
    ("replaced", (NAME,), (make_field(9, "name", "string"),), True, False),
    ("promoted", (make_field(2, "n", "int"),), (make_field(2, "n", "long"),), False, False),
    ("wider decimal", (PRICE,), (make_field(3, "price", "decimal(12, 2)"),), False, False),
    ("decimal of another scale", (PRICE,), (make_field(3, "price", "decimal(12, 3)"),), True, True),
    ("narrowed", (make_field(2, "n", "long"),), (make_field(2, "n", "int"),), True, True),
    ("struct to primitive", (ADDRESS,), (make_field(10, "address", "string"),), True, True),
    ("made optional", (ID,), (make_field(1, "id"),), True, False),
    ("made required", (NAME,), (make_field(2, "name", "string", required=True),), False, True),
    ("moved", (ID, NAME), (NAME, ID), False, False),
    ("doc", (NAME,), (make_field(2, "name", "string", doc="who"),), False, False),
    (
        "initial default",
        (make_field(2, "n", "int", initial_default=1, write_default=1),),
        (make_field(2, "n", "int", initial_default=2, write_default=1),),
        True,
        False,
    ),
    (
        "write default",
        (make_field(2, "n", "int", required=True, initial_default=1, write_default=1),),
        (make_field(2, "n", "int", required=True, initial_default=1, write_default=2),),
        False,
        False,
    ),
    (
        "write default taken away from a required one",
        (make_field(2, "n", "int", required=True, initial_default=1, write_default=1),),
        (make_field(2, "n", "int", required=True, initial_default=1),),
        False,
        True,
    ),
    ("nested removed", (ADDRESS,), (struct(10, "address", ADDRESS.children[0]),), True, True),
    (
        "added to a key",
        (mapping(30, "m", struct(31, "m.key", make_field(33, "m.key.a", "int")), make_field(32, "m.value", "int")),),
        (
            mapping(
                30,
                "m",
                struct(31, "m.key", make_field(33, "m.key.a", "int"), make_field(34, "m.key.b", "int")),
                make_field(32, "m.value", "int"),
            ),
        ),
        True,
        True,
    ),
]


@pytest.mark.parametrize(("case", "before", "after", "readers", "writers"), BREAKING)
def test_whom_it_breaks(case, before, after, readers, writers):
    found = diff(before, after)

    assert (bool(found.breaking_for_readers), bool(found.breaking_for_writers)) == (readers, writers)
    assert found.is_breaking is (readers or writers)
    assert any(change.is_breaking for change in found.changes) is found.is_breaking
    assert found.breaking_reasons == (
        *(f"readers: {reason}" for reason in found.breaking_for_readers),
        *(f"writers: {reason}" for reason in found.breaking_for_writers),
    )


@pytest.mark.parametrize(
    ("case", "before", "after", "changed", "breaks"),
    [
        ("set where there were none", (), ("id",), True, False),
        ("one more", ("id",), ("id", "at"), True, True),
        ("taken away", ("id",), (), True, True),
        ("listed in another order", ("id", "at"), ("at", "id"), False, False),
    ],
)
def test_identifier_fields(case, before, after, changed, breaks):
    found = diff_schemas(
        VersionSchema(schema=make_schema(0, ID, AT, identifiers=before)),
        VersionSchema(schema=make_schema(1, ID, AT, identifiers=after)),
    )

    assert found.changes == ()
    assert found.identifier_fields.is_changed is changed
    assert found.is_empty is not changed
    assert bool(found.breaking_for_writers) is breaks
    assert found.breaking_for_readers == ()


def test_identifier_fields_follow_a_rename():
    found = diff_schemas(
        VersionSchema(schema=make_schema(0, ID, identifiers=("id",))),
        VersionSchema(schema=make_schema(1, make_field(1, "key", required=True), identifiers=("key",))),
    )

    assert told(found) == [("RENAMED", "key")]
    assert found.identifier_fields.is_changed is False


@pytest.mark.parametrize(
    ("case", "transform", "format_version", "is_breaking"),
    [
        ("not partitioned", None, 3, False),
        ("in format version 2", None, 2, True),
        ("by day", "day", 3, False),
        ("by bucket", "bucket[4]", 3, True),
        ("by itself", "identity", 3, True),
    ],
)
def test_a_date_becomes_a_timestamp_where_its_partition_allows(case, transform, format_version, is_breaking):
    fields = () if transform is None else (PartitionField(source_id=5, name="p", transform=transform),)
    layout = Layout(partition=PartitionSpec(spec_id=0, fields=fields))

    found = diff(
        (make_field(5, "day", "date"),),
        (make_field(5, "day", "timestamp"),),
        format_version=format_version,
        layout=layout,
    )

    assert told(found) == [("TYPE_CHANGED", "day")]
    assert found.is_breaking is is_breaking


def test_initial_defaults_of_two_tables_say_nothing_about_each_other():
    before, after = make_field(2, "n", "int", initial_default=1), make_field(7, "n", "int", initial_default=2)

    assert diff((before,), (after,), by_id=False).is_breaking is False
    assert told(diff((before,), (after,), by_id=False)) == [("DEFAULT_CHANGED", "n")]
