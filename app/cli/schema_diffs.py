"""`diff schema`: how the schemas of two versions differ, and whom that breaks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.cli import options
from app.cli.differences import ExitCode, From, Line, Mark, Other, To, end_with, print_lines, read_target
from app.cli.output import print_json, print_note
from app.cli.session import with_services

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.domain.schema_changes import SchemaChange
    from app.domain.schema_diff import SchemaDiff
    from app.domain.schemas import SchemaField


def diff_schema(
    dataset: options.Dataset,
    from_version: From,
    to_version: To = None,
    other: Other = None,
    exit_code: ExitCode = False,
    json: options.Json = False,
) -> None:
    """Show how the schemas of two versions of a dataset differ, and what that breaks."""
    from app.domain.names import DatasetName
    from app.services.schema_diff_entries import schema_diff_entry

    name = DatasetName.parse(dataset)
    other_name, to = read_target(to_version, other)

    async def compare(services: Services) -> SchemaDiff:
        compared = await services.comparing.versions(name, from_version, to, to_dataset=other_name)
        return services.comparing.schema(compared)

    diff = with_services(compare)
    if json:
        print_json(schema_diff_entry(from_version, to, diff))
    else:
        print_lines(_lines(diff))
        _note_unknown(diff)
    end_with(is_different=not diff.is_empty, exit_code=exit_code)


def _lines(diff: SchemaDiff) -> Iterator[Line]:
    for change in diff.changes:
        yield _line(change)
    for what, listed in (
        ("identifier fields", diff.identifier_fields),
        ("partition spec", diff.partition),
        ("sort order", diff.sort),
    ):
        if listed.is_changed:
            yield Line(mark=Mark.CHANGED, text=f"{what}: {_list(listed.before)} → {_list(listed.after)}")
    if diff.is_empty:
        yield Line(text="The schemas are the same.")
    for reason in diff.breaking_reasons:
        yield Line(mark=Mark.WARNING, text=f"breaks {reason}")


def _note_unknown(diff: SchemaDiff) -> None:
    layouts = (("partition spec", diff.partition), ("sort order", diff.sort))
    if unknown := [what for what, listed in layouts if listed.is_changed is None]:
        what = " and the ".join(unknown)
        print_note(f"It is not known whether the {what} changed: Iceberg does not record that with a snapshot.")


def _line(change: SchemaChange) -> Line:
    from app.domain.schema_changes import SchemaChangeKind

    before, after = change.before, change.after
    if before is None or after is None:
        shown = after or before
        mark = Mark.REMOVED if after is None else Mark.ADDED
        kind = f"{shown.type}{' required' if shown.is_required else ''}" if shown else ""
        return Line(mark=mark, text=f"{change.path} {kind}")
    match change.kind:
        case SchemaChangeKind.RENAMED:
            what = f"renamed from {before.path}"
        case SchemaChangeKind.REPLACED:
            what = f"another field of that name ({before.field_id} → {after.field_id})"
        case SchemaChangeKind.TYPE_CHANGED:
            what = f"{before.type} → {after.type}"
        case SchemaChangeKind.MADE_OPTIONAL:
            what = "required → optional"
        case SchemaChangeKind.MADE_REQUIRED:
            what = "optional → required"
        case SchemaChangeKind.MOVED:
            what = "moved"
        case SchemaChangeKind.DOC_CHANGED:
            what = f"doc: {before.doc or 'none'} → {after.doc or 'none'}"
        case _:
            what = f"default: {_defaults(before)} → {_defaults(after)}"
    return Line(mark=Mark.CHANGED, text=f"{change.path} {what}")


def _list(texts: tuple[str, ...] | None) -> str:
    return f"({', '.join(texts or ())})"


def _defaults(field: SchemaField) -> str:
    import orjson

    initial, write = (orjson.dumps(default).decode() for default in (field.initial_default, field.write_default))
    return initial if initial == write else f"{initial} for old rows, {write} for new ones"
