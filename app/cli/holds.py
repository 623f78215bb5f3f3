"""`hold`: snapshots that are kept until further notice, with who and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import options
from app.cli.output import Column, print_json, print_line, print_note, print_table
from app.cli.registry_arguments import Limit, check_limit, named_as_options
from app.cli.session import make_command, with_services

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.domain.holds import Hold
    from app.domain.pages import Page

app = typer.Typer(no_args_is_help=True, help="Keep versions until a hold is released, whatever retention says.")

At = Annotated[str | None, typer.Argument(metavar="[REF]", help="The version; the latest unless given.")]
Why = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; needed, and kept in the record.")]


@app.command("add")
def add(
    dataset: options.Dataset,
    at: At = None,
    reason: Why = None,
    actor: options.ActorName = None,
    idempotency_key: options.IdempotencyKey = None,
    json: options.Json = False,
) -> None:
    """Hold a version: no expiry, by any engine, takes it until the hold is released."""
    from app.domain.names import DatasetName

    name, command = DatasetName.parse(dataset), make_command(actor, reason, idempotency_key)

    async def work(services: Services) -> Hold:
        return await services.holding.place(name, at, command)

    with named_as_options():
        hold = with_services(work)
    if json:
        print_json(_entry(hold))
        return
    print_line(f"Hold {hold.hold_id} keeps snapshot {hold.snapshot_id} of {hold.dataset}, by the tag {hold.tag}.")


@app.command("release")
def release(
    hold_id: Annotated[str, typer.Argument(metavar="HOLD", help="Id of the hold.")],
    reason: Why = None,
    actor: options.ActorName = None,
    json: options.Json = False,
) -> None:
    """Release a hold; the next expiry may take what only it kept."""
    command = make_command(actor, reason, None)

    async def work(services: Services) -> Hold:
        return await services.holding.release(hold_id, command)

    with named_as_options():
        hold = with_services(work)
    if json:
        print_json(_entry(hold))
        return
    print_line(f"Hold {hold.hold_id} on snapshot {hold.snapshot_id} of {hold.dataset} is {hold.state.value.lower()}.")


@app.command("list")
def list_holds(
    dataset: Annotated[str | None, typer.Argument(metavar="[NS.TABLE]", help="Only holds on this dataset.")] = None,
    released: Annotated[bool, typer.Option("--released", help="Also those that are released.")] = False,
    limit: Limit = 100,
    json: options.Json = False,
) -> None:
    """List holds, those placed last first."""
    from app.domain.names import DatasetName
    from app.domain.pages import PageRequest

    most = check_limit(limit)
    name = None if dataset is None else DatasetName.parse(dataset)

    async def work(services: Services) -> Page[Hold]:
        table_uuid = None if name is None else (await services.datasets.load(name)).state.table_uuid
        return await services.holding.page(
            PageRequest(first=min(most, 100)), table_uuid=table_uuid, keeping_only=not released
        )

    page = with_services(work)
    if json:
        print_json({"holds": [_entry(hold) for hold in page.items], "total": page.total, "truncated": page.has_next})
        return
    if not page.items:
        print_note("There are no holds.")
        return
    columns = [
        Column(header="hold", is_id=True),
        Column(header="dataset"),
        Column(header="snapshot", is_id=True),
        Column(header="state"),
        Column(header="placed"),
        Column(header="by"),
        Column(header="why"),
    ]
    print_table(
        columns,
        [
            (
                hold.hold_id,
                str(hold.dataset),
                str(hold.snapshot_id),
                hold.state.value,
                f"{hold.placed_at:%Y-%m-%d}",
                hold.placed_by.subject,
                hold.reason,
            )
            for hold in page.items
        ],
    )
    if page.has_next:
        print_note(f"{page.total - len(page.items):,} more.")


def _entry(hold: Hold) -> dict[str, Any]:
    return {
        "hold_id": hold.hold_id,
        "dataset": str(hold.dataset),
        "snapshot_id": str(hold.snapshot_id),
        "tag": hold.tag,
        "state": hold.state.value,
        "placed_by": hold.placed_by.subject,
        "placed_at": hold.placed_at.isoformat(),
        "reason": hold.reason,
        "released_by": None if hold.released_by is None else hold.released_by.subject,
        "released_at": None if hold.released_at is None else hold.released_at.isoformat(),
        "release_reason": hold.release_reason,
    }
