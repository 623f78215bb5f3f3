"""Schemas of datasets, and what is known of their columns."""

from __future__ import annotations

import strawberry

from app.domain import schemas
from app.domain.column_stats import ColumnStats as ColumnStatsValue
from app.graphql.scalars import JSON, BigInt


@strawberry.type(description="A column, or a part of a nested one.")
class SchemaField:
    """A column, or a part of a nested one."""

    field_id: int = strawberry.field(description="Iceberg's id of the field; it survives renames.")
    path: str = strawberry.field(description="Names from the root, joined by dots: `address.zip`, `tags.element`.")
    type: str = strawberry.field(description="Iceberg's name of the type.")
    required: bool = strawberry.field(description="Whether it never is null.")
    doc: str | None = strawberry.field(description="What the schema says about it.")
    children: list[SchemaField] | None = strawberry.field(
        description="Parts of a struct, list or map; null for other types."
    )
    initial_default: JSON | None = strawberry.field(
        description="What is read of rows that are older than the field; null is no default."
    )
    write_default: JSON | None = strawberry.field(
        description="What is written where a writer leaves the field out; null is no default."
    )


@strawberry.type(description="One schema of a dataset.")
class SchemaVersion:
    """One schema of a dataset."""

    schema_id: int = strawberry.field(description="Iceberg's number of the schema within its table.")
    fields: list[SchemaField] = strawberry.field(description="The columns, in their order.")
    identifier_fields: list[str] = strawberry.field(description="Paths of the columns that identify a row.")


@strawberry.type(description="What the manifests of one snapshot tell of a column, without reading data.")
class ColumnStats:
    """What the manifests of one snapshot tell of a column."""

    field_id: int = strawberry.field(description="Iceberg's id of the field.")
    path: str = strawberry.field(description="Its path in the snapshot's schema.")
    null_count: BigInt | None = strawberry.field(description="Number of nulls; null where a file does not tell.")
    value_count: BigInt | None = strawberry.field(description="Number of values, nulls included.")
    size_bytes: BigInt | None = strawberry.field(description="Bytes on disk.")
    lower: JSON | None = strawberry.field(description="A value that none is below; texts may be cut short.")
    upper: JSON | None = strawberry.field(description="A value that none is above; texts may be cut short.")


def show_schema(schema: schemas.SchemaVersion) -> SchemaVersion:
    """The schema as GraphQL has it."""
    return SchemaVersion(
        schema_id=schema.schema_id,
        fields=[show_field(field) for field in schema.fields],
        identifier_fields=list(schema.identifier_fields),
    )


def show_column_stats(stats: ColumnStatsValue) -> ColumnStats:
    """The statistics as GraphQL has them."""
    return ColumnStats(
        field_id=stats.field_id,
        path=stats.path,
        null_count=_big(stats.null_count),
        value_count=_big(stats.value_count),
        size_bytes=_big(stats.size_bytes),
        lower=None if stats.lower is None else JSON(stats.lower),
        upper=None if stats.upper is None else JSON(stats.upper),
    )


def show_field(field: schemas.SchemaField) -> SchemaField:
    """The field as GraphQL has it."""
    return SchemaField(
        field_id=field.field_id,
        path=field.path,
        type=field.type,
        required=field.is_required,
        doc=field.doc,
        children=[show_field(child) for child in field.children] or None,
        initial_default=None if field.initial_default is None else JSON(field.initial_default),
        write_default=None if field.write_default is None else JSON(field.write_default),
    )


def _big(number: int | None) -> BigInt | None:
    return None if number is None else BigInt(number)
