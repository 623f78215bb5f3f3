"""Guards for deploys, for asynchronous callers: whether a later version may take the place of an earlier one.

What cannot be told raises; it is no pass.

>>> from app.client import check_dataset_rows
>>> check = await check_dataset_rows("gold", "customers", "production", max_removed=0.01)  # doctest: +SKIP
>>> check["passed"]  # doctest: +SKIP
True
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.bootstrap import Services
from app.client.arguments import dataset, names, optional_reference, reference, text, whole_number
from app.client.catalog import IcebergCatalog
from app.client.helpers import ask
from app.client.registry_arguments import flag, fraction, number_reference, optional_number_reference, thresholds_of
from app.domain.checks.rows import RowRules
from app.domain.checks.schemas import SchemaRules
from app.domain.names import DatasetName
from app.services.argument_names import arguments_named, snake_case
from app.services.check_entries import CheckEntry, check_entry


async def check_dataset_schema(
    namespace: str,
    table_name: str,
    from_version: str | int,
    to_version: str | int | None = None,
    *,
    allow: str | Sequence[str] = (),
    breaking: bool = False,
    to_dataset: str | None = None,
    catalog: IcebergCatalog | None = None,
) -> CheckEntry:
    """Whether what was read at one version of a table can be read at another.

    It does not pass where a column or a field nested in one is removed, renamed, dropped and added again, or of another
    type that Iceberg does not promote the old one to. `allow` lets changes of columns through, with what is nested in
    them; with `breaking`, whatever breaks readers or writers does not pass. Versions, `to_dataset` and `catalog` as for
    `compare_dataset_schema`; dicts as `stratigraph check schema --json` prints them.

    Raises:
        UnknownColumnError: a column in `allow` that neither version has.
        As `compare_dataset_schema`.
    """
    name = dataset(namespace, table_name)
    before, after = reference("from_version", from_version), optional_reference("to_version", to_version)
    other = _other(to_dataset)
    rules = SchemaRules(allowed=_names("allow", allow), fails_on_breaking=flag("breaking", breaking))

    async def run(services: Services) -> CheckEntry:
        return check_entry(await services.checking.schema(name, before, after, rules, to_dataset=other))

    return await ask(run, catalog)


async def check_dataset_rows(
    namespace: str,
    table_name: str,
    from_version: str | int,
    to_version: str | int | None = None,
    *,
    max_removed: float = 0.1,
    min_rows: int = 0,
    key: str | Sequence[str] | None = None,
    any_size: bool = False,
    to_dataset: str | None = None,
    catalog: IcebergCatalog | None = None,
) -> CheckEntry:
    """Whether not too many rows went from one version of a table to another.

    `max_removed` is the share of the earlier version's rows that may go, a fraction from 0 to 1, so much included;
    `min_rows` how many rows the later one has to have. With a key a row has gone when its key has; without one a
    changed row counts as gone too. Rows that came do not make up for those that went. `key`, `any_size` and all else as
    for `compare_dataset_data`; dicts as `stratigraph check rows --json` prints them.

    Raises:
        InvalidArgumentError: a share or a number of rows that is none.
        As `compare_dataset_data`.
    """
    name = dataset(namespace, table_name)
    before, after = reference("from_version", from_version), optional_reference("to_version", to_version)
    other = _other(to_dataset)
    keys, is_any_size = None if key is None else _names("key", key), flag("any_size", any_size)
    with arguments_named(snake_case):
        share = fraction("max_removed", max_removed)
        rules = RowRules(max_removed=share, min_rows=whole_number("min_rows", min_rows))

    async def run(services: Services) -> CheckEntry:
        with arguments_named(snake_case, {"keys": "key"}):
            result = await services.checking.rows(
                name, before, after, rules, keys=keys, any_size=is_any_size, to_dataset=other
            )
        return check_entry(result)

    return await ask(run, catalog)


async def check_model(
    name: str,
    from_version: str | int,
    to_version: str | int | None = None,
    *,
    regression_threshold: float = 0.05,
    metric_thresholds: Mapping[str, float] | None = None,
    allow_missing: bool = False,
    catalog: IcebergCatalog | None = None,
) -> CheckEntry:
    """Whether no metric of a model got worse by more than its threshold from one version to another.

    It does not pass either where a metric is gone or is no number any more, or none is in both, unless `allow_missing`.
    All else as for `compare_model_performance`; dicts as `stratigraph check model --json` prints them.

    Raises:
        As `compare_model_performance`.
    """
    model = text("name", name)
    before, after = number_reference("from_version", from_version), optional_number_reference("to_version", to_version)
    with arguments_named(snake_case):
        thresholds = thresholds_of(regression_threshold, metric_thresholds)
    lenient = flag("allow_missing", allow_missing)

    async def run(services: Services) -> CheckEntry:
        return check_entry(await services.checking.model(model, before, after, thresholds, allow_missing=lenient))

    return await ask(run, catalog)


def _other(to_dataset: object) -> DatasetName | None:
    return None if to_dataset is None else DatasetName.parse(text("to_dataset", to_dataset))


def _names(argument: str, value: str | Sequence[str]) -> tuple[str, ...]:
    return names(argument, [value] if isinstance(value, str) else value)
