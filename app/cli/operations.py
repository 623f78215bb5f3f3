"""`operation`: long jobs, how far they are and what came of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.output import Column, print_failure, print_json, print_line, print_note, print_table
from app.cli.registry_arguments import (
    Limit,
    check_limit,
    named_as_options,
    print_fact,
    read_choice,
    read_uuid,
    to_second,
)
from app.cli.session import make_command, with_services

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.domain.operations import Operation
    from app.domain.pages import Page, PageRequest
    from app.services.operation_entries import OperationEntry, OperationErrorEntry, OperationListEntry

POLL_S = 0.5
# Of an error that is none of ours to explain: a fault of the program.
UNEXPECTED = 1

app = typer.Typer(no_args_is_help=True, help="Operations, which are long jobs: see them, wait for them, cancel them.")

OperationId = Annotated[str, typer.Argument(metavar="OPERATION", help="Id of the operation, a UUID.")]


@app.command("show")
def show_operation(operation_id: OperationId, json: options.Json = False) -> None:
    """Show how an operation stands, and what came of it."""
    from app.services.operation_entries import operation_entry

    which = read_uuid("OPERATION", operation_id)

    async def look(services: Services) -> OperationEntry:
        operation = await services.operations.get(which)
        return operation_entry(operation, await services.operations.result_of(operation))

    _print_operation(with_services(look), as_json=json)


@app.command("list")
def list_operations(
    kind: Annotated[
        str | None,
        typer.Option("--kind", metavar="KIND", help="Only those of this kind: row_diff, retention or orphans."),
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            help="Only those that stand so: queued, running, succeeded, failed or cancelled.",
        ),
    ] = None,
    limit: Limit = 100,
    json: options.Json = False,
) -> None:
    """List operations, those asked for last first."""
    from app.domain.operations import OperationKind, OperationStatus
    from app.services.operation_entries import operation_list_entry
    from app.services.whole_lists import counted_entries

    wanted_kind = None if kind is None else read_choice("--kind", kind, OperationKind)
    wanted_status = None if status is None else read_choice("--status", status, OperationStatus)
    most = check_limit(limit)

    async def look(services: Services) -> tuple[list[OperationListEntry], int]:
        async def fetch(request: PageRequest) -> tuple[Page[Operation], list[OperationListEntry]]:
            page = await services.operations.page(request, kind=wanted_kind, status=wanted_status)
            return page, [operation_list_entry(each) for each in page.items]

        return await counted_entries(fetch, limit=most)

    entries, total = with_services(look)
    if json:
        print_json({"operations": entries, "total": total})
        return
    print_table(
        [
            Column(header="operation", is_id=True),
            Column(header="kind"),
            Column(header="status"),
            Column(header="progress", justify="right"),
            Column(header="asked for", is_id=True),
            Column(header="by"),
            Column(header="message"),
        ],
        (
            (
                entry["id"],
                entry["kind"],
                entry["status"],
                _percent(entry["progress"]),
                to_second(entry["requested_at"]),
                entry["requested_by"],
                entry["error"]["message"] if entry["error"] else entry["message"] or "",
            )
            for entry in entries
        ),
    )
    if total > len(entries):
        print_note(f"{len(entries)} of {total} are shown; --limit shows more.")


@app.command("cancel")
def cancel_operation(operation_id: OperationId, actor: options.ActorName = None, json: options.Json = False) -> None:
    """Let an operation end undone.

    What waits is cancelled at once; what runs is stopped by its worker within a second or so.
    """
    from app.services.operation_entries import operation_entry

    which = read_uuid("OPERATION", operation_id)

    async def change(services: Services) -> OperationEntry:
        return operation_entry(await services.operations.cancel(which, command), None)

    with named_as_options():
        command = make_command(actor, None, None)
        entry = with_services(change)
    if json:
        print_json(entry)
    elif entry["status"] == "CANCELLED":
        print_line(f"Operation {entry['id']} is cancelled.")
    else:
        print_line(f"Operation {entry['id']} runs, and was told to stop.")


@app.command("wait")
def wait_for_operation(operation_id: OperationId, json: options.Json = False) -> None:
    """Wait for an operation to end, and show what came of it; Ctrl-C leaves it running.

    Exit code 0 where it has succeeded; 4 where it was cancelled; else that of the error that it failed of.
    """
    from app.services.operation_entries import operation_entry

    which = read_uuid("OPERATION", operation_id)

    async def wait(services: Services) -> OperationEntry:
        operation = await services.operations.get(which)
        if not operation.status.is_ended:
            operation = await _follow(services, operation, as_json=json)
        return operation_entry(operation, await services.operations.result_of(operation))

    entry = with_services(wait)
    if entry["status"] == "SUCCEEDED":
        _print_operation(entry, as_json=json)
        return
    raise typer.Exit(_fail(entry, as_json=json))


async def _follow(services: Services, operation: Operation, *, as_json: bool) -> Operation:
    """The operation once it has ended; until then its progress is shown."""
    import anyio

    if not as_json and operation.started_at is None and not await services.operations.is_attended():
        print_note("No worker is at work; `stratigraph worker` starts one.")
    with _progress_shown(as_json=as_json) as show:
        while not operation.status.is_ended:
            show(operation)
            await anyio.sleep(POLL_S)
            operation = await services.operations.get(operation.operation_id)
        show(operation)
    return operation


def _fail(entry: OperationEntry, *, as_json: bool) -> int:
    """Say why it has not succeeded; the exit code of that."""
    from app.errors import HANDLING, Category, concrete_errors

    error: OperationErrorEntry | None = entry["error"]
    if error is None:
        exit_code = HANDLING[Category.CONFLICT].exit_code
        print_failure(
            "OPERATION_CANCELLED", f"Operation {entry['id']} was cancelled.", exit_code=exit_code, as_json=as_json
        )
        return exit_code
    known = concrete_errors().get(error["code"])
    exit_code = HANDLING[known.category].exit_code if known else UNEXPECTED
    message = error["message"] if known else f"{error['message']} ({error['fields'].get('traceId')})"
    print_failure(error["code"], message, exit_code=exit_code, as_json=as_json)
    return exit_code


@contextmanager
def _progress_shown(*, as_json: bool) -> Iterator[Callable[[Operation], None]]:
    """A bar on a terminal; elsewhere a line whenever there is news. Nothing that a reader of JSON would trip over."""
    if as_json:
        yield lambda _: None
        return
    if not sys.stderr.isatty():
        told: list[str] = []

        def tell(operation: Operation) -> None:
            line = f"{operation.status.value} {_percent(operation.progress)} {operation.message or ''}".rstrip()
            if told[-1:] != [line]:
                told.append(line)
                print_note(line)

        yield tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    from app.cli.output import printable

    columns = (TextColumn("{task.fields[status]}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.description}", markup=False), console=Console(stderr=True)) as shown:
        task = shown.add_task("", total=1.0, status="")
        yield lambda operation: shown.update(
            task,
            completed=operation.progress,
            description=printable(operation.message or ""),
            status=operation.status.value,
        )


def _print_operation(entry: OperationEntry, *, as_json: bool) -> None:
    if as_json:
        print_json(entry)
        return
    stopping = ", and was told to stop" if entry["cancel_requested"] and entry["ended_at"] is None else ""
    print_line(f"Operation {entry['id']} ({entry['kind']}): {entry['status']}, {_percent(entry['progress'])}{stopping}")
    print_fact("Message", entry["message"])
    print_line(f"Asked for: {to_second(entry['requested_at'])} by {entry['requested_by']}")
    print_fact("Reason", entry["reason"])
    print_fact("Started", entry["started_at"] and to_second(entry["started_at"]))
    print_fact("Ended", entry["ended_at"] and to_second(entry["ended_at"]))
    if entry["error"]:
        print_line(f"Error: {entry['error']['code']}: {entry['error']['message']}")
    if entry["result"] is not None:
        import orjson

        print_line("Result:")
        for line in orjson.dumps(entry["result"], option=orjson.OPT_INDENT_2).decode().splitlines():
            print_line(line)


def _percent(fraction: float) -> str:
    # Cut, not rounded: 100 % is what is done.
    return f"{int(fraction * 100)} %"
