"""`demo load`: the sample lake, with its progress shown."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.output import print_json, print_line, print_note
from app.cli.session import with_services

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.lake.sample.load import SampleReport, SampleStep

DEFAULT_SCALE = 0.01

app = typer.Typer(no_args_is_help=True, help="The sample lake: real TPC-H data as tables with a history.")


@app.command("load")
def load_demo(
    scale: Annotated[
        float, typer.Option("--scale", metavar="SF", help="TPC-H scale factor; 1 is about 1 GB of raw data.")
    ] = DEFAULT_SCALE,
    json: options.Json = False,
) -> None:
    """Build the sample lake.

    What is there already is left alone, and what is half done is completed.
    """
    report = with_services(lambda services: build_with_progress(services, scale))
    if json:
        print_json(
            {
                "created": list(report.created),
                "resumed": list(report.resumed),
                "skipped": list(report.skipped),
                "foreign": list(report.foreign),
            }
        )
        return
    for verb, names in (("Created", report.created), ("Completed", report.resumed), ("Already there", report.skipped)):
        if names:
            print_line(f"{verb}: {', '.join(names)}")
    for name in report.foreign:
        print_note(f"Warning: {name} was not made by the sample; it is left alone.")


async def build_with_progress(services: Services, scale: float) -> SampleReport:
    """Build what is missing of the sample lake, and show how far it is on stderr."""
    from app.bootstrap import build_sample_lake

    with progress_shown() as progress:
        return await build_sample_lake(services, scale, progress)


@contextmanager
def progress_shown() -> Iterator[Callable[[SampleStep], None]]:
    """A bar on a terminal; elsewhere one line for each step."""
    if not sys.stderr.isatty():
        yield lambda step: print_note(f"[{step.done}/{step.total}] {step.what}")
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("Sample lake"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.description}", markup=False), console=Console(stderr=True)) as shown:
        task = shown.add_task("", total=None)
        yield lambda step: shown.update(task, total=step.total, completed=step.done, description=step.what)
