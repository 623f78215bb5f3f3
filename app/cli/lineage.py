"""`lineage`: what a table was made from and what was made from it, and the upkeep of the graph."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import options
from app.cli.output import Column, print_json, print_line, print_note, print_table
from app.cli.session import with_services

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.services.graph_upkeep import DriftReport, RebuildReport
    from app.services.lineage import LineageAnswer

DRIFTED = 1

app = typer.Typer(no_args_is_help=True, help="What was made from what.")


class Way(StrEnum):
    """Which way to look."""

    UPSTREAM = "upstream"
    DOWNSTREAM = "downstream"
    BOTH = "both"


@app.command("show")
def show_lineage(
    dataset: options.Dataset,
    at: Annotated[
        str | None, typer.Option("--at", metavar="REF", help="The version; all of them unless given.")
    ] = None,
    direction: Annotated[Way, typer.Option("--direction", help="Which way to look.")] = Way.UPSTREAM,
    depth: Annotated[int, typer.Option("--depth", metavar="N", help="Hops, 0 to 50.")] = 3,
    entities: Annotated[bool, typer.Option("--entities", help="Tables and pipelines instead of versions.")] = False,
    history: Annotated[
        bool, typer.Option("--history", help="Follow each snapshot to its Iceberg parent and children too.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Show what a dataset was made from, or what was made from it."""
    from app.domain.lineage import Direction, Grain, Walk
    from app.domain.names import DatasetName

    name = DatasetName.parse(dataset)

    async def ask(services: Services) -> LineageAnswer:
        table = await services.datasets.load(name)
        if at is None:
            root = services.lineage.dataset_root(table.state.table_uuid, str(name))
        else:
            resolved = await services.datasets.resolve_with_record(table, at)
            root = services.lineage.snapshot_root(table, resolved.snapshot_id)
        walk = Walk(
            root=root.vertex_id,
            direction=Direction(direction.value.upper()),
            depth=depth,
            grain=Grain.ENTITY if entities else Grain.VERSION,
        )
        # No server needs to run for it: what is pending is projected first.
        while await services.projector.project_pending():
            continue
        return await services.lineage.walk(root, walk, history=history)

    answer = with_services(ask)
    if json:
        print_json(_as_json(answer))
        return
    _print_for_people(answer)


@app.command("rebuild")
def rebuild(json: options.Json = False) -> None:
    """Make the lineage graph again from all that was reported.

    The exit code is 1 where runs have to wait, because what they speak of cannot be read now.
    """

    def progress(done: int, total: int) -> None:
        print_note(f"[{done}/{total}] runs")

    report: RebuildReport = with_services(lambda services: services.upkeep.rebuild(progress))
    if json:
        print_json({"runs": report.runs, "waiting": report.waiting})
    else:
        print_line(f"The graph is made of {report.runs} runs.")
        if report.waiting:
            print_note(
                f"{report.waiting} more wait, because what they speak of cannot be read now; a server goes on with it."
            )
    if report.waiting:
        raise typer.Exit(DRIFTED)


@app.command("check")
def check(json: options.Json = False) -> None:
    """Compare the lineage graph with all that was reported.

    The exit code is 1 where they differ.
    """
    report: DriftReport = with_services(lambda services: services.upkeep.check())
    if json:
        print_json(
            {
                "same": report.is_same,
                "compared": report.compared,
                "pending": report.pending,
                "differing": {"count": report.differing_count, "first": list(report.differing)},
                "unknown": {"count": report.unknown_count, "first": list(report.unknown)},
            }
        )
    else:
        print_line(f"Runs compared: {report.compared}; not in the graph yet: {report.pending}.")
        for what, count, first in (
            ("differ from what was reported", report.differing_count, report.differing),
            ("are in the graph and were never reported", report.unknown_count, report.unknown),
        ):
            if count:
                print_line(f"{count} {what}: {', '.join(first)}{' …' if count > len(first) else ''}")
        print_line("The graph is as it should be." if report.is_same else "`stratigraph lineage rebuild` mends it.")
    if not report.is_same:
        raise typer.Exit(DRIFTED)


def _as_json(answer: LineageAnswer) -> dict[str, Any]:
    return {
        "root": answer.root.vertex_id,
        "nodes": [
            {
                "id": found.vertex.vertex_id,
                "kind": found.vertex.kind.value,
                "name": found.vertex.name,
                "version": found.vertex.version or None,
                "depth": found.depth,
            }
            for found in answer.graph.nodes
        ],
        "edges": [
            {
                "from": edge.from_id,
                "to": edge.to_id,
                "kind": edge.kind.value,
                "run_id": None if edge.run_id is None else str(edge.run_id),
                "inferred": edge.is_inferred,
                "recorded_at": edge.recorded_at.isoformat(),
            }
            for edge in answer.graph.edges
        ],
        "complete": answer.graph.is_complete,
        "reasons": sorted(reason.value for reason in answer.graph.truncated),
        "watermark": answer.watermark.isoformat(),
    }


def _print_for_people(answer: LineageAnswer) -> None:
    shown = {found.vertex.vertex_id: _label(found.vertex.name, found.vertex.version) for found in answer.graph.nodes}
    if not answer.graph.edges:
        print_line(f"Nothing is known of {_label(answer.root.name, answer.root.version)} in this direction.")
    else:
        columns = [Column(header="THIS"), Column(header="STATEMENT", is_id=True), Column(header="THAT")]
        rows = [
            (
                shown[edge.from_id],
                edge.kind.value.lower().replace("_", " ") + (" (inferred)" if edge.is_inferred else ""),
                shown[edge.to_id],
            )
            for edge in answer.graph.edges
        ]
        print_table(columns, rows)
    if not answer.graph.is_complete:
        reasons = ", ".join(sorted(reason.value for reason in answer.graph.truncated))
        print_note(f"This is not all of it: {reasons}. --depth goes further.")


def _label(name: str, version: str | None) -> str:
    return f"{name} @ {version}" if version else name
