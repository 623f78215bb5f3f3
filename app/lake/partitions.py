"""Partitions as manifests have them, and the columns that they are of."""

from __future__ import annotations

import math

from pyiceberg.table.metadata import TableMetadata
from pyiceberg.typedef import Record
from pyiceberg.types import IcebergType


def unify_nan(partition: Record) -> Record:
    """The same record, now equal to others of its values also where one is NaN, as it is to Iceberg's own library.

    Each NaN in it becomes the same object, which lists take for equal to itself.
    """
    for place in range(len(partition)):
        value = partition[place]
        if isinstance(value, float) and math.isnan(value):
            partition[place] = math.nan
    return partition


def column_types(metadata: TableMetadata) -> dict[int, IcebergType]:
    """The type of each column that the table's schemas have, by its field id, in the latest schema that has it."""
    schemas = sorted(metadata.schemas, key=lambda schema: schema.schema_id)
    schemas.append(metadata.schema())
    return {field_id: schema.find_type(field_id) for schema in schemas for field_id in schema.field_ids}
