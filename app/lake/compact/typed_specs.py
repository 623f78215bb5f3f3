"""Partition specs whose fields have types, also where their columns are in the table no more.

pyiceberg takes the types of partition values from the current schema. A column that a former spec was of may have been
dropped, and manifests of its files would be written without a type then, and so without the values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pydantic import PrivateAttr
from pyiceberg.avro.file import AvroFile
from pyiceberg.exceptions import ResolveError
from pyiceberg.io import FileIO
from pyiceberg.manifest import ManifestFile
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema, promote
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.typedef import Record
from pyiceberg.types import IcebergType, NestedField, StringType, StructType, UnknownType

from app.lake.deleted_positions import naming_file
from app.lake.partitions import column_types

# `partition` in manifests (Iceberg spec, "Data File Fields").
_PARTITION_FIELD_ID = 102
# Where no manifest has a type there is no value either, and any type does.
_ANY_TYPE = StringType()


def typed_spec(
    metadata: TableMetadata, spec_id: int, known_types: Callable[[], Iterable[Mapping[int, IcebergType]]]
) -> PartitionSpec:
    """A spec of the table to write manifests of.

    The type of a field is that of its column in the latest schema that had it. Where the table's metadata has none such
    any more it is what `known_types` tell, the types by field id in manifests of the spec, which are asked for only
    then; of several the one that has room for the values of all.

    Raises:
        ResolveError: they are types that do not go together.
    """
    spec = metadata.specs()[spec_id]
    current = metadata.schema()
    dropped = [field for field in spec.fields if field.source_id not in current.field_ids]
    if not dropped:
        return spec
    sources = column_types(metadata)
    types = {
        field.field_id: field.transform.result_type(sources[field.source_id])
        for field in dropped
        if field.source_id in sources
    }
    missing = [field.field_id for field in dropped if field.field_id not in types]
    if missing:
        types |= dict.fromkeys(missing, _ANY_TYPE) | _widest(missing, known_types())
    return _TypedSpec(spec, types)


def partition_types(io: FileIO, manifest: ManifestFile) -> dict[int, IcebergType]:
    """The types of the partition fields of a manifest by their ids, as it was written. Costs reading it.

    Raises:
        OSError: it is missing or broken; its name is in the message.
    """
    path = manifest.manifest_path
    with naming_file(path), AvroFile[Record](io.new_input(path)) as file:
        kind = file.schema.find_type(_PARTITION_FIELD_ID)
    return {field.field_id: field.field_type for field in kind.fields} if isinstance(kind, StructType) else {}


def _widest(field_ids: Iterable[int], all_known: Iterable[Mapping[int, IcebergType]]) -> dict[int, IcebergType]:
    found: dict[int, IcebergType] = {}
    wanted = set(field_ids)
    for known in all_known:
        for field_id in wanted & known.keys():
            kind = known[field_id]
            if not isinstance(kind, UnknownType):
                found[field_id] = _wider(found.get(field_id, kind), kind)
    return found


def _wider(one: IcebergType, other: IcebergType) -> IcebergType:
    if one == other:
        return one
    try:
        return promote(one, other)
    except ResolveError:
        return promote(other, one)


class _TypedSpec(PartitionSpec):
    """A spec that knows the types of these of its fields, whatever schema is asked about."""

    _types: Mapping[int, IcebergType] = PrivateAttr()

    def __init__(self, spec: PartitionSpec, types: Mapping[int, IcebergType]) -> None:
        super().__init__(*spec.fields, spec_id=spec.spec_id)
        self._types = types

    def partition_type(self, schema: Schema) -> StructType:
        """The fields with their types."""
        found = super().partition_type(schema).fields
        return StructType(
            *(
                NestedField(field.field_id, field.name, self._types[field.field_id], required=False)
                if field.field_id in self._types
                else field
                for field in found
            )
        )
