"""Schemas, defaults, partition specs and sort orders as the domain has them, from metadata as Iceberg writes it."""

from __future__ import annotations

from typing import Any

import pytest
from pyiceberg.table.metadata import TableMetadataUtil

from app.domain.layouts import PartitionField, PartitionSpec, SortField, SortOrder
from app.domain.schema_diff import VersionSchema, diff_schemas
from app.domain.schemas import SchemaField
from app.lake.table import to_state
from tests.unit.lake.local_tables import NAME


def metadata(*fields: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A metadata file of format version 3, without snapshots."""
    return {
        "format-version": 3,
        "table-uuid": "6f1a2b3c-0000-4000-8000-000000000001",
        "location": "file:///warehouse/orders",
        "last-sequence-number": 0,
        "last-updated-ms": 1_771_149_600_000,
        "last-column-id": 100,
        "current-schema-id": 0,
        "schemas": [{"type": "struct", "schema-id": 0, "fields": list(fields)}],
        "default-spec-id": 0,
        "partition-specs": [{"spec-id": 0, "fields": []}],
        "last-partition-id": 999,
        "default-sort-order-id": 0,
        "sort-orders": [{"order-id": 0, "fields": []}],
        "next-row-id": 0,
        **changes,
    }


def field(number: int, name: str, kind: Any, **more: Any) -> dict[str, Any]:
    return {"id": number, "name": name, "type": kind, "required": False, **more}


def state_of(content: dict[str, Any]):
    return to_state(TableMetadataUtil.parse_obj(content), "file:///warehouse/orders/metadata/1.json", NAME)


def column(content: dict[str, Any]) -> SchemaField:
    (found,) = state_of(content).current_schema.fields
    return found


@pytest.mark.parametrize(
    ("kind", "default", "shown"),
    [
        ("int", 5, 5),
        ("int", 0, 0),
        ("boolean", False, False),
        ("long", 2**53, str(2**53)),
        ("double", 1.5, 1.5),
        ("string", "", ""),
        ("decimal(9, 2)", "1.50", "1.50"),
        ("date", "2026-02-15", "2026-02-15"),
        ("timestamp", "2026-02-15T10:00:00.000005", "2026-02-15T10:00:00.000005"),
        ("timestamptz", "2026-02-15T10:00:00+00:00", "2026-02-15T10:00:00+00:00"),
        ("uuid", "f79c3e09-677c-4bbd-a479-3f349cb785e7", "f79c3e09-677c-4bbd-a479-3f349cb785e7"),
        ("binary", "00ff", "00ff"),
    ],
)
def test_defaults_are_json(kind, default, shown):
    found = column(metadata(field(1, "x", kind, **{"initial-default": default, "write-default": default})))

    assert (found.initial_default, found.write_default) == (shown, shown)
    assert type(found.initial_default) is type(shown)


def test_no_default_is_none():
    found = column(metadata(field(1, "x", "int", **{"write-default": 3})))

    assert (found.initial_default, found.write_default) == (None, 3)


def test_a_default_of_a_nested_field_is_found():
    inner = field(2, "zip", "int", **{"initial-default": 1, "write-default": 2})
    found = column(metadata(field(1, "address", {"type": "struct", "fields": [inner]})))

    assert [(child.path, child.initial_default, child.write_default) for child in found.children] == [
        ("address.zip", 1, 2)
    ]


def test_a_default_that_changed_is_told():
    before, after = (
        state_of(metadata(field(1, "x", "int", required=True, **{"initial-default": 1, "write-default": default})))
        for default in (1, None)
    )
    found = diff_schemas(
        *(VersionSchema(schema=each.current_schema, format_version=each.format_version) for each in (before, after))
    )

    assert found.breaking_reasons == (
        "writers: x is required, and has no default any more for writers that leave it out",
    )


def test_layouts_are_all_of_the_table():
    by_day = {"source-id": 1, "field-id": 1000, "name": "at_day", "transform": "day"}
    by_id = {"source-id": 1, "transform": "bucket[16]", "direction": "desc", "null-order": "nulls-last"}
    layouts = state_of(
        metadata(
            field(1, "at", "timestamptz"),
            **{
                "default-spec-id": 1,
                "partition-specs": [{"spec-id": 0, "fields": []}, {"spec-id": 1, "fields": [by_day]}],
                "default-sort-order-id": 1,
                "sort-orders": [{"order-id": 0, "fields": []}, {"order-id": 1, "fields": [by_id]}],
            },
        )
    ).layouts

    assert layouts.current.partition == PartitionSpec(
        spec_id=1, fields=(PartitionField(source_id=1, name="at_day", transform="day"),)
    )
    assert layouts.current.sort == SortOrder(
        order_id=1,
        fields=(SortField(source_id=1, transform="bucket[16]", direction="desc", null_order="nulls-last"),),
    )
    assert (len(layouts.specs), len(layouts.orders)) == (2, 2)
    assert (layouts.only.partition, layouts.only.sort) == (None, None)


def test_a_table_that_was_never_split_says_so_of_every_version():
    layouts = state_of(metadata(field(1, "x", "int"))).layouts

    assert layouts.only == layouts.current
    assert layouts.only.partition is not None and layouts.only.partition.fields == ()
