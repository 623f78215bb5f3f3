"""`diff commits`, `diff files` and `diff stats`: what metadata and manifests tell of two versions, without data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.differences import ExitCode, From, Line, Mark, Other, To, end_with, print_lines, read_target
from app.cli.output import print_json, print_note, utc_text
from app.cli.registry_arguments import Limit, check_limit, read_choice
from app.cli.session import with_services

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.domain.column_stats import ColumnStatsDelta
    from app.domain.file_diffs import FileDiff, PartitionDelta
    from app.errors import JsonValue
    from app.services.commit_entries import CommitEntry, CommitsEntry

Side = Annotated[
    str | None,
    typer.Option("--side", metavar="SIDE", help="`to`: only what leads to TO; `from`: only what leads to FROM."),
]
Partitions = Annotated[
    int, typer.Option("--partitions", metavar="N", help="Show so many partitions, 1 to 1000.", show_default=True)
]
Columns = Annotated[
    list[str] | None, typer.Option("--column", metavar="PATH", help="Only this column; may be given more than once.")
]


def diff_commits(
    dataset: options.Dataset,
    from_version: From,
    to_version: To = None,
    other: Other = None,
    side: Side = None,
    limit: Limit = 100,
    exit_code: ExitCode = False,
    json: options.Json = False,
) -> None:
    """Show why two versions of a dataset differ: the snapshots between them, each with the run that made it."""
    from app.domain.names import DatasetName
    from app.domain.version_relation import DiffSide
    from app.services.commit_entries import commits_entry

    name = DatasetName.parse(dataset)
    other_name, to = read_target(to_version, other)
    wanted = None if side is None else read_choice("--side", side, DiffSide)
    most = check_limit(limit)

    async def look(services: Services) -> CommitsEntry:
        compared = await services.comparing.versions(name, from_version, to, to_dataset=other_name)
        kinship = services.comparing.relate(compared)
        between = kinship.commits(wanted)
        commits = await services.comparing_commits.explain(compared, between[:most])
        return commits_entry(from_version, to, kinship, compared.after.table.state, commits, len(between))

    found = with_services(look)
    if json:
        print_json(found)
    else:
        print_lines(map(_commit_line, found["commits"]))
        _note_commits(found)
    end_with(is_different=found["total"] > 0, exit_code=exit_code)


def diff_files(
    dataset: options.Dataset,
    from_version: From,
    to_version: To = None,
    other: Other = None,
    partitions: Partitions = 20,
    exit_code: ExitCode = False,
    json: options.Json = False,
) -> None:
    """Show the files that two versions of a dataset differ in, by partition; no data is read."""
    from app.domain.names import DatasetName
    from app.services.argument_names import arguments_named, option_name
    from app.services.manifest_diff_entries import file_diff_entry

    name = DatasetName.parse(dataset)
    other_name, to = read_target(to_version, other)

    async def look(services: Services) -> FileDiff:
        compared = await services.comparing.versions(name, from_version, to, to_dataset=other_name)
        return await services.row_diffs.files(compared)

    diff = with_services(look)
    with arguments_named(option_name, {"first": "--partitions"}):
        shown = diff.first_partitions(partitions)
    if json:
        print_json(file_diff_entry(from_version, to, diff, shown))
    else:
        print_lines(_file_lines(diff, shown))
        _note_files(diff, len(shown))
    end_with(is_different=not diff.is_empty, exit_code=exit_code)


def diff_stats(
    dataset: options.Dataset,
    from_version: From,
    to_version: To = None,
    other: Other = None,
    columns: Columns = None,
    exit_code: ExitCode = False,
    json: options.Json = False,
) -> None:
    """Show which columns' counts and bounds differ between two versions of a dataset; no data is read."""
    from app.domain.names import DatasetName
    from app.services.manifest_diff_entries import stats_diff_entry

    name = DatasetName.parse(dataset)
    other_name, to = read_target(to_version, other)

    async def look(services: Services) -> list[ColumnStatsDelta]:
        compared = await services.comparing.versions(name, from_version, to, to_dataset=other_name)
        return await services.row_diffs.stats(compared, columns or None)

    deltas = with_services(look)
    if json:
        print_json(stats_diff_entry(from_version, to, deltas))
    else:
        print_lines(_stats_lines(deltas))
        print_note("Told by manifests alone: rows that delete files take away are still counted, and text bounds cut.")
    end_with(is_different=any(delta.is_changed for delta in deltas), exit_code=exit_code)


