"""A loaded table: the domain's value of it, and pyiceberg's handle to act on it."""

from __future__ import annotations

from dataclasses import dataclass

from pyiceberg.exceptions import ValidationError
from pyiceberg.io import FileIO
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot as IcebergSnapshot
from pyiceberg.types import IcebergType, ListType, MapType, NestedField, StructType

from app.domain.datasets import TableState
from app.domain.history import History, LogEntry, Ref, RefKind, Snapshot, SnapshotOperation
from app.domain.layouts import Layouts, PartitionField, PartitionSpec, SortField, SortOrder
from app.domain.names import DatasetName
from app.domain.schemas import SchemaField, SchemaVersion
from app.lake.defaults import default_json
from app.lake.named_files import NamedFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeTable:
    """One table as it was when it was loaded.

    Not to be shared between tasks that write: pyiceberg's `Table` is changed by its own commits, and two tasks on one
    object lose each other's.
    """

    state: TableState
    handle: Table

    @property
    def metadata(self) -> TableMetadata:
        """pyiceberg's parsed metadata; never to be mutated."""
        return self.handle.metadata

    @property
    def io(self) -> FileIO:
        """Access to the table's files, which tells the location of one that is missing."""
        return NamedFiles(self.handle.io)


def are_of_one_table(before: LakeTable, before_id: int, after: LakeTable, after_id: int) -> bool:
    """Whether these are snapshots of one table: it has one uuid, and knows both.

    A table that is registered under two names has one uuid, but once both were written to, neither knows what snapshots
    and fields the other has.
    """
    if before.state.table_uuid != after.state.table_uuid:
        return False
    return before_id in after.state.history.snapshots and after_id in before.state.history.snapshots


def to_state(
    metadata: TableMetadata, metadata_location: str, name: DatasetName, *, base: LakeTable | None = None
) -> TableState:
    """The domain's value of a metadata file.

    Costs about 10 µs a snapshot, or nothing for those that it has from `base`, the state it was made from.

    Raises:
        ValidationError: a ref names a snapshot that the table does not hold; Iceberg's own reader refuses that too.
    """
    return TableState(
        name=name,
        table_uuid=metadata.table_uuid,
        location=metadata.location,
        metadata_location=metadata_location,
        format_version=metadata.format_version,
        properties=dict(metadata.properties),
        history=_to_history(metadata, base),
        schemas={schema.schema_id: to_schema_version(schema) for schema in metadata.schemas},
        current_schema_id=metadata.current_schema_id,
        required_field_ids=_field_ids_in_use(metadata),
        layouts=_to_layouts(metadata),
    )


def to_schema_version(schema: Schema) -> SchemaVersion:
    """The domain's value of a schema."""
    names = (schema.find_column_name(field_id) for field_id in schema.identifier_field_ids)
    return SchemaVersion(
        schema_id=schema.schema_id,
        fields=tuple(_to_field(field, field.name) for field in schema.fields),
        identifier_fields=tuple(name for name in names if name is not None),
    )


def render_type(iceberg_type: IcebergType) -> str:
    """A type as people write it: `struct<a: long, b: list<string>>`, without field ids."""
    if isinstance(iceberg_type, StructType):
        inner = ", ".join(f"{field.name}: {render_type(field.field_type)}" for field in iceberg_type.fields)
        return f"struct<{inner}>"
    if isinstance(iceberg_type, ListType):
        return f"list<{render_type(iceberg_type.element_type)}>"
    if isinstance(iceberg_type, MapType):
        return f"map<{render_type(iceberg_type.key_type)}, {render_type(iceberg_type.value_type)}>"
    return str(iceberg_type)


def _to_history(metadata: TableMetadata, base: LakeTable | None) -> History:
    if base is not None and base.metadata.snapshots is metadata.snapshots:
        # A commit of refs shares the list with the metadata that it was made from.
        snapshots = base.state.history.snapshots
    else:
        snapshots = {snapshot.snapshot_id: _to_snapshot(snapshot) for snapshot in metadata.snapshots}
    for name, ref in metadata.refs.items():
        if ref.snapshot_id not in snapshots:
            raise ValidationError(f"ref {name!r} names snapshot {ref.snapshot_id}, which the table does not hold")
    return History(
        snapshots=snapshots,
        refs={
            name: Ref(
                name=name,
                kind=RefKind(ref.snapshot_ref_type.value),
                snapshot_id=ref.snapshot_id,
                min_snapshots_to_keep=ref.min_snapshots_to_keep,
                max_snapshot_age_ms=ref.max_snapshot_age_ms,
                max_ref_age_ms=ref.max_ref_age_ms,
            )
            for name, ref in metadata.refs.items()
        },
        log=tuple(
            LogEntry(timestamp_ms=entry.timestamp_ms, snapshot_id=entry.snapshot_id) for entry in metadata.snapshot_log
        ),
    )


def _to_snapshot(snapshot: IcebergSnapshot) -> Snapshot:
    # Never ask for a summary's truth value: pyiceberg then counts its keys, which costs more than all the rest.
    summary = snapshot.summary
    return Snapshot(
        snapshot_id=snapshot.snapshot_id,
        parent_id=snapshot.parent_snapshot_id,
        sequence_number=snapshot.sequence_number,
        timestamp_ms=snapshot.timestamp_ms,
        # Iceberg v1 knows snapshots without a summary; the spec lets readers take them as overwrites.
        operation=SnapshotOperation(summary.operation.value) if summary is not None else SnapshotOperation.OVERWRITE,
        summary=summary.additional_properties if summary is not None else {},
        schema_id=snapshot.schema_id,
    )


def _field_ids_in_use(metadata: TableMetadata) -> frozenset[int]:
    order = metadata.sort_order()
    partitioned = {field.source_id for field in metadata.spec().fields}
    return frozenset(partitioned | {field.source_id for field in order.fields})


def _to_layouts(metadata: TableMetadata) -> Layouts:
    return Layouts(
        specs=tuple(
            PartitionSpec(
                spec_id=spec.spec_id,
                fields=tuple(
                    PartitionField(source_id=field.source_id, name=field.name, transform=str(field.transform))
                    for field in spec.fields
                ),
            )
            for spec in metadata.partition_specs
        ),
        default_spec_id=metadata.default_spec_id,
        orders=tuple(
            SortOrder(
                order_id=order.order_id,
                fields=tuple(
                    SortField(
                        source_id=field.source_id,
                        transform=str(field.transform),
                        direction=field.direction.value,
                        null_order=field.null_order.value,
                    )
                    for field in order.fields
                ),
            )
            for order in metadata.sort_orders
        ),
        default_order_id=metadata.default_sort_order_id,
    )


def _to_field(field: NestedField, path: str) -> SchemaField:
    return SchemaField(
        field_id=field.field_id,
        path=path,
        type=render_type(field.field_type),
        is_required=field.required,
        doc=field.doc,
        children=tuple(_to_field(child, f"{path}.{child.name}") for child in _children(field.field_type)),
        initial_default=default_json(field.field_type, field.initial_default),
        write_default=default_json(field.field_type, field.write_default),
    )


def _children(iceberg_type: IcebergType) -> tuple[NestedField, ...]:
    # Lists and maps name their parts `element`, `key` and `value`, as Iceberg's own column paths do.
    if isinstance(iceberg_type, StructType):
        return tuple(iceberg_type.fields)
    if isinstance(iceberg_type, ListType):
        return (iceberg_type.element_field,)
    if isinstance(iceberg_type, MapType):
        return (iceberg_type.key_field, iceberg_type.value_field)
    return ()
