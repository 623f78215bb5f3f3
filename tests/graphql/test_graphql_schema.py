"""The schema as others read it."""

from __future__ import annotations

from pathlib import Path

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLUnionType,
)

from app.errors import Category
from app.graphql.schema import Schema, print_sdl

ROOT = Path(__file__).parents[2]
FEDERATION_OWN = {"_Any", "_Entity", "_Service", "_FieldSet"}


def test_committed_schema_is_current() -> None:
    assert (ROOT / "schema.graphql").read_text(encoding="utf-8") == print_sdl(), (
        "run `python -m app schema print > schema.graphql`"
    )


def test_federation_is_linked_and_composes_with_apollo() -> None:
    sdl = print_sdl()
    assert 'url: "https://specs.apollo.dev/federation/v2.9"' in sdl
    assert "@oneOf" not in sdl  # Apollo's composition refuses it
    assert "node(" in sdl and sdl.count("@inaccessible\n") + sdl.count("@inaccessible\r") >= 2


def test_everything_public_is_described(schema: Schema) -> None:
    bare: list[str] = []
    for name, kind in schema._schema.type_map.items():
        if name.startswith("__") or name in FEDERATION_OWN or name in ("String", "Int", "Boolean", "ID", "Float"):
            continue
        assert isinstance(
            kind,
            (
                GraphQLEnumType,
                GraphQLInputObjectType,
                GraphQLInterfaceType,
                GraphQLObjectType,
                GraphQLScalarType,
                GraphQLUnionType,
            ),
        )
        if not kind.description:
            bare.append(name)
        fields = getattr(kind, "fields", {})
        bare += [f"{name}.{field}" for field, d in fields.items() if not d.description and not field.startswith("_")]
    # What comes with a directive of federation is described there.
    assert [entry for entry in bare if not entry.startswith(("link__", "federation__"))] == []


def test_user_error_codes_are_the_categories(schema: Schema) -> None:
    codes = schema._schema.type_map["UserErrorCode"]
    assert isinstance(codes, GraphQLEnumType)
    assert set(codes.values) == {category.name for category in Category}
