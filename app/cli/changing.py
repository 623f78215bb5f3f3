"""Commands that change: tag, untag, rollback, undo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import options
from app.cli.impact import impact_of_rollback, print_impact, print_unknown_impact
from app.cli.output import print_json, print_line, print_note
from app.cli.session import make_command, parse_expected, with_services
from app.errors import AppError, InvalidArgumentError

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.domain.impact import Impact
    from app.services.outcomes import RefRemoval, RollbackOutcome, TagOutcome


def tag(
    dataset: options.Dataset,
    name: Annotated[str, typer.Argument(metavar="TAG", help="Name of the tag, such as production_2026_02_15.")],
    at: Annotated[
        str | None, typer.Option("--at", metavar="REF", help="The version to tag; the latest unless given.")
    ] = None,
    move: Annotated[bool, typer.Option("--move", help="Move a tag that exists, instead of setting a new one.")] = False,
    protected: Annotated[
        bool, typer.Option("--protected", help="Let it be moved or removed with --force only.")
    ] = False,
    force: options.Force = False,
    expected_target: options.ExpectedTarget = None,
    reason: options.Reason = None,
    actor: options.ActorName = None,
    idempotency_key: options.IdempotencyKey = None,
    json: options.Json = False,
) -> None:
    """Name a version, or move a name to it."""
    from app.domain.names import DatasetName

    table_name, command = DatasetName.parse(dataset), make_command(actor, reason, idempotency_key)
    expected = parse_expected(expected_target)
    if not move and (force or expected is not None):
        raise InvalidArgumentError("--force and --expected-target", "they are for --move")
    if move and protected:
        raise InvalidArgumentError(
            "--protected", "it is for a new tag; a tag that is moved stays as protected as it is"
        )

    async def change(services: Services) -> TagOutcome:
        if move:
            return await services.versioning.move_tag(
                table_name, name, at, command, expected_target=expected, force=force
            )
        return await services.versioning.create_tag(table_name, name, at, command, protected=protected)

    done = with_services(change)
    if json:
        print_json(
            {
                "dataset": str(table_name),
                "tag": done.tag.name,
                "snapshot_id": str(done.tag.snapshot_id),
                "unchanged": done.is_unchanged,
                "warnings": list(done.warnings),
                "change_id": None if done.change_id is None else str(done.change_id),
            }
        )
        return
    verb = "was there already" if done.is_unchanged else "moved" if move else "set"
    print_line(f"Tag {done.tag.name} {verb}: {table_name} at snapshot {done.tag.snapshot_id}.")
    for warning in done.warnings:
        print_note(f"Warning: {warning}")


def untag(
    dataset: options.Dataset,
    name: Annotated[str, typer.Argument(metavar="TAG", help="Name of the tag.")],
    force: options.Force = False,
    expected_target: options.ExpectedTarget = None,
    reason: options.Reason = None,
    actor: options.ActorName = None,
    idempotency_key: options.IdempotencyKey = None,
    json: options.Json = False,
) -> None:
    """Remove a tag.

    Its snapshot stays until an expiry takes it.
    """
    from app.domain.names import DatasetName

    table_name, command = DatasetName.parse(dataset), make_command(actor, reason, idempotency_key)
    expected = parse_expected(expected_target)

    async def change(services: Services) -> RefRemoval:
        return await services.versioning.delete_tag(table_name, name, command, expected_target=expected, force=force)

    done = with_services(change)
    if json:
        print_json(
            {
                "dataset": str(table_name),
                "tag": done.name,
                "snapshot_id": str(done.snapshot_id),
                "change_id": None if done.change_id is None else str(done.change_id),
            }
        )
        return
    print_line(f"Tag {done.name} removed; it was on snapshot {done.snapshot_id} of {table_name}.")


def rollback(
    dataset: options.Dataset,
    to: Annotated[str, typer.Argument(metavar="REF", help="The version to go back to.")],
    branch: Annotated[str, typer.Option("--branch", help="The branch to move.")] = "main",
    expected_head: options.ExpectedHead = None,
    restore_schema: Annotated[
        bool, typer.Option("--restore-schema", help="Bring back the schema of that version too.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and change nothing.")] = False,
    reason: options.Reason = None,
    actor: options.ActorName = None,
    idempotency_key: options.IdempotencyKey = None,
    json: options.Json = False,
) -> None:
    """Make another version the current one.

    The state before stays, under an undo tag that is printed.
    """
    from app.domain.names import DatasetName

    table_name, command = DatasetName.parse(dataset), make_command(actor, reason, idempotency_key)
    expected = parse_expected(expected_head)

    async def change(services: Services) -> tuple[RollbackOutcome, Impact | AppError | None]:
        done = await services.versioning.roll_back(
            table_name,
            to,
            command,
            branch=branch,
            expected_head=expected,
            restore_schema=restore_schema,
            dry_run=dry_run,
        )
        return done, await impact_of_rollback(services, done) if dry_run else None

    done, affected = with_services(change)
    _print_rollback(str(table_name), done, affected, as_json=json)


def undo(
    dataset: options.Dataset,
    undo_tag: Annotated[str, typer.Argument(metavar="UNDO_TAG", help="The tag that the rollback left behind.")],
    expected_head: options.ExpectedHead = None,
    reason: options.Reason = None,
    actor: options.ActorName = None,
    idempotency_key: options.IdempotencyKey = None,
    json: options.Json = False,
) -> None:
    """Undo a rollback."""
    from app.domain.names import DatasetName

    table_name, command = DatasetName.parse(dataset), make_command(actor, reason, idempotency_key)
    expected = parse_expected(expected_head)

    async def change(services: Services) -> RollbackOutcome:
        return await services.versioning.undo_rollback(table_name, undo_tag, command, expected_head=expected)

    _print_rollback(str(table_name), with_services(change), None, as_json=json)


def _print_rollback(dataset: str, done: RollbackOutcome, affected: Impact | AppError | None, *, as_json: bool) -> None:
    undo_tag = done.undo_tag.name if done.undo_tag else None
    if as_json:
        answer: dict[str, Any] = {
            "dataset": dataset,
            "branch": done.branch,
            "previous_snapshot_id": str(done.previous_id),
            "snapshot_id": str(done.current_id),
            "undo_tag": undo_tag,
            "schema_warning": done.schema_warning,
            "restored_schema": done.restored_schema,
            "dry_run": done.dry_run,
            "change_id": None if done.change_id is None else str(done.change_id),
        }
        if done.dry_run:
            answer |= _impact_json(dataset, affected)
        print_json(answer)
        return
    verb = "would go" if done.dry_run else "went"
    print_line(f"{dataset}: {done.branch} {verb} from snapshot {done.previous_id} to {done.current_id}.")
    if done.restored_schema:
        print_line(f"The schema of that version {'would be' if done.dry_run else 'is'} restored.")
    if undo_tag and not done.dry_run:
        print_line(f"Undo it with: stratigraph undo {dataset} {undo_tag}")
    if done.schema_warning:
        print_note(f"Warning: {done.schema_warning}")
    if isinstance(affected, AppError):
        print_unknown_impact(affected)
    elif affected is not None:
        print_impact(dataset, affected)


def _impact_json(dataset: str, affected: Impact | AppError | None) -> dict[str, Any]:
    from app.services.impact_entries import impact_entry

    if affected is None or isinstance(affected, AppError):
        error = None if affected is None else {"code": affected.code, "message": affected.message}
        return {"impact": None, "impact_error": error}
    return {"impact": impact_entry(dataset, affected), "impact_error": None}
