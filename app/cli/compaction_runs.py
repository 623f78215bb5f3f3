"""`compaction run`: small files are brought together, or told of."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.compaction_options import Smallest, Target, read_overrides
from app.cli.compaction_text import print_plan, print_summary, print_table_run
from app.cli.interrupting import noted_when_interrupted
from app.cli.memory import settle_memory
from app.cli.output import print_json, print_line, print_note
from app.cli.progress import Progress
from app.cli.registry_arguments import named_as_options
from app.cli.session import make_command, with_services
from app.cli.table_choice import All, Namespace, Table, choose_tables
from app.errors import InvalidArgumentError

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.domain.changes import Command
    from app.domain.compaction.planning import CompactionPlan
    from app.domain.compaction.policy import CompactionPolicy
    from app.domain.names import DatasetName
    from app.services.compaction.entries import SummaryEntry, TableEntry
    from app.services.compaction.operations import CompactionOverrides
    from app.services.compaction.sweeps import Limits
    from app.services.operation_entries import OperationEntry
    from app.services.retention_sweeps import Chosen

SOME_FAILED = 1


def run(
    namespace: Namespace = None,
    table: Table = None,
    all_tables: All = False,
    execute: Annotated[
        bool, typer.Option("--execute/--dry-run", help="Do it, or only say what would be done.")
    ] = False,
    target_file_size_mb: Target = None,
    min_file_size_mb: Smallest = None,
    max_concurrent_files: Annotated[
        int | None,
        typer.Option("--max-concurrent-files", metavar="N", help="Files of a bin at most; 100 unless given."),
    ] = None,
    rewrite_all: Annotated[bool, typer.Option("--rewrite-all", help="All files, whatever their size.")] = False,
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="AMOUNT", help="Stop after the best: 10GB to rewrite, or 30m (s, m, h)."),
    ] = None,
    skip_active: Annotated[
        str | None,
        typer.Option("--skip-active", metavar="TIME", help="Leave out tables written to so lately, such as 15m."),
    ] = None,
    due: Annotated[
        bool,
        typer.Option("--due", help="Only tables whose turn it is by their layer, and that nobody is writing to."),
    ] = False,
    background: Annotated[
        bool, typer.Option("--background", help="Let a worker do it, as an operation, and do not wait for it.")
    ] = False,
    reason: options.Reason = None,
    actor: options.ActorName = None,
    idempotency_key: options.IdempotencyKey = None,
    json: options.Json = False,
) -> None:
    """Bring small files together, in tables that gain by it; without --execute only say what would be done."""
    from app.domain.compaction.policy import CompactionPolicy
    from app.services.compaction.sweeps import Limits

    with named_as_options():
        if idempotency_key is not None and not background:
            raise InvalidArgumentError("--idempotency-key", "it is for operations; give --background too")
        command = make_command(actor, reason, idempotency_key)
        chosen = choose_tables(namespace, table, all_tables=all_tables)
        overrides = read_overrides(target_file_size_mb, min_file_size_mb, max_concurrent_files, rewrite_all=rewrite_all)
        policy, limits = (
            overrides.applied_to(CompactionPolicy()),
            Limits.parse(budget=budget, skip_active=skip_active, is_due_only=due),
        )
        if background:
            _start(chosen, overrides, command, limits, is_dry_run=not execute, json=json)
            return
        summary = _run(chosen, policy, command, limits, is_dry_run=not execute, json=json)
    if json:
        print_json(summary)
    elif chosen.dataset is None:
        print_summary(summary)
    if any(entry["error"] is not None for entry in summary["tables"]):
        raise typer.Exit(SOME_FAILED)


def _run(
    chosen: Chosen, policy: CompactionPolicy, command: Command, limits: Limits, *, is_dry_run: bool, json: bool
) -> SummaryEntry:
    async def work(services: Services) -> SummaryEntry:
        from app.services.compaction.entries import cut_entry, plan_entry, summary_entry

        listing = await services.retention_sweeps.visible(chosen)
        entries: list[TableEntry] = []
        begun: set[tuple[str, str | None]] = set()
        with Progress(is_shown=not json) as progress:

            def begin(name: DatasetName, plan: CompactionPlan) -> None:
                begun.add((name.namespace, name.name))
                if not json:
                    progress.clear()
                    print_plan(name.namespace, name.name, plan_entry(plan))
                    sys.stdout.flush()

            settle_memory()
            sweep = services.compaction_sweeps.sweep(
                listing.names,
                policy,
                limits,
                command,
                progress.report,
                is_dry_run=is_dry_run,
                hidden=listing.hidden,
                on_begin=begin,
            )
            async for entry in sweep:
                # Of so many tables the summary alone is needed once they are told.
                entries.append(entry if json else cut_entry(entry, 0))
                if not json:
                    progress.clear()
                    print_table_run(entry, is_begun=(entry["namespace"], entry["table"]) in begun)
                    # A run may take hours, and whoever reads along in a log is no terminal.
                    sys.stdout.flush()
        return summary_entry(entries)

    note = "What was committed stays, and the next run does the rest."
    with noted_when_interrupted(note, is_told=not json and not is_dry_run):
        return with_services(work)


def _start(
    chosen: Chosen,
    overrides: CompactionOverrides,
    command: Command,
    limits: Limits,
    *,
    is_dry_run: bool,
    json: bool,
) -> None:
    from app.services.operation_entries import operation_entry

    async def work(services: Services) -> OperationEntry:
        operation = await services.compaction_operations.start(
            chosen, overrides, command, limits, is_dry_run=is_dry_run
        )
        return operation_entry(operation, None)

    entry = with_services(work)
    if json:
        print_json(entry)
        return
    print_line(f"Operation {entry['id']} ({entry['kind']}): {entry['status']}")
    print_note(f"`stratigraph operation wait {entry['id']}` waits for it.")
