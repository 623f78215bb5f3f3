"""`orphans`: files under a table's location that it does not reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.output import Column, print_json, print_line, print_note, print_table, utc_text
from app.cli.progress import Progress
from app.cli.registry_arguments import named_as_options
from app.cli.session import make_command, with_services
from app.errors import InvalidArgumentError

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.domain.changes import Command
    from app.domain.names import DatasetName
    from app.services.operation_entries import OperationEntry
    from app.services.orphans import OrphanAge, OrphanReport

SOME_LEFT = 1
SHOWN = 20

app = typer.Typer(no_args_is_help=True, help="Files that lie with a table and that it does not know.")

OlderThan = Annotated[
    float, typer.Option("--older-than", metavar="DAYS", help="Only what was last modified so many days ago.")
]
Force = Annotated[bool, typer.Option("--force", help="Allow less than a day, though a writer may be about to commit.")]


@app.command("find")
def find(
    dataset: options.Dataset, older_than: OlderThan = 3.0, force: Force = False, json: options.Json = False
) -> None:
    """List the orphans of a table, and change nothing."""
    from app.domain.names import DatasetName
    from app.services.orphan_entries import orphans_entry
    from app.services.orphans import OrphanAge

    name = DatasetName.parse(dataset)
    with named_as_options():
        age = OrphanAge(days=older_than, is_forced=force)

        async def work(services: Services) -> OrphanReport:
            return await services.orphans.find(name, age)

        report = with_services(work)
    if json:
        print_json(orphans_entry(report, dry_run=True))
        return
    _print(report)


@app.command("remove")
def remove(
    dataset: options.Dataset,
    older_than: OlderThan = 3.0,
    force: Force = False,
    execute: Annotated[
        bool, typer.Option("--execute/--dry-run", help="Do it, or only say what would be done.")
    ] = False,
    background: Annotated[
        bool, typer.Option("--background", help="Let a worker do it, as an operation, and do not wait for it.")
    ] = False,
    reason: options.Reason = None,
    actor: options.ActorName = None,
    idempotency_key: options.IdempotencyKey = None,
    json: options.Json = False,
) -> None:
    """Remove the orphans of a table; without --execute only say which."""
    from app.domain.names import DatasetName
    from app.services.orphan_entries import orphans_entry
    from app.services.orphans import OrphanAge

    name = DatasetName.parse(dataset)
    with named_as_options():
        age, command = OrphanAge(days=older_than, is_forced=force), make_command(actor, reason, idempotency_key)
        if idempotency_key is not None and not background:
            raise InvalidArgumentError("--idempotency-key", "it is for operations; give --background too")
        if background:
            _start(name, age, command, is_dry_run=not execute, json=json)
            return

        async def work(services: Services) -> OrphanReport:
            with Progress(is_shown=not json) as progress:
                if not execute:
                    return await services.orphans.find(name, age, progress.report)
                return await services.orphans.remove(name, command, age, progress.report)

        report = with_services(work)
    if json:
        print_json(orphans_entry(report, dry_run=not execute))
    else:
        _print(report)
        if execute:
            print_line(f"Removed {report.removed:,} files, {report.removed_bytes:,} bytes.")
        else:
            print_note("Nothing was changed; --execute removes those of kind ORPHAN.")
        for example in report.examples:
            print_note(f"Left: {example}")
    if report.left:
        raise typer.Exit(SOME_LEFT)


def _start(name: DatasetName, age: OrphanAge, command: Command, *, is_dry_run: bool, json: bool) -> None:
    from app.services.operation_entries import operation_entry

    async def work(services: Services) -> OperationEntry:
        return operation_entry(await services.orphan_operations.start(name, age, command, is_dry_run=is_dry_run), None)

    entry = with_services(work)
    if json:
        print_json(entry)
        return
    print_line(f"Operation {entry['id']} ({entry['kind']}): {entry['status']}")
    print_note(f"`stratigraph operation wait {entry['id']}` waits for it.")


def _print(report: OrphanReport) -> None:
    tally = report.tally
    for warning in report.warnings:
        print_note(f"Warning: {warning}")
    print_line(
        f"{report.dataset}: {tally.files:,} files, {tally.reached:,} in use, {tally.young:,} too young to tell, "
        f"{sum(tally.orphans.values()):,} orphans"
    )
    if not report.listed:
        return
    columns = [
        Column(header="kind"),
        Column(header="bytes", justify="right"),
        Column(header="modified"),
        Column(header="path", is_id=True),
    ]
    print_table(
        columns,
        [
            (orphan.kind.value, f"{orphan.size_bytes:,}", utc_text(orphan.modified_ms), orphan.path)
            for orphan in report.listed[:SHOWN]
        ],
    )
    more = sum(tally.orphans.values()) - min(SHOWN, len(report.listed))
    if more > 0:
        print_line(f"... and {more:,} more")
