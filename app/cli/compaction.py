"""`compaction`: which tables have too many small files, and what bringing them together would do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.output import print_json, print_line, printable
from app.cli.registry_arguments import named_as_options
from app.cli.session import with_services
from app.cli.table_choice import All, Namespace, Table, choose_tables

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.domain.compaction.policy import CompactionPolicy
    from app.services.compaction.entries import AnalysisEntry

SOME_FAILED = 1

app = typer.Typer(no_args_is_help=True, help="See what bringing small files together would do.")

Target = Annotated[
    str | None,
    typer.Option("--target-file-size-mb", metavar="SIZE", help="Size of the files to make: 512 (MB), 512MB, 2GB."),
]
Smallest = Annotated[
    str | None,
    typer.Option("--min-file-size-mb", metavar="SIZE", help="Size below which a file is small; 10 (MB) unless given."),
]


@app.command("analyze")
def analyze(
    namespace: Namespace = None,
    table: Table = None,
    all_tables: All = False,
    target_file_size_mb: Target = None,
    min_file_size_mb: Smallest = None,
    json: options.Json = False,
) -> None:
    """Say which tables need compaction, why, and how many files they would have; nothing is changed."""
    with named_as_options():
        chosen = choose_tables(namespace, table, all_tables=all_tables)
        policy = _policy(target_file_size_mb, min_file_size_mb)

        async def work(services: Services) -> list[AnalysisEntry]:
            names = await services.retention_sweeps.names(chosen)
            return await services.compaction_planning.survey(names, policy)

        entries = with_services(work)
    if json:
        print_json({"tables": entries})
    else:
        for entry in entries:
            _print_entry(entry)
    if any(entry["error"] is not None for entry in entries):
        raise typer.Exit(SOME_FAILED)


@app.command("explain")
def explain(
    dataset: options.Dataset,
    target_file_size_mb: Target = None,
    min_file_size_mb: Smallest = None,
    json: options.Json = False,
) -> None:
    """Say whether compaction would help a table, why files of it stay small, and what else reads may be slow by."""
    from app.domain.names import DatasetName

    with named_as_options():
        name, policy = DatasetName.parse(dataset), _policy(target_file_size_mb, min_file_size_mb)

        async def work(services: Services) -> list[str]:
            return await services.compaction_planning.explain(name, policy)

        sentences = with_services(work)
    if json:
        print_json({"dataset": dataset, "sentences": list(sentences)})
        return
    for sentence in sentences:
        print_line(sentence)


def _print_entry(entry: AnalysisEntry) -> None:
    print_line(f"Analyzing table: {printable(entry['namespace'])}.{printable(entry['table'])}")
    plan, error = entry["plan"], entry["error"]
    if error is not None:
        print_line(f"  ✗ {error['code']}: {printable(str(error['message']))}")
    if plan is None:
        return
    print_line(f"  Total files: {plan['total_files']:,}")
    print_line(f"  Total size: {plan['total_size_mb']:,.2f} MB")
    print_line(f"  Avg file size: {plan['avg_file_size_mb']:,.2f} MB")
    print_line(f"  Small files (<{plan['min_file_size_mb']} MB): {plan['small_files']:,}")
    print_line(f"  Needs compaction: {plan['needs_compaction']}")
    print_line(f"  Reason: {plan['reason']}")
    if plan["needs_compaction"]:
        print_line(f"  Files afterwards: {plan['estimated_files_after']:,}")


def _policy(target: str | None, smallest: str | None) -> CompactionPolicy:
    from app.domain.compaction.policy import CompactionPolicy, parse_megabytes

    default = CompactionPolicy()
    return CompactionPolicy(
        target_file_size_mb=(
            default.target_file_size_mb if target is None else parse_megabytes("targetFileSizeMb", target)
        ),
        min_file_size_mb=(default.min_file_size_mb if smallest is None else parse_megabytes("minFileSizeMb", smallest)),
    )
