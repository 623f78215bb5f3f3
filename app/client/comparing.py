"""Comparing two versions, for asynchronous callers; the answers have the shapes of the REST API.

>>> from app.client import compare_dataset_schema
>>> diff = await compare_dataset_schema("gold", "customers", "main~1", "latest")  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Sequence

from app.bootstrap import Services
from app.client.arguments import dataset, names, optional_reference, reference, text, whole_number
from app.client.catalog import IcebergCatalog
from app.client.helpers import ask
from app.domain.names import DatasetName
from app.domain.row_diffs import DEFAULT_SAMPLE, RowDiffRequest
from app.services.argument_names import arguments_named, snake_case
from app.services.row_diff_entries import RowDiffEntry, row_diff_entry
from app.services.row_diffs import table_versions
from app.services.schema_diff_entries import SchemaDiffEntry, schema_diff_entry


async def compare_dataset_schema(
    namespace: str,
    table_name: str,
    from_version: str | int,
    to_version: str | int | None = None,
    *,
    to_dataset: str | None = None,
    catalog: IcebergCatalog | None = None,
) -> SchemaDiffEntry:
    """How the schemas of two versions of a table differ, whom it breaks, and why.

    A version is a reference or a snapshot id; `to_version` is the latest unless given, and with `to_dataset`
    (`namespace.table`) one of that. Dicts as `GET /api/v1/compare/datasets/{ns}/{table}/schema` answers them.
    `catalog` is one that is open already; without it the environment decides.

    Raises:
        VersionNotFoundError, TagNotFoundError, SnapshotExpiredError, InvalidReferenceError, NoSnapshotError: a version.
        DatasetNotFoundError, InvalidNameError, UnreadableTableError, BackendUnavailableError
        InvalidArgumentError: an argument of the wrong type.
    """
    name = dataset(namespace, table_name)
    before, after = reference("from_version", from_version), optional_reference("to_version", to_version)
    other = None if to_dataset is None else DatasetName.parse(text("to_dataset", to_dataset))

    async def run(services: Services) -> SchemaDiffEntry:
        compared = await services.comparing.versions(name, before, after, to_dataset=other)
        return schema_diff_entry(before, after, services.comparing.schema(compared))

    return await ask(run, catalog)


async def compare_dataset_data(
    namespace: str,
    table_name: str,
    from_version: str | int,
    to_version: str | int | None = None,
    sample_size: int = DEFAULT_SAMPLE,
    key: str | Sequence[str] | None = None,
    *,
    to_dataset: str | None = None,
    any_size: bool = False,
    catalog: IcebergCatalog | None = None,
) -> RowDiffEntry:
    """The rows that two versions of a table differ in; only files that differ are read.

    `key` names the columns that identify rows, the table's identifier fields unless given; an empty list compares
    multisets. What would read more than the settings allow is refused, unless `any_size`. Dicts as
    `GET /api/v1/compare/datasets/{ns}/{table}/data` answers them; versions, `to_dataset` and `catalog` as for
    `compare_dataset_schema`.

    Raises:
        DiffTooLargeError: it would read more than `diff_sync_budget_bytes`.
        UnknownColumnError: a key that one of the versions has not.
        UnsupportedTableError: the versions cannot be compared, or not be read.
        MissingFileError, UnreadableTableError: a file is missing or broken.
        As `compare_dataset_schema`.
    """
    name = dataset(namespace, table_name)
    before, after = reference("from_version", from_version), optional_reference("to_version", to_version)
    other = None if to_dataset is None else DatasetName.parse(text("to_dataset", to_dataset))
    keys = None if key is None else names("key", [key] if isinstance(key, str) else key)
    with arguments_named(snake_case, {"keys": "key"}):
        asked = RowDiffRequest(keys=keys, sample_size=whole_number("sample_size", sample_size))

    async def run(services: Services) -> RowDiffEntry:
        compared = await services.comparing.versions(name, before, after, to_dataset=other)
        if any_size:
            answer = await services.row_diffs.compare_at_any_cost(*table_versions(compared), asked, lambda _: None)
        else:
            answer = await services.row_diffs.compare(compared, asked)
        return row_diff_entry(before, after, answer)

    return await ask(run, catalog)
