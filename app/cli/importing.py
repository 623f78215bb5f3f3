"""`import mlflow`: the models of another registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.output import print_json, print_line, print_note
from app.cli.session import make_command, with_services

if TYPE_CHECKING:
    from app.services.importing import ImportReport

app = typer.Typer(no_args_is_help=True, help="Models of other registries.")


@app.callback()
def _group() -> None:
    # With one command alone, typer would drop the name of it.
    """Models of other registries."""


@app.command("mlflow")
def import_mlflow(
    uri: Annotated[
        str,
        typer.Option(
            "--uri",
            metavar="URI",
            help="The registry: sqlite:///mlflow.db, postgresql://…, or the address of a tracking server.",
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be imported, and change nothing.")
    ] = False,
    actor: options.ActorName = None,
    json: options.Json = False,
) -> None:
    """Import registered models from MLflow: versions, metrics, parameters, dataset inputs, aliases.

    Nothing is written to MLflow. It can be repeated: each version is imported once, and aliases move.
    """
    command = make_command(actor, None, None)

    def progress(model: str, done: int) -> None:
        print_note(f"{model}: {done} imported")

    report: ImportReport = with_services(
        lambda services: services.importing.import_mlflow(uri, command, dry_run=dry_run, progress=progress)
    )
    if json:
        print_json(
            {
                "models": report.models,
                "imported": report.imported,
                "unchanged": report.unchanged,
                "changed": report.changed,
                "tags": report.tags,
                "notes": [{"model": model, "note": note} for model, note in report.notes],
                "dry_run": dry_run,
            }
        )
        return
    for model, note in report.notes:
        print_note(f"{model}: {note}")
    verb = "would be imported" if dry_run else "imported"
    print_line(
        f"{report.models} models: {report.imported} versions {verb}, {report.unchanged} known, "
        f"{report.tags} tags {'to be set' if dry_run else 'set'}."
    )
