"""`impact`: what a change of a dataset would affect; `rollback --dry-run` prints the same of a rollback."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.output import Column, print_json, print_line, print_note, print_table
from app.cli.session import with_services
from app.errors import AppError

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.domain.impact import Impact, Impacted
    from app.services.outcomes import RollbackOutcome


class Kind(StrEnum):
    """What the change is."""

    ANY = "any"
    SCHEMA = "schema"
    DATA = "data"
    DELETE = "delete"
    ROLLBACK = "rollback"


_CHANGES = {
    Kind.ANY: "A change of {}",
    Kind.SCHEMA: "A change of the schema of {}",
    Kind.DATA: "A change of the rows of {}",
    Kind.DELETE: "Removing {}",
    Kind.ROLLBACK: "Rolling {} back",
}


def impact(
    dataset: options.Dataset,
    kind: Annotated[Kind, typer.Option("--kind", help="What the change is.")] = Kind.ANY,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="NAME", help="Only what may depend on this column; may be repeated."),
    ] = None,
    rollback_to: Annotated[
        str | None, typer.Option("--rollback-to", metavar="REF", help="The version that main would go back to.")
    ] = None,
    depth: Annotated[int, typer.Option("--depth", metavar="N", help="Hops, 1 to 50.")] = 10,
    json: options.Json = False,
) -> None:
    """Say what a change of a dataset would affect downstream.

    By what was reported over OpenLineage: datasets, models and pipelines, the worst first.
    """
    from app.domain.impact import ImpactKind
    from app.domain.names import DatasetName
    from app.services.impact_entries import impact_entry

    name = DatasetName.parse(dataset)
    # To name the version is to say what the change is.
    asked = Kind.ROLLBACK if rollback_to is not None and kind is Kind.ANY else kind

    async def ask(services: Services) -> Impact:
        table = await services.datasets.load(name)
        await _catch_up(services)
        return await services.impacts.of_dataset(
            table, ImpactKind.parse(asked.value), column or None, rollback_to, depth=depth
        )

    found = with_services(ask)
    if json:
        print_json(impact_entry(str(name), found))
    else:
        print_impact(str(name), found)


async def impact_of_rollback(services: Services, done: RollbackOutcome) -> Impact | AppError:
    """What a rollback would affect; the error where that cannot be told, which is no reason not to tell the rest."""
    try:
        await _catch_up(services)
        return await services.impacts.of_rollback(done.table, done.previous_id, done.current_id)
    except AppError as error:
        return error


def print_impact(dataset: str, found: Impact) -> None:
    """An impact for people: one line that sums it up, and a table of what is affected, the worst first."""
    change = _CHANGES[Kind(found.kind.value.lower())].format(dataset)
    if found.total_affected:
        counts = (
            _counted(len(one), noun)
            for one, noun in ((found.datasets, "dataset"), (found.models, "model"), (found.pipelines, "pipeline"))
            if one
        )
        print_line(f"{change} affects {', '.join(counts)}; severity {found.severity.value}.")
        columns = [Column(header="SEVERITY", is_id=True), Column(header="WHAT AND WHY"), Column(header="WAY")]
        print_table(columns, map(_row, sorted(found.everything, key=lambda one: one.order)))
    elif found.is_complete:
        print_line(f"{change} affects nothing that is known.")
    else:
        print_line(f"{change}: what it affects was not found.")
    if not found.is_complete:
        reasons = ", ".join(sorted(reason.value for reason in found.truncated))
        print_note(f"This is not all of it: {reasons}.")


def print_unknown_impact(error: AppError) -> None:
    """That the impact cannot be told, and why."""
    print_note(f"What that affects cannot be told: {error.message}")


async def _catch_up(services: Services) -> None:
    # No server needs to run for it: what is pending is projected first.
    while await services.projector.project_pending():
        continue


def _row(one: Impacted) -> tuple[str, str, str]:
    from app.domain.impact import label_of

    return (one.severity.value, one.reason, " > ".join(map(label_of, one.path)) if one.depth > 1 else "")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
