"""`retention`: what expires, what keeps the rest, and why."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.interrupting import noted_when_interrupted
from app.cli.output import Column, print_json, print_line, print_note, print_table
from app.cli.progress import Progress
from app.cli.registry_arguments import named_as_options
from app.cli.retention_text import print_summary, print_table_run
from app.cli.session import make_command, with_services
from app.cli.table_choice import All, Namespace, Table, choose_tables
from app.errors import InvalidArgumentError

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.domain.retention.tag_audit import TagAudit
    from app.services.retention_entries import SummaryEntry, TableEntry
    from app.services.retention_operations import PolicyOverrides

SOME_FAILED = 1

app = typer.Typer(no_args_is_help=True, help="Expire old snapshots, and see what keeps the others.")

Execute = Annotated[bool, typer.Option("--execute/--dry-run", help="Do it, or only say what would be done.")]
KeepLast = Annotated[
    int | None, typer.Option("--keep-last", metavar="N", help="Snapshots to keep of each branch; 30 unless set.")
]
KeepDays = Annotated[
    int | None, typer.Option("--keep-days", metavar="DAYS", help="Days to keep every snapshot; 90 unless set.")
]
ProductionDays = Annotated[
    int | None,
    typer.Option("--production-keep-days", metavar="DAYS", help="The same for production tables; 730 unless set."),
]
ExpireTagged = Annotated[
    bool, typer.Option("--expire-tagged", help="Let tags that are not protected go with their snapshots.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before 0 days are carried out.")]


@app.command("cleanup")
def cleanup(
    namespace: Namespace = None,
    table: Table = None,
    all_tables: All = False,
    execute: Execute = False,
    keep_last: KeepLast = None,
    keep_days: KeepDays = None,
    production_keep_days: ProductionDays = None,
    expire_tagged: ExpireTagged = False,
    yes: Yes = False,
    reason: options.Reason = None,
    actor: options.ActorName = None,
    json: options.Json = False,
) -> None:
    """Expire the snapshots that nothing keeps, and delete the files that only they reach."""
    command = make_command(actor, reason, None)
    with named_as_options():
        chosen = choose_tables(namespace, table, all_tables=all_tables)
        overrides = _overrides(keep_last, keep_days, production_keep_days, expire_tagged=expire_tagged)
        if execute and 0 in (keep_days, production_keep_days):
            _confirm_zero("--keep-days" if keep_days == 0 else "--production-keep-days", yes=yes)

        async def work(services: Services) -> SummaryEntry:
            from app.services.retention_entries import cut_entry, summary_entry

            policy = overrides.applied_to(services.retention_planning.default_policy())
            names = await services.retention_sweeps.names(chosen)
            entries: list[TableEntry] = []
            with Progress(is_shown=not json) as progress:
                sweep = services.retention_sweeps.sweep(names, policy, command, progress.report, is_dry_run=not execute)
                async for entry in sweep:
                    if not json:
                        progress.clear()
                        print_table_run(entry)
                    # Of so many tables the summary alone is needed once they are told.
                    entries.append(entry if json else cut_entry(entry, 0))
            return summary_entry(entries)

        note = "What has expired stays so, and the next run deletes the files that are left of it."
        with noted_when_interrupted(note, is_told=execute and not json):
            summary = with_services(work)
    if json:
        print_json(summary)
    else:
        print_summary(summary)
    if any(entry["error"] is not None for entry in summary["tables"]):
        raise typer.Exit(SOME_FAILED)


@app.command("explain")
def explain(
    dataset: options.Dataset,
    snapshot: Annotated[
        str | None, typer.Argument(metavar="[REF]", help="One version; the table unless given.")
    ] = None,
    keep_last: KeepLast = None,
    keep_days: KeepDays = None,
    production_keep_days: ProductionDays = None,
    expire_tagged: ExpireTagged = False,
    json: options.Json = False,
) -> None:
    """Say why a version stays or goes and what would change that, or the same of a table and its storage."""
    from app.domain.names import DatasetName

    with named_as_options():
        name = DatasetName.parse(dataset)
        overrides = _overrides(keep_last, keep_days, production_keep_days, expire_tagged=expire_tagged)

        async def work(services: Services) -> list[str]:
            policy = overrides.applied_to(services.retention_planning.default_policy())
            if snapshot is not None:
                return await services.retention_explaining.version(name, snapshot, policy)
            return await services.retention_explaining.table(name, policy)

        sentences = with_services(work)
    if json:
        print_json({"dataset": dataset, "version": snapshot, "sentences": list(sentences)})
        return
    for sentence in sentences:
        print_line(sentence)


@app.command("audit")
def audit(
    dataset: options.Dataset,
    stale: Annotated[bool, typer.Option("--stale", help="Only tags that nobody may need any more.")] = False,
    json: options.Json = False,
) -> None:
    """List every tag: its age, what it is for, whose it is, what it alone keeps, and whether it is stale."""
    from app.domain.names import DatasetName
    from app.services.retention_explaining import audit_entry

    name = DatasetName.parse(dataset)

    async def work(services: Services) -> list[tuple[TagAudit, int]]:
        return await services.retention_explaining.audit(name, services.retention_planning.default_policy())

    found = [(tag, size) for tag, size in with_services(work) if tag.is_stale or not stale]
    if json:
        print_json({"dataset": dataset, "tags": [audit_entry(tag, size) for tag, size in found]})
        return
    if not found:
        print_note(f"{dataset} has no {'stale ' if stale else ''}tags.")
        return
    _print_audit(found)


def _print_audit(found: list[tuple[TagAudit, int]]) -> None:
    from app.domain.retention.explaining_tables import shown_bytes
    from app.domain.retention.instants import DAY_MS

    columns = [
        Column(header="tag", is_id=True),
        Column(header="age", justify="right"),
        Column(header="alone keeps", justify="right"),
        Column(header="owner", is_note=True),
        Column(header="for", is_note=True),
        Column(header="stale", is_note=True),
    ]
    rows = [
        (
            tag.tag.name,
            f"{'' if tag.is_age_known else '≤ '}{tag.age_ms // DAY_MS:,} d",
            shown_bytes(size),
            tag.owner or "-",
            "; ".join(tag.purposes) or "-",
            " ".join(each.text for each in tag.stale) or "-",
        )
        for tag, size in found
    ]
    print_table(columns, rows)


def _overrides(
    keep_last: int | None, keep_days: int | None, production_keep_days: int | None, *, expire_tagged: bool
) -> PolicyOverrides:
    from app.services.retention_operations import PolicyOverrides

    return PolicyOverrides(
        keep_last_n=keep_last,
        keep_days=keep_days,
        production_keep_days=production_keep_days,
        keep_tagged=False if expire_tagged else None,
        allow_zero_days=True,
    )


def _confirm_zero(option: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidArgumentError(option, "0 days expire all that no other rule keeps; say --yes if that is meant")
    if not typer.confirm("0 days: everything goes that no other rule keeps. Is that meant?", err=True):
        raise typer.Exit(2)
