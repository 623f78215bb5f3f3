"""The catalog side of pyiceberg's private parts, checked against the version they were read in.

`app.lake.data_files` is the other side. Each use is here because the public way is wrong or an order of magnitude
slower for us:

- `SqlCatalog._convert_orm_to_iceberg`: where a metadata file is parsed; overridden to look into our cache first.
- `SqlCatalog._iceberg_type_filter`: which rows are tables; needed to select them without SQLAlchemy's ORM, which takes
  longer to build the statement than Postgres to answer it.
- `SqlCatalog._update_and_stage_table`: deep-copies the whole metadata for each commit; overridden to share what did not
  change (metadata objects are never mutated), and to take snapshots out as Iceberg does.
- `RestCatalog._supported_endpoints`: what a server says that it can do, to tell whether it takes commits.
- `MetastoreCatalog._write_metadata`: where a commit writes its metadata file, before the catalog is told of it;
  overridden so that a failure there can be told from one whose outcome is unknown.
"""

from __future__ import annotations

import gzip
import logging
import zlib
from datetime import datetime

import pyiceberg
from pydantic import ValidationError as PydanticValidationError
from pyiceberg.catalog import MetastoreCatalog
from pyiceberg.catalog.rest import Capability, RestCatalog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.exceptions import NoSuchTableError, ValidationError
from pyiceberg.io import FileIO, load_file_io
from pyiceberg.table import StagedTable, Table
from pyiceberg.table.locations import load_location_provider
from pyiceberg.table.metadata import TableMetadata, TableMetadataUtil
from pyiceberg.table.snapshots import SnapshotLogEntry
from pyiceberg.table.update import (
    RemoveSnapshotsUpdate,
    TableRequirement,
    TableUpdate,
    _apply_table_update,
    _TableMetadataUpdateContext,
    _update_table_metadata_log,
)
from pyiceberg.typedef import EMPTY_DICT, Identifier, Properties
from pyiceberg.utils.datetime import datetime_to_millis
from sqlalchemy import bindparam, create_engine, select
from sqlalchemy.pool import QueuePool

from app.lake.metadata_cache import MetadataCache

PYICEBERG_VERSION = "0.12.0"
if pyiceberg.__version__ != PYICEBERG_VERSION:
    raise ImportError(
        f"app.lake.internals was written against pyiceberg {PYICEBERG_VERSION}, not {pyiceberg.__version__}; "
        "read its private parts again before changing this."
    )


MAX_FILE_IOS = 64
MAX_CONNECTIONS = 64

logger = logging.getLogger(__name__)


class MetadataWriteError(OSError):
    """A new metadata file could not be written, and so the catalog was not told of it: nothing was changed."""

    def __init__(self, location: str, reason: str) -> None:
        super().__init__(f"{location} could not be written: {reason}")
        self.location = location
        self.reason = reason


class BrokenMetadataError(ValidationError):
    """A metadata file that is there and cannot be parsed."""

    def __init__(self, location: str, reason: str) -> None:
        super().__init__(f"{location} is no table metadata: {reason}")


class CachingSqlCatalog(SqlCatalog):
    """A SqlCatalog that parses each metadata file once and commits without copying what did not change.

    Metadata files are immutable and never reused, so a parsed one stays true for its location for ever.
    """

    def __init__(self, name: str, cache: MetadataCache, **properties: str) -> None:
        self._metadata_cache = cache
        self._file_ios: dict[tuple[frozenset[tuple[str, str]], str], FileIO] = {}
        super().__init__(name, **properties)
        if isinstance(self.engine.pool, QueuePool):
            # pyiceberg keeps five connections: busier threads than that would each connect anew for every load.
            self.engine.dispose()
            is_checked = self.properties.get("pool_pre_ping", "").lower() == "true"
            self.engine = create_engine(
                self.engine.url, echo=self.engine.echo, pool_pre_ping=is_checked, pool_size=MAX_CONNECTIONS
            )
        row = IcebergTables.__table__.c
        self._tables = select(row.table_namespace, row.table_name, row.metadata_location).where(
            row.catalog_name == self.name
        )
        if (type_filter := self._iceberg_type_filter()) is not None:
            self._tables = self._tables.where(type_filter)
        self._one_table = self._tables.where(
            row.table_namespace == bindparam("namespace"), row.table_name == bindparam("name")
        )

    def list_all_tables(self) -> list[tuple[str, str]]:
        """(namespace, name) of every table of the catalog, in one statement."""
        with self.engine.connect() as connection:
            return [(namespace, name) for namespace, name, _ in connection.execute(self._tables)]

    def list_metadata_locations(self) -> list[tuple[str, str, str]]:
        """(namespace, name, metadata file) of every table of the catalog, in one statement."""
        with self.engine.connect() as connection:
            return [(namespace, name, location or "") for namespace, name, location in connection.execute(self._tables)]

    def load_table(self, identifier: str | Identifier) -> Table:
        """The table as it is now; one statement, and reading its metadata file where that is new to the cache."""
        namespace = self.namespace_to_string(self.namespace_from(identifier))
        name = self.table_name_from(identifier)
        with self.engine.connect() as connection:
            row = connection.execute(self._one_table, {"namespace": namespace, "name": name}).one_or_none()
        if row is None:
            raise NoSuchTableError(f"Table does not exist: {namespace}.{name}")
        return self._convert_orm_to_iceberg(IcebergTables(self.name, *row, previous_metadata_location=None))

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
            raise ValidationError("the catalog has no metadata file for it")
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

    @staticmethod
    def _write_metadata(metadata: TableMetadata, io: FileIO, metadata_path: str) -> None:
        try:
            MetastoreCatalog._write_metadata(metadata, io, metadata_path)
        except FileExistsError:
            # Somebody else's, which is not to be removed.
            raise
        except OSError as error:
            _remove_part(io, metadata_path)
            reason = str(error.strerror or error).strip().partition("\n")[0] or type(error).__name__
            raise MetadataWriteError(metadata_path, reason) from error

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


