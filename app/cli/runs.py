"""`run` and `promote`: recording what made which version of data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.output import print_json, print_line
from app.cli.pipelines import PipelineId, duration_text
from app.cli.registry_arguments import (
    named_as_options,
    print_fact,
    read_choice,
    read_instant,
    read_uses,
    read_uuid,
)
from app.cli.session import make_command, with_services

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.services.promoting import Promotion
    from app.services.registry_entries import RunEntry, RunUseEntry

app = typer.Typer(no_args_is_help=True, help="Runs of pipelines: record and see them.")

RunId = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run, a UUID.")]
_Uses = list[str] | None


@app.command("record")
def record_run(
    run_id: RunId,
    pipeline_id: PipelineId,
    status: Annotated[
        str, typer.Option("--status", metavar="STATUS", help="How it stands: running, success, failed or aborted.")
    ],
    started_at: Annotated[
        str | None, typer.Option("--started-at", metavar="TIME", help="When it began, with a zone.")
    ] = None,
    ended_at: Annotated[
        str | None, typer.Option("--ended-at", metavar="TIME", help="When it ended, with a zone.")
    ] = None,
    version_number: Annotated[
        int | None, typer.Option("--version-number", metavar="N", help="The version of the pipeline that ran.")
    ] = None,
    inputs: Annotated[
        _Uses, typer.Option("--input", metavar="NS.TABLE@REF", help="What it read; may be repeated.")
    ] = None,
    training: Annotated[
        _Uses, typer.Option("--training", metavar="NS.TABLE@REF", help="What it trained on; may be repeated.")
    ] = None,
    validation: Annotated[
        _Uses, typer.Option("--validation", metavar="NS.TABLE@REF", help="What it validated on; may be repeated.")
    ] = None,
    test: Annotated[
        _Uses, typer.Option("--test", metavar="NS.TABLE@REF", help="What it tested on; may be repeated.")
    ] = None,
    outputs: Annotated[
        _Uses, typer.Option("--output", metavar="NS.TABLE@REF", help="What it wrote; may be repeated.")
    ] = None,
    error: Annotated[str | None, typer.Option("--error", metavar="TEXT", help="Why it failed.")] = None,
    actor: options.ActorName = None,
    json: options.Json = False,
) -> None:
    """Record a run, or more about one.

    What is told of a run is merged; the same twice changes nothing.
    """
    from app.domain.roles import InputRole
    from app.domain.run_state import RunStatus
    from app.services.registry_entries import run_entry
    from app.services.runs import RunReport, UsedVersion

    async def change(services: Services) -> RunEntry:
        return run_entry(await services.runs.record(report, command))

    with named_as_options():
        read = [
            *read_uses(inputs, InputRole.INPUT),
            *read_uses(training, InputRole.TRAINING),
            *read_uses(validation, InputRole.VALIDATION),
            *read_uses(test, InputRole.TEST),
        ]
        written = read_uses(outputs, InputRole.INPUT)
        report = RunReport(
            run_id=read_uuid("RUN", run_id),
            pipeline_id=pipeline_id,
            status=read_choice("--status", status, RunStatus),
            version_number=version_number,
            started_at=read_instant("--started-at", started_at),
            ended_at=read_instant("--ended-at", ended_at),
            inputs=[UsedVersion(dataset=dataset, at=at, role=role) for dataset, at, role in read],
            outputs=[UsedVersion(dataset=dataset, at=at, role=role) for dataset, at, role in written],
            error=error,
        )
        command = make_command(actor, None, None)
        entry = with_services(change)
    if json:
        print_json(entry)
        return
    _print_run(entry)


@app.command("show")
def show_run(run_id: RunId, json: options.Json = False) -> None:
    """Show a run, as all that was reported of it makes it."""
    from app.services.registry_entries import run_entry

    which = read_uuid("RUN", run_id)

    async def look(services: Services) -> RunEntry:
        return run_entry(await services.runs.get(which))

    entry = with_services(look)
    if json:
        print_json(entry)
        return
    _print_run(entry)


def promote(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="What it was made from, NS.TABLE@REF.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="What was made, NS.TABLE@REF.")],
    pipeline_id: Annotated[
        str | None, typer.Option("--pipeline", metavar="PIPELINE", help="The pipeline that made it.")
    ] = None,
    reason: options.Reason = None,
    actor: options.ActorName = None,
    json: options.Json = False,
) -> None:
    """Record that a version of one dataset was made from a version of another.

    For what no run was reported of; it copies nothing.
    """
    from app.domain.uses import parse_dataset_at

    async def change(services: Services) -> Promotion:
        return await services.promoting.record(
            source_name, source_at, target_name, target_at, command, pipeline_id=pipeline_id
        )

    (source_name, source_at), (target_name, target_at) = parse_dataset_at(source), parse_dataset_at(target)
    with named_as_options():
        command = make_command(actor, reason, None)
        done = with_services(change)
    if json:
        print_json(
            {
                "source": str(source_name),
                "source_snapshot_id": str(done.source_id),
                "target": str(target_name),
                "target_snapshot_id": str(done.target_id),
                "pipeline_id": pipeline_id,
                "unchanged": done.is_unchanged,
            }
        )
        return
    verb = "was recorded already" if done.is_unchanged else "recorded"
    print_line(f"Promotion {verb}: {target_name} @ {done.target_id} from {source_name} @ {done.source_id}.")


def _print_run(entry: RunEntry) -> None:
    version = "" if entry["version_number"] is None else f" v{entry['version_number']}"
    print_line(f"Run {entry['run_id']} of {entry['pipeline_id']}{version}: {entry['status']}")
    print_line(f"Started: {entry['started_at']}{' (inferred)' if entry['start_inferred'] else ''}")
    took = duration_text(entry["duration_ms"])
    print_fact("Ended", entry["ended_at"] and entry["ended_at"] + (f", after {took}" if took else ""))
    print_fact("Error", entry["error"])
    print_fact("Recorded by", entry["recorded_by"])
    print_fact("Parent run", entry["parent_run_id"])
    print_fact("Commit", entry["git_commit"])
    for what, uses in (("Read", entry["inputs"]), ("Wrote", entry["outputs"])):
        for use in uses:
            print_line(f"{what}: {_use_text(use)}")


def _use_text(use: RunUseEntry) -> str:
    version = f" @ {use['version']}" if use["version"] else ""
    role = "" if use["role"] == "INPUT" else f" for {use['role'].lower()}"
    return f"{use['dataset']}{version}{role}{' (inferred)' if use['inferred'] else ''}"
