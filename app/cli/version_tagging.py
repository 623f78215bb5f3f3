"""`tag` and `untag` of models and pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.output import print_json, print_line, print_note
from app.cli.registry_arguments import named_as_options
from app.cli.session import make_command, with_services

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.domain.changes import RegistrySubject
    from app.services.version_tagging import VersionTagOutcome, VersionTagRemoval

TagName = Annotated[str, typer.Argument(metavar="TAG", help="Name of the tag, such as production_2026_02_15.")]
TagAt = Annotated[str | None, typer.Option("--at", metavar="REF", help="The version to tag; the latest unless given.")]
Move = Annotated[bool, typer.Option("--move", help="Move a tag that exists, instead of setting a new one.")]
Protected = Annotated[bool, typer.Option("--protected", help="Let it be moved or removed with --force only.")]
Expected = Annotated[
    int | None, typer.Option("--expected", metavar="N", help="Change nothing unless the tag is on this version.")
]


def put_tag(
    subject: RegistrySubject,
    name: str,
    at: str | None,
    *,
    move: bool,
    protected: bool,
    force: bool,
    expected: int | None,
    reason: str | None,
    actor: str | None,
    idempotency_key: str | None,
    as_json: bool,
) -> None:
    """Set or move a tag, and print how it is now."""

    async def change(services: Services) -> VersionTagOutcome:
        return await services.tagging.put(
            subject, name, at, command, move=move, expected=expected, force=force, protected=protected
        )

    with named_as_options():
        command = make_command(actor, reason, idempotency_key)
        done = with_services(change)
    if as_json:
        from app.services.registry_entries import version_tag_entry

        print_json(
            {
                "on": str(subject),
                "tag": version_tag_entry(done.tag),
                "unchanged": done.is_unchanged,
                "warnings": list(done.warnings),
                "change_id": None if done.change_id is None else str(done.change_id),
            }
        )
        return
    verb = "was there already" if done.is_unchanged else "moved" if move else "set"
    print_line(f"Tag {done.tag.name} {verb}: {subject} v{done.tag.number}.")
    for warning in done.warnings:
        print_note(f"Warning: {warning}")


def remove_tag(
    subject: RegistrySubject,
    name: str,
    *,
    force: bool,
    expected: int | None,
    reason: str | None,
    actor: str | None,
    idempotency_key: str | None,
    as_json: bool,
) -> None:
    """Remove a tag, and print what it was on."""

    async def change(services: Services) -> VersionTagRemoval:
        return await services.tagging.remove(subject, name, command, expected=expected, force=force)

    with named_as_options():
        command = make_command(actor, reason, idempotency_key)
        done = with_services(change)
    if as_json:
        change_id = None if done.change_id is None else str(done.change_id)
        print_json({"on": str(subject), "name": done.name, "number": done.number, "change_id": change_id})
        return
    print_line(f"Tag {done.name} removed; it was on {subject} v{done.number}.")
