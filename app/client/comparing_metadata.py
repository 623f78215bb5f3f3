"""What metadata and manifests tell of two versions of a table, for asynchronous callers, in the shapes of the REST API.

>>> from app.client import compare_dataset_commits
>>> why = await compare_dataset_commits("gold", "customers", "main~1", "latest")  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Sequence

from app.bootstrap import Services
from app.client.arguments import dataset, names, optional_reference, reference, text, whole_number
from app.client.catalog import IcebergCatalog
from app.client.helpers import ask
from app.domain.file_diffs import DEFAULT_LISTED
from app.domain.names import DatasetName
from app.domain.version_relation import DiffSide
from app.errors import InvalidArgumentError
from app.services.argument_names import arguments_named, snake_case
from app.services.commit_entries import CommitsEntry, commits_entry
from app.services.manifest_diff_entries import FileDiffEntry, StatsDiffEntry, file_diff_entry, stats_diff_entry


async def compare_dataset_commits(
    namespace: str,
    table_name: str,
    from_version: str | int,
    to_version: str | int | None = None,
    *,
    side: str | None = None,
    to_dataset: str | None = None,
    catalog: IcebergCatalog | None = None,
) -> CommitsEntry:
    """Why two versions of a table differ: all snapshots between them, newest first, each with the run that made it.

    `side` is `to` for what leads to `to_version` alone, `from` for what leads to `from_version`, such as what a
    rollback left behind. Dicts as `GET /api/v1/compare/datasets/{ns}/{table}/commits` answers them, in one page;
    versions, `to_dataset` and `catalog` as for `compare_dataset_schema`. Versions of two tables have none between them.

    Raises:
        As `compare_dataset_schema`.
    """
    name = dataset(namespace, table_name)
    before, after = reference("from_version", from_version), optional_reference("to_version", to_version)
    other, wanted = _other(to_dataset), _side(side)

    async def run(services: Services) -> CommitsEntry:
        compared = await services.comparing.versions(name, before, after, to_dataset=other)
        kinship = services.comparing.relate(compared)
        between = kinship.commits(wanted)
        commits = await services.comparing_commits.explain(compared, between)
        return commits_entry(before, after, kinship, compared.after.table.state, commits, len(between))

    return await ask(run, catalog)


async def compare_dataset_files(
    namespace: str,
    table_name: str,
    from_version: str | int,
    to_version: str | int | None = None,
    *,
    partitions: int = DEFAULT_LISTED,
    to_dataset: str | None = None,
    catalog: IcebergCatalog | None = None,
) -> FileDiffEntry:
    """The files that two versions of a table differ in, from manifests alone.

    With the `partitions` in which most files came or went, at most so many, 1 to 1,000. Dicts as
    `GET /api/v1/compare/datasets/{ns}/{table}/files` answers them; versions, `to_dataset` and `catalog` as for
    `compare_dataset_schema`.

    Raises:
        UnsupportedTableError: versions of two tables, or rows that are deleted by value.
        MissingFileError, UnreadableTableError: a manifest is missing or broken.
        As `compare_dataset_schema`.
    """
    name = dataset(namespace, table_name)
    before, after = reference("from_version", from_version), optional_reference("to_version", to_version)
    other, first = _other(to_dataset), whole_number("partitions", partitions)

    async def run(services: Services) -> FileDiffEntry:
        diff = await services.row_diffs.files(await services.comparing.versions(name, before, after, to_dataset=other))
        with arguments_named(snake_case, {"first": "partitions"}):
            return file_diff_entry(before, after, diff, diff.first_partitions(first))

    return await ask(run, catalog)


async def compare_dataset_stats(
    namespace: str,
    table_name: str,
    from_version: str | int,
    to_version: str | int | None = None,
    *,
    columns: Sequence[str] | None = None,
    to_dataset: str | None = None,
    catalog: IcebergCatalog | None = None,
) -> StatsDiffEntry:
    """The counts and bounds of columns in two versions, from manifests alone; of all columns, or of those named.

    Dicts as `GET /api/v1/compare/datasets/{ns}/{table}/stats` answers them; versions, `to_dataset` and `catalog` as
    for `compare_dataset_schema`.

    Raises:
        UnknownColumnError: a name that neither version has.
        MissingFileError, UnreadableTableError: a manifest is missing or broken.
        As `compare_dataset_schema`.
    """
    name = dataset(namespace, table_name)
    before, after = reference("from_version", from_version), optional_reference("to_version", to_version)
    other, wanted = _other(to_dataset), None if columns is None else names("columns", columns)

    async def run(services: Services) -> StatsDiffEntry:
        compared = await services.comparing.versions(name, before, after, to_dataset=other)
        return stats_diff_entry(before, after, await services.row_diffs.stats(compared, wanted))

    return await ask(run, catalog)


def _other(to_dataset: str | None) -> DatasetName | None:
    return None if to_dataset is None else DatasetName.parse(text("to_dataset", to_dataset))


def _side(side: str | None) -> DiffSide | None:
    if side is None:
        return None
    known = {each.value.lower(): each for each in DiffSide}
    if text("side", side) not in known:
        raise InvalidArgumentError("side", f"{side[:40]!r} is none of {', '.join(known)}")
    return known[side]
