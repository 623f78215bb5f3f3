"""`pipelines` and `pipeline`: what makes data, as which versions, and how its runs went."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import options
from app.cli.output import Column, print_json, print_line, print_note, print_table
from app.cli.registry_arguments import (
    At,
    Limit,
    check_limit,
    named_as_options,
    print_fact,
    read_choice,
    read_dag,
    read_text,
    to_second,
)
from app.cli.session import make_command, with_services
from app.cli.version_tagging import Expected, Move, Protected, TagAt, TagName, put_tag, remove_tag

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.domain.pages import Page, PageRequest
    from app.domain.pipelines import PipelineRun
    from app.services.registry_entries import PipelineEntry, PipelineVersionEntry, RunEntry

app = typer.Typer(no_args_is_help=True, help="Versions and runs of a pipeline: see, register and tag them.")

PipelineId = Annotated[
    str, typer.Argument(metavar="PIPELINE", help="Id of the pipeline; that of a scheduler's job is NAMESPACE/NAME.")
]


def pipelines(
    prefix: Annotated[str, typer.Option("--prefix", metavar="TEXT", help="Only those whose ids begin so.")] = "",
    limit: Limit = 100,
    json: options.Json = False,
) -> None:
    """List the pipelines with their latest version."""
    from app.services.whole_lists import counted_entries

    most = check_limit(limit)
    found, total = with_services(
        lambda services: counted_entries(lambda request: services.entries.list_pipelines(prefix, request), limit=most)
    )
    if json:
        print_json({"pipelines": found, "total": total})
        return
    columns = [
        Column(header="PIPELINE", is_id=True),
        Column(header="LATEST", is_id=True),
        Column(header="CREATED (UTC)", is_id=True),
        Column(header="NAME"),
        Column(header="DESCRIPTION"),
    ]
    print_table(columns, [_pipeline_row(entry) for entry in found])
    if len(found) < total:
        print_note(f"There are {total}; --limit shows more.")


@app.command("show")
def show_pipeline(pipeline_id: PipelineId, at: At = None, json: options.Json = False) -> None:
    """Show the versions of a pipeline, or with REF one of them."""
    if at is None:
        _show_versions(pipeline_id, as_json=json)
        return
    entry = with_services(lambda services: services.entries.pipeline_version(pipeline_id, at))
    if json:
        print_json(entry)
        return
    why = f": {entry['reason']}" if entry["reason"] else ""
    print_line(f"{entry['pipeline_id']} v{entry['number']}, {entry['created_at']} by {entry['created_by']}{why}")
    print_fact("Commit", entry["git_commit"])
    print_fact("Tags", " ".join(entry["tags"]))
    print_fact("Code", None if entry["code_hash"] is None else f"SHA-256 {entry['code_hash']}")
    for line in _dag_lines(entry["dag"]):
        print_line(line)


@app.command("register")
def register_pipeline(
    pipeline_id: PipelineId,
    dag: Annotated[
        Path, typer.Option("--dag", metavar="FILE", help='Its DAG: {"tasks": [{"id": …}], "edges": [[from, to]]}.')
    ],
    code: Annotated[Path | None, typer.Option("--code", metavar="FILE", help="Its code, as a text in UTF-8.")] = None,
    git_commit: Annotated[str | None, typer.Option("--git-commit", metavar="ID", help="The commit of it.")] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="What people call it.")] = None,
    description: Annotated[str | None, typer.Option("--description", metavar="TEXT", help="What it is for.")] = None,
    reason: options.Reason = None,
    actor: options.ActorName = None,
    idempotency_key: options.IdempotencyKey = None,
    json: options.Json = False,
) -> None:
    """Register the next version of a pipeline.

    What is as the latest version is, is unchanged and no new version.
    """
    from app.services.pipelines import NewPipelineVersion

    async def change(services: Services) -> dict[str, Any]:
        done = await services.pipelines.register(new, command)
        entry = await services.entries.of_pipeline_version(done.version)
        change_id = None if done.change_id is None else str(done.change_id)
        return {"pipeline_version": entry, "unchanged": done.is_unchanged, "change_id": change_id}

    with named_as_options():
        new = NewPipelineVersion(
            pipeline_id=pipeline_id,
            dag=read_dag(dag),
            name=name,
            description=description,
            code=None if code is None else read_text("--code", code),
            git_commit=git_commit,
        )
        command = make_command(actor, reason, idempotency_key)
        answer = with_services(change)
    if json:
        print_json(answer)
        return
    entry = answer["pipeline_version"]
    verb = "is as it was: no new version." if answer["unchanged"] else "registered."
    print_line(f"{entry['pipeline_id']} v{entry['number']} {verb}")


@app.command("runs")
def list_runs(
    pipeline_id: PipelineId,
    status: Annotated[
        str | None, typer.Option("--status", metavar="STATUS", help="Only running, success, failed or aborted ones.")
    ] = None,
    limit: Limit = 20,
    json: options.Json = False,
) -> None:
    """List the runs of a pipeline, latest first."""
    from app.domain.run_state import RunStatus
    from app.services.registry_entries import run_entry
    from app.services.whole_lists import counted_entries

    most = check_limit(limit)
    wanted = None if status is None else read_choice("--status", status, RunStatus)

    async def look(services: Services) -> tuple[list[RunEntry], int]:
        async def fetch(request: PageRequest) -> tuple[Page[PipelineRun], list[RunEntry]]:
            page = await services.runs.page_of_pipeline(pipeline_id, request, status=wanted)
            return page, [run_entry(run) for run in page.items]

        await services.pipelines.get(pipeline_id)
        return await counted_entries(fetch, limit=most)

    found, total = with_services(look)
    if json:
        print_json({"pipeline_id": pipeline_id, "runs": found, "total": total})
        return
    columns = [
        Column(header="RUN", is_id=True),
        Column(header="VERSION", is_id=True),
        Column(header="STATUS", is_id=True),
        Column(header="STARTED (UTC)", is_id=True),
        Column(header="TOOK", justify="right"),
        Column(header="ERROR"),
    ]
    print_table(columns, [_run_row(entry) for entry in found])
    if len(found) < total:
        print_note(f"There are {total}; --limit shows more.")


@app.command("tag")
def tag_pipeline(
    pipeline_id: PipelineId,
    tag: TagName,
    at: TagAt = None,
    move: Move = False,
    protected: Protected = False,
    force: options.Force = False,
    expected: Expected = None,
    reason: options.Reason = None,
    actor: options.ActorName = None,
    idempotency_key: options.IdempotencyKey = None,
    json: options.Json = False,
) -> None:
    """Name a version of a pipeline, or move a name to it."""
    from app.domain.changes import PipelineSubject

    put_tag(
        PipelineSubject(pipeline_id=pipeline_id),
        tag,
        at,
        move=move,
        protected=protected,
        force=force,
        expected=expected,
        reason=reason,
        actor=actor,
        idempotency_key=idempotency_key,
        as_json=json,
    )


@app.command("untag")
def untag_pipeline(
    pipeline_id: PipelineId,
    tag: TagName,
    force: options.Force = False,
    expected: Expected = None,
    reason: options.Reason = None,
    actor: options.ActorName = None,
    idempotency_key: options.IdempotencyKey = None,
    json: options.Json = False,
) -> None:
    """Remove a tag from a version of a pipeline."""
    from app.domain.changes import PipelineSubject

    remove_tag(
        PipelineSubject(pipeline_id=pipeline_id),
        tag,
        force=force,
        expected=expected,
        reason=reason,
        actor=actor,
        idempotency_key=idempotency_key,
        as_json=json,
    )


def duration_text(duration_ms: int | None) -> str:
    """A duration as people read it; empty where it is not known."""
    if duration_ms is None:
        return ""
    seconds = duration_ms / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _show_versions(pipeline_id: str, *, as_json: bool) -> None:
    from app.services.whole_lists import all_entries

    async def look(services: Services) -> tuple[PipelineEntry, list[PipelineVersionEntry]]:
        pipeline = await services.entries.pipeline(pipeline_id)
        versions = await all_entries(lambda request: services.entries.list_pipeline_versions(pipeline_id, request))
        return pipeline, versions

    pipeline, versions = with_services(look)
    if as_json:
        # As large as megabytes each: whoever wants them asks for one version.
        shown = [{name: value for name, value in each.items() if name not in ("dag", "code")} for each in versions]
        print_json({**pipeline, "versions": shown})
        return
    print_fact("Name", pipeline["name"])
    print_fact("Description", pipeline["description"])
    columns = [
        Column(header="VERSION", is_id=True),
        Column(header="CREATED (UTC)", is_id=True),
        Column(header="BY"),
        Column(header="COMMIT"),
        Column(header="TASKS", justify="right"),
        Column(header="TAGS"),
    ]
    rows = [
        (
            entry["label"],
            to_second(entry["created_at"]),
            entry["created_by"],
            entry["git_commit"] or "",
            str(len(_tasks(entry["dag"]))),
            " ".join(entry["tags"]),
        )
        for entry in versions
    ]
    print_table(columns, rows)


def _dag_lines(dag: Any) -> list[str]:
    after: dict[str, list[str]] = {}
    for source, target in dag.get("edges", []):
        after.setdefault(target, []).append(source)
    return [
        f"Task {task['id']}" + (f", after {', '.join(sorted(after[task['id']]))}" if task["id"] in after else "")
        for task in _tasks(dag)
    ]


def _tasks(dag: Any) -> list[Any]:
    return list(dag["tasks"])


def _pipeline_row(entry: PipelineEntry) -> list[str]:
    latest = "" if entry["latest"] is None else f"v{entry['latest']}"
    return [
        entry["pipeline_id"],
        latest,
        to_second(entry["created_at"]),
        "" if entry["name"] == entry["pipeline_id"] else entry["name"],
        entry["description"] or "",
    ]


def _run_row(entry: RunEntry) -> list[str]:
    return [
        entry["run_id"],
        "" if entry["version_number"] is None else f"v{entry['version_number']}",
        entry["status"],
        to_second(entry["started_at"]),
        duration_text(entry["duration_ms"]),
        (entry["error"] or "").partition("\n")[0],
    ]
