"""Commands that look: datasets, snapshots, show."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import options
from app.cli.output import Column, print_json, print_note, print_table, utc_text
from app.cli.session import with_services
from app.errors import AppError, InvalidArgumentError, JsonValue

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.domain.names import DatasetName

PARALLEL_LOADS = 8
MAX_SHOWN_ROWS = 10_000


def datasets(
    namespace: Annotated[str | None, typer.Option("--namespace", help="Only those of this namespace.")] = None,
    json: options.Json = False,
) -> None:
    """List the datasets with their current version."""
    found = with_services(lambda services: _load_datasets(services, namespace))
    if json:
        print_json({"datasets": found})
        return
    columns = [
        Column(header="DATASET", is_id=True),
        Column(header="LAYER"),
        Column(header="SNAPSHOTS", justify="right"),
        Column(header="CURRENT", is_id=True),
        Column(header="COMMITTED (UTC)", is_id=True),
        Column(header="TAGS"),
    ]
    print_table(columns, [_dataset_row(entry) for entry in found])


def snapshots(dataset: options.Dataset, json: options.Json = False) -> None:
    """List the snapshots of a dataset, oldest first.

    A star marks the current one.
    """
    from app.domain.names import DatasetName
    from app.services.listings import oldest_first, snapshot_entries

    name = DatasetName.parse(dataset)

    async def load(services: Services) -> list[Any]:
        state = (await services.datasets.load(name)).state
        return list(snapshot_entries(state, oldest_first(state)))

    entries = with_services(load)
    if json:
        print_json({"dataset": str(name), "snapshots": [_with_text_ids(entry) for entry in entries]})
        return
    columns = [
        Column(header=""),
        Column(header="SNAPSHOT", is_id=True),
        Column(header="PARENT", is_id=True),
        Column(header="COMMITTED (UTC)", is_id=True),
        Column(header="OPERATION", is_id=True),
        Column(header="ROWS", is_id=True, justify="right"),
        Column(header="TAGS"),
    ]
    rows = [
        (
            "*" if entry["is_current"] else "",
            str(entry["snapshot_id"]),
            "" if entry["parent_snapshot_id"] is None else str(entry["parent_snapshot_id"]),
            utc_text(entry["timestamp_ms"]),
            entry["operation"],
            entry["summary"].get("total-records", ""),
            " ".join(entry["tags"]),
        )
        for entry in entries
    ]
    print_table(columns, rows)


def show(
    dataset: options.Dataset,
    at: Annotated[str | None, typer.Option("--at", metavar="REF", help="The version; the latest unless given.")] = None,
    columns: Annotated[str | None, typer.Option("--columns", metavar="A,B", help="Only these columns.")] = None,
    row_filter: Annotated[
        str | None, typer.Option("--filter", metavar="EXPR", help="Only rows that match, such as \"status = 'O'\".")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="At most this many rows.")] = 20,
    json: options.Json = False,
) -> None:
    """Show rows of a dataset as they were at a version."""
    from app.domain.names import DatasetName
    from app.lake.json_rows import to_json_rows
    from app.lake.reading import RowRequest

    name = DatasetName.parse(dataset)
    if not 1 <= limit <= MAX_SHOWN_ROWS:
        raise InvalidArgumentError("--limit", f"{limit} is not between 1 and {MAX_SHOWN_ROWS}")
    request = RowRequest(columns=_split_columns(columns), row_filter=row_filter, limit=limit)

    async def read(services: Services) -> dict[str, Any]:
        table = await services.datasets.load(name)
        resolved = await services.datasets.resolve_with_record(table, at)
        stream = await services.datasets.stream_rows(table, at, request)
        try:
            rows = [row async for batch in stream for row in to_json_rows(batch)]
        finally:
            await stream.aclose()
        return {
            "dataset": str(name),
            "snapshot_id": str(resolved.snapshot_id),
            "columns": list(stream.schema.names),
            "rows": rows,
            "truncated": stream.truncated,
        }

    page = with_services(read)
    if json:
        print_json(page)
        return
    print_table(
        [Column(header=header) for header in page["columns"]],
        [[_cell(row[column]) for column in page["columns"]] for row in page["rows"]],
    )
    if page["truncated"]:
        print_note(f"There are more than {limit} rows; --limit shows more, the REST API all of them.")


def _split_columns(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    try:
        (names,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError) as error:
        raise InvalidArgumentError("--columns", "names are separated by commas") from error
    return tuple(name.strip() for name in names)


async def _load_datasets(services: Services, namespace: str | None) -> list[dict[str, Any]]:
    import anyio

    names = await services.datasets.list_names(namespace=namespace)
    found: dict[DatasetName, dict[str, Any]] = {}
    limiter = anyio.CapacityLimiter(PARALLEL_LOADS)

    async def load(name: DatasetName) -> None:
        async with limiter:
            found[name] = await _load_dataset(services, name)

    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(load, name)
    return [found[name] for name in names]


async def _load_dataset(services: Services, name: DatasetName) -> dict[str, Any]:
    entry: dict[str, Any] = {"namespace": name.namespace, "name": name.name}
    try:
        table = await services.datasets.load(name)
    except AppError as error:
        # One broken table does not hide the others.
        return {**entry, "error": {"code": error.code, "message": error.message}}
    history = table.state.history
    layer = services.datasets.layer(name, table)
    return {
        **entry,
        "layer": layer.value if layer else None,
        "is_production": services.datasets.is_production(name, table),
        "format_version": table.state.format_version,
        "snapshot_count": len(history.snapshots),
        "snapshot_id": None if history.head_id is None else str(history.head_id),
        "timestamp_ms": history.head.timestamp_ms if history.head else None,
        "tags": [tag.name for tag in history.tags],
        "branches": [branch.name for branch in history.branches],
    }


def _dataset_row(entry: dict[str, Any]) -> list[str]:
    label = f"{entry['namespace']}.{entry['name']}"
    if "error" in entry:
        return [label, "", "", "", "", entry["error"]["message"]]
    return [
        label,
        entry["layer"] or "",
        str(entry["snapshot_count"]),
        entry["snapshot_id"] or "(empty)",
        "" if entry["timestamp_ms"] is None else utc_text(entry["timestamp_ms"]),
        " ".join(entry["tags"]),
    ]


def _with_text_ids(entry: dict[str, Any]) -> dict[str, Any]:
    parent = entry["parent_snapshot_id"]
    return {
        **entry,
        "snapshot_id": str(entry["snapshot_id"]),
        "parent_snapshot_id": None if parent is None else str(parent),
    }


def _cell(value: JsonValue) -> str:
    if value is None:
        return ""
    if isinstance(value, (dict, list, bool)):
        import orjson

        return orjson.dumps(value).decode()
    return str(value)
