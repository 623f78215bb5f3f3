"""`orphans`: files under a table's location that it does not reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import options
from app.cli.output import Column, print_json, print_line, print_note, print_table, utc_text
from app.cli.registry_arguments import named_as_options
from app.cli.session import make_command, with_services

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.services.orphans import OrphanReport

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

    name = DatasetName.parse(dataset)

    async def work(services: Services) -> OrphanReport:
        return await services.orphans.find(name, older_than, force=force)

    with named_as_options():
        report = with_services(work)
    if json:
        print_json(_entry(report, dry_run=True))
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
    reason: options.Reason = None,
    actor: options.ActorName = None,
    json: options.Json = False,
) -> None:
    """Remove the orphans of a table; without --execute only say which."""
    from app.domain.names import DatasetName

    name, command = DatasetName.parse(dataset), make_command(actor, reason, None)

    async def work(services: Services) -> OrphanReport:
        if not execute:
            return await services.orphans.find(name, older_than, force=force)
        return await services.orphans.remove(name, command, older_than, force=force)

    with named_as_options():
        report = with_services(work)
    if json:
        print_json(_entry(report, dry_run=not execute))
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


def _print(report: OrphanReport) -> None:
    tally = report.tally
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


def _entry(report: OrphanReport, *, dry_run: bool) -> dict[str, Any]:
    tally = report.tally
    return {
        "dataset": str(report.dataset),
        "dry_run": dry_run,
        "files": tally.files,
        "reached": tally.reached,
        "young": tally.young,
        "orphans": {kind.value: count for kind, count in tally.orphans.items()},
        "bytes": {kind.value: size for kind, size in tally.bytes.items()},
        "listed": [
            {
                "path": orphan.path,
                "kind": orphan.kind.value,
                "bytes": orphan.size_bytes,
                "modified_ms": orphan.modified_ms,
            }
            for orphan in report.listed
        ],
        "listed_truncated": report.is_cut,
        "removed": report.removed,
        "removed_bytes": report.removed_bytes,
        "left": report.left,
        "examples": report.examples,
    }
