"""`diff model` and `diff pipeline`: what differs between two of their versions."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.differences import ExitCode, From, Line, Mark, To, end_with, print_lines
from app.cli.models import ModelName
from app.cli.output import print_json, print_note, printable
from app.cli.pipelines import PipelineId
from app.cli.session import with_services

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.domain.code_diff import CodeDiff
    from app.domain.metrics_diff import MetricDelta
    from app.domain.training_diff import InputDelta
    from app.errors import JsonValue
    from app.services.comparing_models import ModelComparison
    from app.services.comparing_pipelines import PipelineComparison

Threshold = Annotated[
    list[str] | None,
    typer.Option(
        "--threshold",
        metavar="[METRIC=]FRACTION",
        help="How much of its earlier value a metric may lose: 0.05 or 5% (the default), or auc=1% for one of them; "
        "may be repeated.",
    ),
]
_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def diff_model(
    name: ModelName,
    from_version: From,
    to_version: To = None,
    threshold: Threshold = None,
    exit_code: ExitCode = False,
    json: options.Json = False,
) -> None:
    """Show how two versions of a model differ: metrics and which of them regressed, parameters, training data."""
    from app.domain.metrics_diff import BY_METRIC, OVERALL, parse_thresholds
    from app.services.argument_names import arguments_named, option_name
    from app.services.comparison_entries import model_comparison_entry

    async def compare(services: Services) -> ModelComparison:
        return await services.comparing_models.compare(name, from_version, to_version, thresholds)

    with arguments_named(option_name, {OVERALL: "--threshold", BY_METRIC: "--threshold"}):
        thresholds = parse_thresholds(threshold or ())
        found = with_services(compare)
    entry = model_comparison_entry(found, from_version, to_version)
    if json:
        print_json(entry)
    else:
        print_lines(_model_lines(found))
        for note in entry["notes"]:
            print_note(note)
    end_with(is_different=not found.is_identical, exit_code=exit_code)


def diff_pipeline(
    pipeline_id: PipelineId,
    from_version: From,
    to_version: To = None,
    exit_code: ExitCode = False,
    json: options.Json = False,
) -> None:
    """Show how two versions of a pipeline differ: tasks and edges of the DAG, commit, and code as a unified diff."""
    from app.services.comparison_entries import pipeline_comparison_entry

    async def compare(services: Services) -> PipelineComparison:
        return await services.comparing_pipelines.compare(pipeline_id, from_version, to_version)

    found = with_services(compare)
    if json:
        print_json(pipeline_comparison_entry(found, from_version, to_version))
    else:
        print_lines(_pipeline_lines(found))
        if found.code is not None:
            _print_patch(found.code)
    end_with(is_different=not found.diff.is_identical, exit_code=exit_code)


def _model_lines(found: ModelComparison) -> Iterator[Line]:
    before, after = found.diff.before, found.diff.after
    yield Line(text=f"{before.model} {before.label} → {after.label}")
    for delta in found.diff.metrics:
        if (line := _metric_line(delta)) is not None:
            yield line
    if before.framework != after.framework:
        yield _changed("framework", before.framework, after.framework)
    for change in found.diff.parameters:
        yield Line(
            mark=Mark.CHANGED,
            text=f"parameter {change.key}: {_value(change.kind, 'ADDED', change.before)} → "
            f"{_value(change.kind, 'REMOVED', change.after)}",
        )
    for use in found.training.deltas:
        if use.before != use.after:
            yield _use_line(use)
    if found.is_identical:
        yield Line(text="Metrics, parameters, framework and training data are the same.")


def _metric_line(delta: MetricDelta) -> Line | None:
    from app.domain.json_diff import DeltaKind
    from app.domain.metrics_diff import to_float

    before, after = ("no number" if value is None else str(to_float(value)) for value in (delta.before, delta.after))
    if delta.kind is DeltaKind.UNCHANGED:
        return None
    if delta.kind is DeltaKind.ADDED:
        return Line(mark=Mark.ADDED, text=f"metric {delta.name}: {after}")
    if delta.kind is DeltaKind.REMOVED:
        return Line(mark=Mark.REMOVED, text=f"metric {delta.name}: {before}")
    change, percent = to_float(delta.delta), to_float(delta.percent_change)
    told = [] if change is None else [f"{change:+}"]
    told += [] if percent is None else [f"{percent:+.3g} %"]
    text = f"metric {delta.name}: {before} → {after}" + (f" ({', '.join(told)})" if told else "")
    if not delta.regressed:
        return Line(mark=Mark.CHANGED, text=text)
    way = f"{'higher' if delta.higher_is_better else 'lower'} is better"
    source = "" if delta.is_direction_declared else ", by its name"
    allowed = f"{to_float(delta.threshold * 100):g} % are allowed"
    return Line(mark=Mark.WARNING, text=f"{text}: regressed ({way}{source}; {allowed})")


def _use_line(use: InputDelta) -> Line:
    what = f"{use.role.value.lower()} data {use.dataset}"
    if use.before is None:
        return Line(mark=Mark.ADDED, text=f"{what} @ {use.after}")
    if use.after is None:
        return Line(mark=Mark.REMOVED, text=f"{what} @ {use.before}")
    if use.is_changed:
        return Line(mark=Mark.CHANGED, text=f"{what} @ {use.before} → {use.after}")
    return Line(text=f"{what} @ {use.before} → {use.after}, which has the same rows")


def _pipeline_lines(found: PipelineComparison) -> Iterator[Line]:
    before, after = found.diff.before, found.diff.after
    yield Line(text=f"{before.pipeline_id} {before.label} → {after.label}")
    # A rename is shown as such alone.
    dag = found.dag.without_renames()
    for rename in dag.tasks_renamed:
        yield Line(mark=Mark.CHANGED, text=f"task {rename.before} renamed to {rename.after}")
    for task in dag.tasks_removed:
        yield Line(mark=Mark.REMOVED, text=f"task {task}")
    for task in dag.tasks_added:
        yield Line(mark=Mark.ADDED, text=f"task {task}")
    for delta in dag.tasks_changed:
        for change in delta.changes:
            yield Line(
                mark=Mark.CHANGED,
                text=f"task {delta.task}: {change.key}: {_value(change.kind, 'ADDED', change.before)} → "
                f"{_value(change.kind, 'REMOVED', change.after)}",
            )
    for mark, edges in ((Mark.REMOVED, dag.edges_removed), (Mark.ADDED, dag.edges_added)):
        for edge in edges:
            yield Line(mark=mark, text=f"edge {' → '.join(edge)}")
    if before.git_commit != after.git_commit:
        yield _changed("commit", before.git_commit, after.git_commit)
    if found.diff.is_code_changed and found.code is None:
        yield Line(mark=Mark.CHANGED, text="code: only one of them has it stored")
    if found.diff.is_identical:
        yield Line(text="DAG, code and commit are the same.")


def _changed(what: str, before: str | None, after: str | None) -> Line:
    return Line(mark=Mark.CHANGED, text=f"{what}: {before or 'none'} → {after or 'none'}")


def _value(kind: str, missing: str, value: JsonValue) -> str:
    import orjson

    return "none" if kind == missing else orjson.dumps(value).decode()


def _print_patch(code: CodeDiff) -> None:
    """A unified diff as `patch` reads it, but for characters that would drive the terminal."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for line in code.text.split("\n")[:-1]:
        shown = "\t".join(map(printable, line.split("\t")))
        if console.is_terminal:
            console.print(Text(shown, style=_STYLES.get(shown[:1], "")), soft_wrap=True)
        else:
            sys.stdout.write(f"{shown}\n")
    if code.is_cut:
        print_note(
            f"This is not all of it: {code.lines_removed} lines were removed and {code.lines_added} added, and the end "
            "of that is left out."
        )
