"""A change of schema in words."""

from __future__ import annotations

import pytest

from app.domain.schemas import describe_change
from tests.strategies import make_field, make_schema

ID = make_field(1, "id")
ADDRESS = make_field(
    2,
    "address",
    "struct<zip: string, city: string>",
    make_field(3, "address.zip", "string"),
    make_field(4, "address.city", "string"),
)
MOVED_ADDRESS = make_field(
    2,
    "home",
    "struct<zip: string, city: string>",
    make_field(3, "home.zip", "string"),
    make_field(4, "home.city", "string"),
)
WIDER_ADDRESS = make_field(
    2,
    "address",
    "struct<zip: string, city: string, land: string>",
    make_field(3, "address.zip", "string"),
    make_field(4, "address.city", "string"),
    make_field(5, "address.land", "string"),
)
TAGS = make_field(6, "tags", "list<int>", make_field(7, "tags.element", "int"))
LONG_TAGS = make_field(6, "tags", "list<long>", make_field(7, "tags.element", "long"))


@pytest.mark.parametrize(
    ("case", "before", "after", "phrases"),
    [
        ("same", (ID, ADDRESS), (ID, ADDRESS), []),
        ("another order", (ID, ADDRESS), (ADDRESS, ID), []),
        ("added", (ID,), (ID, make_field(2, "amount", "int")), ["adds amount (int)"]),
        ("dropped", (ID, make_field(2, "amount", "int")), (ID,), ["drops amount (int)"]),
        ("renamed", (ID,), (make_field(1, "key"),), ["renames id to key"]),
        ("promoted", (make_field(1, "id", "int"),), (ID,), ["changes id from int to long"]),
        ("made required", (ID,), (make_field(1, "id", required=True),), ["makes id required"]),
        ("made optional", (make_field(1, "id", required=True),), (ID,), ["makes id optional"]),
        (
            "renamed and promoted",
            (make_field(1, "id", "int"),),
            (make_field(1, "key"),),
            ["changes key from int to long", "renames id to key"],
        ),
        (
            "dropped and added again under its name",
            (make_field(1, "amount", "int"),),
            (make_field(2, "amount", "string"),),
            ["adds amount (string)", "drops amount (int)"],
        ),
        (
            "names swapped",
            (ID, make_field(2, "x")),
            (make_field(1, "x"), make_field(2, "id")),
            ["renames id to x", "renames x to id"],
        ),
        ("struct added, told once", (ID,), (ID, ADDRESS), ["adds address (struct<zip: string, city: string>)"]),
        ("struct dropped, told once", (ID, ADDRESS), (ID,), ["drops address (struct<zip: string, city: string>)"]),
        ("struct renamed, told once", (ADDRESS,), (MOVED_ADDRESS,), ["renames address to home"]),
        ("nested added", (ADDRESS,), (WIDER_ADDRESS,), ["adds address.land (string)"]),
        ("nested dropped", (WIDER_ADDRESS,), (ADDRESS,), ["drops address.land (string)"]),
        (
            "struct renamed and nested dropped",
            (WIDER_ADDRESS,),
            (MOVED_ADDRESS,),
            ["drops address.land (string)", "renames address to home"],
        ),
        ("element promoted", (TAGS,), (LONG_TAGS,), ["changes tags.element from int to long"]),
    ],
)
def test_change_is_told_by_field_id(case, before, after, phrases):
    assert describe_change(make_schema(0, *before), make_schema(1, *after)) == phrases


@pytest.mark.parametrize(
    ("case", "before", "after", "phrases"),
    [
        ("set", make_schema(0, ID), make_schema(1, ID, identifiers=("id",)), ["identifies rows by (id)"]),
        ("taken away", make_schema(0, ID, identifiers=("id",)), make_schema(1, ID), ["identifies rows by (nothing)"]),
        (
            "renamed with its column",
            make_schema(0, ID, identifiers=("id",)),
            make_schema(1, make_field(1, "key"), identifiers=("key",)),
            ["renames id to key"],
        ),
        (
            "listed in another order",
            make_schema(0, ID, make_field(2, "x"), identifiers=("id", "x")),
            make_schema(1, ID, make_field(2, "x"), identifiers=("x", "id")),
            [],
        ),
    ],
)
def test_change_of_identifier_fields_is_told(case, before, after, phrases):
    assert describe_change(before, after) == phrases


def test_fields_are_walked_at_every_depth_and_columns_are_the_top():
    schema = make_schema(0, ID, ADDRESS, TAGS)

    assert [field.path for field in schema.walk()] == [
        "id",
        "address",
        "address.zip",
        "address.city",
        "tags",
        "tags.element",
    ]
    assert schema.column_names == ("id", "address", "tags")
