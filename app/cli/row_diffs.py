"""`diff rows`: the rows that two versions of a dataset differ in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.differences import ExitCode, From, Line, Mark, Other, To, end_with, print_lines, read_target
from app.cli.output import print_json, print_note
from app.cli.session import with_services
from app.errors import InvalidArgumentError

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.domain.row_diffs import RowDiff
    from app.errors import JsonValue
    from app.services.row_diffs import RowDiffAnswer

Keys = Annotated[
    list[str] | None,
    typer.Option("--key", metavar="COLUMN", help="A column that identifies rows; may be given more than once."),
]
NoKey = Annotated[
    bool, typer.Option("--no-key", help="Compare as a multiset, whatever identifier fields the table has.")
]
SampleSize = Annotated[
    int, typer.Option("--sample", metavar="N", help="Show so many rows of each kind, 0 to 1000.", show_default=True)
]
AnySize = Annotated[bool, typer.Option("--any-size", help="Compare however much has to be read.")]


def diff_rows(
    dataset: options.Dataset,
    from_version: From,
    to_version: To = None,
    other: Other = None,
    keys: Keys = None,
    no_key: NoKey = False,
    sample_size: SampleSize = 10,
    any_size: AnySize = False,
    exit_code: ExitCode = False,
    json: options.Json = False,
) -> None:
    """Show the rows that two versions of a dataset differ in. Only files that differ are read."""
    from app.domain.names import DatasetName
    from app.domain.row_diffs import RowDiffRequest
    from app.services.row_diff_entries import row_diff_entry
    from app.services.row_diffs import table_versions

    name = DatasetName.parse(dataset)
    other_name, to = read_target(to_version, other)
    asked = RowDiffRequest(keys=read_keys(keys, no_key=no_key), sample_size=sample_size)

    async def compare(services: Services) -> RowDiffAnswer:
        compared = await services.comparing.versions(name, from_version, to, to_dataset=other_name)
        if any_size:
            return await services.row_diffs.compare_at_any_cost(*table_versions(compared), asked, lambda _: None)
        return await services.row_diffs.compare(compared, asked)

    answer = with_services(compare)
    diff = answer.diff
    if json:
        print_json(row_diff_entry(from_version, to, answer))
    else:
        print_lines(_lines(diff))
        _note(diff, is_cached=answer.is_cached)
    end_with(is_different=not diff.is_empty, exit_code=exit_code)


def read_keys(keys: list[str] | None, *, no_key: bool) -> tuple[str, ...] | None:
    """The columns that identify rows: None for the table's own, and none of them with `--no-key`.

    Raises:
        InvalidArgumentError: both are given.
    """
    if keys and no_key:
        raise InvalidArgumentError("--no-key", "it says that there is no key; give it or --key")
    return tuple(keys) if keys else () if no_key else None


def _lines(diff: RowDiff) -> Iterator[Line]:
    changed = "" if diff.rows_changed is None else f", {diff.rows_changed:,} changed"
    yield Line(text=f"{diff.rows_from:,} → {diff.rows_to:,} rows: {diff.rows_added:,} added, "
               f"{diff.rows_removed:,} removed{changed}")  # fmt: skip
    for row in diff.sample.added:
        yield Line(mark=Mark.ADDED, text=_row(row))
    for row in diff.sample.removed:
        yield Line(mark=Mark.REMOVED, text=_row(row))
    for change in diff.sample.changed:
        cells = ", ".join(
            f"{column}: {_cell(change.before[column])} → {_cell(change.after[column])}" for column in change.columns
        )
        yield Line(mark=Mark.CHANGED, text=f"{_row(change.key)}  {cells}")
    if diff.sample.is_truncated and (diff.sample.added or diff.sample.removed or diff.sample.changed):
        yield Line(text="… there are more; --sample shows more of them")
    if diff.key_problem is not None:
        yield Line(mark=Mark.WARNING, text=diff.key_problem.message)


def _note(diff: RowDiff, *, is_cached: bool) -> None:
    if diff.is_empty:
        print_note("The rows are the same.")
    how = {
        "metadata": "Told by metadata alone",
        "keys": f"Joined by ({', '.join(diff.keys)}), unique among the {diff.keys_checked:,} rows that were read",
        "multiset": "Counted as a multiset",
    }[diff.method.value]
    where = " in Spark" if diff.engine is not None and diff.engine.value == "spark" else ""
    when = " when it was found; it was kept, and nothing is read now" if is_cached else ""
    print_note(f"{how}{where}; {diff.files_read:,} data files read, {diff.bytes_read:,} bytes{when}.")
    if diff.not_compared:
        print_note(f"Not compared, because one version has them no more: {', '.join(diff.not_compared)}.")


def _row(row: Mapping[str, JsonValue]) -> str:
    return "  ".join(f"{name}={_cell(value)}" for name, value in row.items())


def _cell(value: JsonValue) -> str:
    import orjson

    return orjson.dumps(value).decode()
