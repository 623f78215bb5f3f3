"""`diff`: how two versions differ. Each command is in a module of its own."""

from __future__ import annotations

import typer

from app.cli.metadata_diffs import diff_commits, diff_files, diff_stats
from app.cli.registry_diffs import diff_model, diff_pipeline
from app.cli.row_diffs import diff_rows
from app.cli.schema_diffs import diff_schema

app = typer.Typer(no_args_is_help=True, help="How two versions differ.")

app.command("schema")(diff_schema)
app.command("model")(diff_model)
app.command("pipeline")(diff_pipeline)
app.command("rows")(diff_rows)
app.command("commits")(diff_commits)
app.command("files")(diff_files)
app.command("stats")(diff_stats)
