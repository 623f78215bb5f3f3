"""The one module that reaches into pyiceberg's private parts, checked against the version they were read in.

Each use is here because the public way is wrong or an order of magnitude slower for us:

- `SqlCatalog._convert_orm_to_iceberg`: where a metadata file is parsed; overridden to look into our cache first.
- `SqlCatalog._update_and_stage_table`: deep-copies the whole metadata for each commit; overridden to share what did not
  change (metadata objects are never mutated).
- `_task_to_record_batches`, `_read_all_delete_files`: stream one data file; the public reader gathers whole files in
  memory before it gives the first row.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa
import pyiceberg
from pyiceberg.catalog import MetastoreCatalog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.expressions import BooleanExpression
from pyiceberg.io import FileIO, load_file_io
from pyiceberg.io.pyarrow import _read_all_delete_files, _task_to_record_batches
from pyiceberg.schema import Schema
from pyiceberg.table import FileScanTask, StagedTable, Table
from pyiceberg.table.locations import load_location_provider
from pyiceberg.table.metadata import TableMetadata, TableMetadataUtil
from pyiceberg.table.update import (
    TableRequirement,
    TableUpdate,
    _apply_table_update,
    _TableMetadataUpdateContext,
    _update_table_metadata_log,
)
from pyiceberg.typedef import EMPTY_DICT, Identifier, Properties
from pyiceberg.types import ListType, MapType
from pyiceberg.utils.datetime import datetime_to_millis
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.lake.metadata_cache import MetadataCache

PYICEBERG_VERSION = "0.12.0"
if pyiceberg.__version__ != PYICEBERG_VERSION:
    raise ImportError(
        f"app.lake.internals was written against pyiceberg {PYICEBERG_VERSION}, not {pyiceberg.__version__}; "
        "read its private parts again before changing this."
    )


MAX_FILE_IOS = 64


class CachingSqlCatalog(SqlCatalog):
    """A SqlCatalog that parses each metadata file once and commits without copying what did not change.

    Metadata files are immutable and never reused, so a parsed one stays true for its location for ever.
    """

    def __init__(self, name: str, cache: MetadataCache, **properties: str) -> None:
        self._metadata_cache = cache
        self._file_ios: dict[tuple[frozenset[tuple[str, str]], str], FileIO] = {}
        super().__init__(name, **properties)

    def list_all_tables(self) -> list[tuple[str, str]]:
        """(namespace, name) of every table of the catalog, in one statement."""
        statement = select(IcebergTables.table_namespace, IcebergTables.table_name).where(
            IcebergTables.catalog_name == self.name
        )
        if (type_filter := self._iceberg_type_filter()) is not None:
            statement = statement.where(type_filter)
        with Session(self.engine) as session:
            return [(str(namespace), str(name)) for namespace, name in session.execute(statement)]

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    def _load_file_io(self, properties: Properties = EMPTY_DICT, location: str | None = None) -> FileIO:
        # An S3 FileIO costs milliseconds and its connections to build; tables mostly share one.
        key = (frozenset(properties.items()), (location or "").partition(":")[0])
        found = self._file_ios.get(key)
        if found is None:
            found = self._file_ios.setdefault(key, super()._load_file_io(properties, location))
            while len(self._file_ios) > MAX_FILE_IOS:
                self._file_ios.pop(next(iter(self._file_ios)), None)
        return found

    def _convert_orm_to_iceberg(self, orm_table: IcebergTables) -> Table:
        location = orm_table.metadata_location
        if not location:
            return super()._convert_orm_to_iceberg(orm_table)
        metadata = self._metadata_cache.find(location)
        if metadata is None:
            metadata = read_metadata(load_file_io(self.properties, location), location, self._metadata_cache)
        namespace = SqlCatalog.identifier_to_tuple(orm_table.table_namespace)
        return Table(
            identifier=(*namespace, orm_table.table_name),
            metadata=metadata,
            metadata_location=location,
            io=self._load_file_io(metadata.properties, location),
            catalog=self,
        )

    def _update_and_stage_table(
        self,
        current_table: Table | None,
        table_identifier: Identifier,
        requirements: tuple[TableRequirement, ...],
        updates: tuple[TableUpdate, ...],
    ) -> StagedTable:
        if current_table is None:
            return super()._update_and_stage_table(current_table, table_identifier, requirements, updates)
        for requirement in requirements:
            requirement.validate(current_table.metadata)
        metadata = _apply_shallow(current_table.metadata, updates, current_table.metadata_location)
        provider = load_location_provider(metadata.location, metadata.properties)
        version = MetastoreCatalog._parse_metadata_version(current_table.metadata_location) + 1
        location = provider.new_table_metadata_file_location(version)
        return StagedTable(
            identifier=table_identifier,
            metadata=metadata,
            metadata_location=location,
            io=self._load_file_io(properties=metadata.properties, location=location),
            catalog=self,
        )


def _apply_shallow(base: TableMetadata, updates: tuple[TableUpdate, ...], base_location: str) -> TableMetadata:
    context = _TableMetadataUpdateContext()
    metadata = base
    for update in updates:
        metadata = _apply_table_update(update, metadata, context)
    if context.has_changes():
        metadata = _update_table_metadata_log(metadata, base_location, base.last_updated_ms)
        if metadata.last_updated_ms == base.last_updated_ms:
            now_ms = datetime_to_millis(datetime.now().astimezone())
            metadata = metadata.model_copy(update={"last_updated_ms": now_ms})
    metadata.spec().check_compatible(metadata.schema())
    metadata.sort_order().check_compatible(metadata.schema())
    return metadata


def read_metadata(io: FileIO, location: str, cache: MetadataCache) -> TableMetadata:
    """The parsed metadata file, kept in the cache from now on."""
    with io.new_input(location).open() as stream:
        raw = stream.read()
    if location.endswith((".gz.metadata.json", ".metadata.json.gz")):  # both are in use, says the spec
        raw = gzip.decompress(raw)
    metadata = TableMetadataUtil.parse_raw(raw.decode("utf-8"))
    cache.put(location, metadata, size_bytes=len(raw))
    return metadata


def delete_superseded_metadata(io: FileIO, base: TableMetadata, committed: TableMetadata) -> None:
    """Delete metadata files that fell out of the log, where the table's properties ask for that."""
    MetastoreCatalog._delete_old_metadata(io, base, committed)


def stream_task(
    io: FileIO,
    task: FileScanTask,
    *,
    bound_filter: BooleanExpression,
    projected: Schema,
    metadata: TableMetadata,
    filter_field_ids: set[int],
) -> Iterator[pa.RecordBatch]:
    """The rows of one data file with its position deletes and deletion vectors applied, batch by batch.

    Memory: Arrow's read-ahead of a few row groups, and the deleted positions of this file.
    """
    deletes = _read_all_delete_files(io, [task]).get(task.file.file_path)
    field_ids = {
        field_id
        for field_id in projected.field_ids
        if not isinstance(projected.find_type(field_id), (MapType, ListType))
    } | filter_field_ids
    yield from _task_to_record_batches(
        io,
        task,
        bound_filter,
        projected,
        metadata.schema(),
        field_ids,
        deletes,
        True,
        metadata.name_mapping(),
        metadata.specs().get(task.file.spec_id),
        metadata.format_version,
    )
