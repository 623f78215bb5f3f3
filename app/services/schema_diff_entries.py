"""A schema diff as plain data: the shape that REST, the command line and Python answer with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from app.domain.layouts import ListChange
from app.domain.schema_changes import SchemaChange, SchemaChangeKind
from app.domain.schema_diff import SchemaDiff
from app.domain.schemas import SchemaField
from app.domain.versions import LATEST
from app.errors import JsonValue

# A key is no name in Python where it is a keyword.
ChangeEntry = TypedDict("ChangeEntry", {"from": JsonValue, "to": JsonValue})
RenameEntry = TypedDict("RenameEntry", {"field_id": int, "from": str, "to": str})
NestedEntry = TypedDict("NestedEntry", {"path": str, "change": str, "from": JsonValue, "to": JsonValue})
ListEntry = TypedDict("ListEntry", {"from": list[str] | None, "to": list[str] | None, "changed": bool | None})


class SchemaDiffEntry(TypedDict):
    """How the schemas of two versions differ; the versions are as they were asked for."""

    from_version: str
    to_version: str
    added_columns: list[str]
    removed_columns: list[str]
    common_columns: list[str]
    type_changes: dict[str, ChangeEntry]
    renamed_columns: list[RenameEntry]
    nullability_changes: dict[str, ChangeEntry]
    doc_changes: dict[str, ChangeEntry]
    default_changes: dict[str, ChangeEntry]
    moved_columns: list[str]
    replaced_columns: list[str]
    nested_changes: list[NestedEntry]
    identifier_fields: ListEntry
    partition_spec: ListEntry
    sort_order: ListEntry
    breaking: bool
    breaking_reasons: list[str]
    breaking_for_readers: list[str]
    breaking_for_writers: list[str]


def schema_diff_entry(from_version: str | None, to_version: str | None, diff: SchemaDiff) -> SchemaDiffEntry:
    """A schema diff as plain data; a version that was not named is `latest`."""
    kinds = SchemaChangeKind
    return SchemaDiffEntry(
        from_version=from_version or LATEST,
        to_version=to_version or LATEST,
        added_columns=list(diff.added_columns),
        removed_columns=list(diff.removed_columns),
        common_columns=list(diff.common_columns),
        type_changes=_by_column(diff.of_kind(kinds.TYPE_CHANGED)),
        renamed_columns=[_rename(change) for change in diff.of_kind(kinds.RENAMED)],
        nullability_changes=_by_column(diff.of_kind(kinds.MADE_OPTIONAL, kinds.MADE_REQUIRED)),
        doc_changes=_by_column(diff.of_kind(kinds.DOC_CHANGED)),
        default_changes=_by_column(diff.of_kind(kinds.DEFAULT_CHANGED)),
        moved_columns=[change.path for change in diff.of_kind(kinds.MOVED)],
        replaced_columns=[change.path for change in diff.of_kind(kinds.REPLACED)],
        nested_changes=[
            NestedEntry(path=change.path, change=change.kind.value, **_values(change)) for change in diff.nested
        ],
        identifier_fields=_list(diff.identifier_fields),
        partition_spec=_list(diff.partition),
        sort_order=_list(diff.sort),
        breaking=diff.is_breaking,
        breaking_reasons=list(diff.breaking_reasons),
        breaking_for_readers=list(diff.breaking_for_readers),
        breaking_for_writers=list(diff.breaking_for_writers),
    )


def _by_column(changes: Iterable[SchemaChange]) -> dict[str, ChangeEntry]:
    return {change.path: _values(change) for change in changes}


def _values(change: SchemaChange) -> ChangeEntry:
    return {
        "from": None if change.before is None else _shown(change.kind, change.before),
        "to": None if change.after is None else _shown(change.kind, change.after),
    }


def _shown(kind: SchemaChangeKind, field: SchemaField) -> JsonValue:
    """What of a field is different, where its change is of this kind."""
    match kind:
        case SchemaChangeKind.RENAMED | SchemaChangeKind.MOVED:
            return field.path
        case SchemaChangeKind.REPLACED:
            return field.field_id
        case SchemaChangeKind.MADE_OPTIONAL | SchemaChangeKind.MADE_REQUIRED:
            return "required" if field.is_required else "optional"
        case SchemaChangeKind.DOC_CHANGED:
            return field.doc or None
        case SchemaChangeKind.DEFAULT_CHANGED:
            return {"initial": field.initial_default, "write": field.write_default}
        case _:
            return field.type


def _rename(change: SchemaChange) -> RenameEntry:
    if change.before is None or change.after is None:
        raise ValueError("what is renamed is in both versions")
    return {"field_id": change.field_id, "from": change.before.path, "to": change.after.path}


def _list(change: ListChange) -> ListEntry:
    return {
        "from": None if change.before is None else list(change.before),
        "to": None if change.after is None else list(change.after),
        "changed": change.is_changed,
    }