def takes_commits(catalog: RestCatalog) -> bool:
    """Whether the server says that tables can be changed through it."""
    return Capability.V1_UPDATE_TABLE in catalog._supported_endpoints


def _remove_part(io: FileIO, location: str) -> None:
    try:
        io.delete(location)
    except FileNotFoundError:
        # It was not even begun.
        return
    except OSError as error:
        # Nothing names it: it is an orphan like any other.
        logger.warning("%s, which was not written in full, cannot be removed: %s", location, error)


def _apply_shallow(base: TableMetadata, updates: tuple[TableUpdate, ...], base_location: str) -> TableMetadata:
    context = _TableMetadataUpdateContext()
    metadata = base
    for update in updates:
        if isinstance(update, RemoveSnapshotsUpdate):
            metadata = _without_snapshots(metadata, set(update.snapshot_ids))
            context.add_update(update)
        else:
            metadata = _apply_table_update(update, metadata, context)
    if context.has_changes():
        metadata = _update_table_metadata_log(metadata, base_location, base.last_updated_ms)
        if metadata.last_updated_ms == base.last_updated_ms:
            now_ms = datetime_to_millis(datetime.now().astimezone())
            metadata = metadata.model_copy(update={"last_updated_ms": now_ms})
    metadata.spec().check_compatible(metadata.schema())
    metadata.sort_order().check_compatible(metadata.schema())
    return metadata


def _without_snapshots(base: TableMetadata, gone: set[int]) -> TableMetadata:
    """As Iceberg's own `TableMetadata.Builder.removeSnapshots`, in one pass.

    pyiceberg looks through all snapshots for each one that goes, keeps log entries from before a gap, of which the
    spec says that they should be removed ("Table Metadata Fields", `snapshot-log`), forgets partition statistics, and
    has children forget who their parents were.
    """
    kept = [snapshot for snapshot in base.snapshots if snapshot.snapshot_id not in gone]
    kept_ids = {snapshot.snapshot_id for snapshot in kept}
    if len(kept) + len(gone) != len(base.snapshots):
        missing = gone - {snapshot.snapshot_id for snapshot in base.snapshots}
        raise ValueError(f"Snapshots do not exist: {sorted(missing)[:3]}")
    log: list[SnapshotLogEntry] = []
    for entry in base.snapshot_log:
        if entry.snapshot_id in kept_ids:
            log.append(entry)
        else:
            log.clear()
    return base.model_copy(
        update={
            "snapshots": kept,
            "snapshot_log": log,
            "refs": {name: ref for name, ref in base.refs.items() if ref.snapshot_id in kept_ids},
            "current_snapshot_id": base.current_snapshot_id if base.current_snapshot_id in kept_ids else None,
            "statistics": [file for file in base.statistics if file.snapshot_id not in gone],
            "partition_statistics": [file for file in base.partition_statistics if file.snapshot_id not in gone],
        }
    )


def read_metadata(io: FileIO, location: str, cache: MetadataCache) -> TableMetadata:
    """The parsed metadata file, kept in the cache from now on.

    Raises:
        OSError: it is not there, or could not be fetched.
        BrokenMetadataError: it is no table metadata.
    """
    with io.new_input(location).open() as stream:
        raw = stream.read()
    try:
        if location.endswith((".gz.metadata.json", ".metadata.json.gz")):  # both are in use, says the spec
            raw = gzip.decompress(raw)
        metadata = TableMetadataUtil.parse_raw(raw.decode("utf-8"))
    except (ValidationError, UnicodeDecodeError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BrokenMetadataError(location, _told_by_parser(error)) from error
    cache.put(location, metadata)
    return metadata


def _told_by_parser(error: Exception) -> str:
    """What is wrong, in one line; of many things the first."""
    if isinstance(error.__cause__, PydanticValidationError):
        first = error.__cause__.errors(include_url=False, include_input=False)[0]
        return ".".join(map(str, first["loc"])) + (": " if first["loc"] else "") + first["msg"]
    return str(error).partition("\n")[0] or type(error).__name__


def delete_superseded_metadata(io: FileIO, base: TableMetadata, committed: TableMetadata) -> None:
    """Delete metadata files that fell out of the log, where the table's properties ask for that."""
    MetastoreCatalog._delete_old_metadata(io, base, committed)