def _commit_line(commit: CommitEntry) -> Line:
    summary = commit["summary"]
    counts = ", ".join(
        f"{sign}{summary[key]} rows"
        for sign, key in (("+", "added-records"), ("-", "deleted-records"))
        if summary.get(key, "0") != "0"
    )
    told = [commit["snapshot_id"], utc_text(commit["timestamp_ms"]), commit["operation"]]
    told += [counts] if counts else []
    run = commit["produced_by"]
    if run is None:
        told.append("by no run that was reported")
    else:
        version = run["version"]
        told.append(f"by {run['pipeline_id']}" + ("" if version is None else f" v{version['number']}"))
        git_commit = run["git_commit"] or (version and version["git_commit"])
        told += [f"commit {git_commit}"] if git_commit else []
        told += [f"recorded by {run['recorded_by']}"] if run["recorded_by"] else []
        told.append(f"run {run['run_id']}")
    return Line(mark=Mark.ADDED if commit["side"] == "to" else Mark.REMOVED, text="  ".join(told))


def _note_commits(found: CommitsEntry) -> None:
    if found["total"] == 0:
        print_note(
            "The versions are of two datasets, which have no snapshots in common."
            if found["relation"] == "UNRELATED"
            else "There is no snapshot between them."
        )
    if len(found["commits"]) < found["total"]:
        print_note(f"{len(found['commits'])} of {found['total']} are shown; --limit shows more.")
    if not found["complete"]:
        print_note("Older snapshots have expired, so that this may not be all.")


def _file_lines(diff: FileDiff, shown: tuple[PartitionDelta, ...]) -> Iterator[Line]:
    yield Line(mark=Mark.ADDED, text=f"{_counted(diff.files_added, 'data file')}, {diff.bytes_added:,} bytes")
    yield Line(mark=Mark.REMOVED, text=f"{_counted(diff.files_removed, 'data file')}, {diff.bytes_removed:,} bytes")
    for mark, count in ((Mark.ADDED, diff.delete_files_added), (Mark.REMOVED, diff.delete_files_removed)):
        if count:
            yield Line(mark=mark, text=_counted(count, "delete file"))
    for delta in shown:
        if not delta.partition:
            continue
        where = ", ".join(f"{name}={'null' if value is None else value}" for name, value in delta.partition.items())
        yield Line(
            mark=Mark.CHANGED,
            text=f"{where}: {_counted(delta.files_added, 'file')} with {_counted(delta.records_added, 'row')} added, "
            f"{_counted(delta.files_removed, 'file')} with {_counted(delta.records_removed, 'row')} removed",
        )


def _note_files(diff: FileDiff, shown: int) -> None:
    if diff.is_empty:
        print_note("The files are the same.")
    if diff.is_rewritten_only:
        print_note("The files are known to hold the same rows, as a compaction leaves them.")
    if shown < diff.partition_count:
        print_note(f"{shown:,} of {diff.partition_count:,} partitions are shown; --partitions shows more.")


def _stats_lines(deltas: list[ColumnStatsDelta]) -> Iterator[Line]:
    changed = [delta for delta in deltas if delta.is_changed]
    for delta in changed:
        if delta.before is None or delta.after is None:
            mark = Mark.ADDED if delta.before is None else Mark.REMOVED
            yield Line(mark=mark, text=delta.path)
            continue
        pairs = (
            ("values", delta.before.value_count, delta.after.value_count),
            ("nulls", delta.before.null_count, delta.after.null_count),
            ("least", delta.before.lower, delta.after.lower),
            ("greatest", delta.before.upper, delta.after.upper),
        )
        told = ", ".join(f"{what} {_value(old)} → {_value(new)}" for what, old, new in pairs if old != new)
        yield Line(mark=Mark.CHANGED, text=f"{delta.path}: {told}")
    if not changed:
        yield Line(text="The statistics are the same.")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _value(value: JsonValue) -> str:
    import orjson

    return "unknown" if value is None else orjson.dumps(value).decode()
