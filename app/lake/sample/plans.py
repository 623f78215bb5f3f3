"""What a table of the sample is made of: its first schema and the steps of its history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER, SortOrder
from pyiceberg.types import NestedField, PrimitiveType

from app.lake.sample.steps import Step, load
from app.lake.sample.tpch import TpchFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleTable:
    """A table as it is created, and its steps for a number of parts."""

    namespace: str
    name: str
    comment: str
    schema: Schema
    steps: Callable[[int], list[Step]]
    spec: PartitionSpec = UNPARTITIONED_PARTITION_SPEC
    sort_order: SortOrder = UNSORTED_SORT_ORDER

    @property
    def dataset(self) -> str:
        """`namespace.table`."""
        return f"{self.namespace}.{self.name}"


def schema_of(*fields: tuple[str, PrimitiveType], required: tuple[str, ...] = (), key: tuple[str, ...] = ()) -> Schema:
    """A flat schema whose field ids count from 1; columns of the key are required identifier fields."""
    made = [
        NestedField(number, name, kind, required=name in required or name in key)
        for number, (name, kind) in enumerate(fields, 1)
    ]
    return Schema(*made, identifier_field_ids=[field.field_id for field in made if field.name in key])


def loads(read: Callable[[TpchFiles, int], pa.Table], *quarters: int) -> Callable[[int], list[Step]]:
    """Steps that append these quarters of the data, for any number of parts."""
    return lambda parts: [step for quarter in quarters for step in load(quarter, parts, read)]
