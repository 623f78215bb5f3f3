"""Column statistics of a snapshot, summed up from its manifests without reading data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from pyiceberg.conversions import from_bytes
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile, DataFileContent, ManifestContent
from pyiceberg.schema import Schema
from pyiceberg.types import PrimitiveType

from app.domain.column_stats import ColumnStats
from app.domain.versions import ResolvedVersion
from app.errors import JsonValue
from app.lake.catalog import reading_files
from app.lake.filters import project
from app.lake.json_rows import to_json_values
from app.lake.manifest_files import list_manifests
from app.lake.table import LakeTable, to_schema_version


def column_stats(table: LakeTable, snapshot_id: int, names: Sequence[str] | None) -> list[ColumnStats]:
    """Statistics of the named columns (None: all leaves) of a snapshot, in the order of its schema.

    Costs reading the snapshot's data manifests.

    Raises:
        UnknownColumnError: a name that the snapshot's schema lacks.
        MissingFileError, UnreadableTableError: a manifest is missing or broken.
    """
    state = table.state
    version = ResolvedVersion(snapshot_id=snapshot_id, uses_current_schema=False)
    schema_id = state.schema_of(version).schema_id
    schema = next(schema for schema in table.metadata.schemas if schema.schema_id == schema_id)
    wanted = project(names, schema, str(state.name))
    snapshot = table.metadata.snapshot_by_id(snapshot_id)
    if snapshot is None:
        raise LookupError(f"snapshot {snapshot_id} is not in the metadata it was resolved in")
    with reading_files(state.name):
        files = [
            entry.data_file
            for manifest in list_manifests(table.io, snapshot)
            # In lists of the first version of the format it is a plain number.
            if manifest.content == ManifestContent.DATA
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
            if entry.data_file.content == DataFileContent.DATA
        ]
        return [
            _summed(files, wanted, field.field_id, field_type)
            for field in to_schema_version(wanted).walk()
            if isinstance(field_type := wanted.find_type(field.field_id), PrimitiveType)
        ]


def _summed(files: list[DataFile], schema: Schema, field_id: int, field_type: PrimitiveType) -> ColumnStats:
    lowers = _bounds(files, field_id, field_type, is_lower=True)
    uppers = _bounds(files, field_id, field_type, is_lower=False)
    return ColumnStats(
        field_id=field_id,
        path=schema.find_column_name(field_id) or str(field_id),
        null_count=_total([_get(file.null_value_counts, field_id) for file in files]),
        value_count=_total([_get(file.value_counts, field_id) for file in files]),
        size_bytes=_total([_get(file.column_sizes, field_id) for file in files]),
        lower=to_json(min(lowers), field_type) if lowers else None,
        upper=to_json(max(uppers), field_type) if uppers else None,
    )


def _get(counts: dict[int, int] | None, field_id: int) -> int | None:
    return counts.get(field_id) if counts else None


def _total(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _bounds(files: list[DataFile], field_id: int, field_type: PrimitiveType, *, is_lower: bool) -> list[Any]:
    """The bound of each file with values, as Python values; empty where one of them does not say."""
    found = []
    for file in files:
        bounds = file.lower_bounds if is_lower else file.upper_bounds
        raw = bounds.get(field_id) if bounds else None
        if raw is not None:
            bound: Any = from_bytes(field_type, raw)
            if isinstance(bound, float) and math.isnan(bound):
                return []  # some writers let a NaN into the bounds, which then bound nothing (spec, "Data File Fields")
            found.append(bound)
            continue
        values, nulls = _get(file.value_counts, field_id), _get(file.null_value_counts, field_id)
        if values is None or values != nulls:  # a file of nulls alone has no bounds, and needs none
            return []
    return found


def to_json(value: Any, field_type: PrimitiveType) -> JsonValue:
    """A bound as JSON, as a row's value would be (`app.lake.json_rows`); `value` as `from_bytes` has it."""
    kind = schema_to_pyarrow(field_type)
    if pa.types.is_temporal(kind):
        # Through the number that it is stored as: Python's dates end with the year 9999.
        array = pa.array([value], pa.int32() if pa.types.is_date32(kind) else pa.int64()).cast(kind)
    elif isinstance(kind, pa.UuidType):
        array = pa.array([value], pa.binary(16)).cast(kind)
    else:
        array = pa.array([value], kind)
    return to_json_values(array)[0]
