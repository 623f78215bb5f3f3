"""`compaction`: which tables have too many small files, and bringing them together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from app.cli import compaction_runs, options
from app.cli.compaction_options import Smallest, Target, read_policy
from app.cli.compaction_text import print_analysis
from app.cli.output import print_json, print_line
from app.cli.registry_arguments import named_as_options
from app.cli.session import with_services
from app.cli.table_choice import All, Namespace, Table, choose_tables

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.services.compaction.entries import AnalysisEntry

SOME_FAILED = 1

app = typer.Typer(no_args_is_help=True, help="Bring small files together, and see beforehand what that would do.")
app.command("run")(compaction_runs.run)


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
        policy = read_policy(target_file_size_mb, min_file_size_mb)

        async def work(services: Services) -> list[AnalysisEntry]:
            listing = await services.retention_sweeps.visible(chosen)
            return await services.compaction_planning.survey(listing.names, policy, listing.hidden)

        entries = with_services(work)
    if json:
        print_json({"tables": entries})
    else:
        for entry in entries:
            print_analysis(entry)
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
        name, policy = DatasetName.parse(dataset), read_policy(target_file_size_mb, min_file_size_mb)

        async def work(services: Services) -> list[str]:
            return await services.compaction_planning.explain(name, policy)

        sentences = with_services(work)
    if json:
        print_json({"dataset": dataset, "sentences": list(sentences)})
        return
    for sentence in sentences:
        print_line(sentence)
