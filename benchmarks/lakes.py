"""Tables with long histories, made within seconds: real metadata files in front of one real data file."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.serializers import ToOutputFile
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import SnapshotRef
from pyiceberg.table.snapshots import MetadataLogEntry, Snapshot, SnapshotLogEntry, Summary

from app.bootstrap import Services, open_services
from app.domain.names import DatasetName
from app.lake.catalog import EMBEDDED_CATALOG
from app.postgres.embedded import EmbeddedPostgres
from app.settings import Settings

NAMESPACE = "bench"
FIRST_SNAPSHOT_ID = 3_000_000_000_000_000_000
MINUTE_MS = 60_000
# Iceberg's default for write.metadata.previous-versions-max: a table that has lived has so many.
METADATA_LOG_ENTRIES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchLake:
    """One catalog in an embedded Postgres, opened by stock pyiceberg and by us."""

    home: Path
    settings: Settings
    stock: SqlCatalog
    template: TableMetadata

    def create_table(self, name: str, snapshots: int, *, tags: int = 3) -> DatasetName:
        """Register a table of so many appends; ids count up from `FIRST_SNAPSHOT_ID`."""
        location = f"{self.settings.warehouse.as_uri()}/{NAMESPACE}/{name}"
        folder = Path(location.removeprefix("file://")) / "metadata"
        folder.mkdir(parents=True)
        metadata = _with_history(self.template, snapshots, tags, location)
        path = f"{location}/metadata/{snapshots:05}-{uuid.uuid4()}.metadata.json"
        ToOutputFile.table_metadata(metadata, self.stock._load_file_io().new_output(path))
        self.stock.register_table(f"{NAMESPACE}.{name}", path)
        return DatasetName(namespace=NAMESPACE, name=name)

    @contextlib.asynccontextmanager
    async def services(self, *, metadata_cache_bytes: int | None = None) -> AsyncIterator[Services]:
        """Our services on the catalog, with a cache of their own."""
        changed = {} if metadata_cache_bytes is None else {"metadata_cache_bytes": metadata_cache_bytes}
        async with open_services(self.settings.model_copy(update=changed)) as services:
            yield services


@contextlib.contextmanager
def open_bench_lake() -> Iterator[BenchLake]:
    """An empty lake of its own, removed at the end."""
    home = Path(tempfile.mkdtemp(prefix="stratigraph-bench-"))
    try:
        with EmbeddedPostgres(home) as postgres:
            url = postgres.start()
            settings = Settings(home=home, database_url=url)
            settings.warehouse.mkdir()
            stock = SqlCatalog(
                EMBEDDED_CATALOG,
                uri=url.replace("postgresql://", "postgresql+psycopg2://"),
                warehouse=settings.warehouse.as_uri(),
            )
            stock.create_namespace(NAMESPACE)
            schema = pa.schema([(f"column_{n}", pa.int64() if n % 2 else pa.string()) for n in range(20)])
            table = stock.create_table(f"{NAMESPACE}.template", schema)
            table.append(pa.table([[1] if n % 2 else ["a"] for n in range(20)], schema=schema))
            stock.drop_table(f"{NAMESPACE}.template")
            try:
                yield BenchLake(home=home, settings=settings, stock=stock, template=table.metadata)
            finally:
                stock.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def snapshot_id(number: int) -> int:
    """The id of the n-th snapshot, counted from 0."""
    return FIRST_SNAPSHOT_ID + 1_000_003 * number


def _with_history(template: TableMetadata, count: int, tags: int, location: str) -> TableMetadata:
    real = template.snapshots[0]
    start_ms = real.timestamp_ms - count * MINUTE_MS
    snapshots = [_snapshot(real, number, start_ms) for number in range(count)]
    head = snapshots[-1]
    refs = {"main": _ref("branch", head)}
    for number in range(tags):
        tagged = snapshots[number * (count - 1) // max(1, tags - 1)]
        refs[f"production_2026_01_{number + 1:02}"] = _ref("tag", tagged)
    earlier = snapshots[-METADATA_LOG_ENTRIES - 1 : -1]
    return template.model_copy(
        update={
            "table_uuid": uuid.uuid4(),
            "location": location,
            "last_updated_ms": head.timestamp_ms,
            "last_sequence_number": head.sequence_number,
            "current_snapshot_id": head.snapshot_id,
            "snapshots": snapshots,
            "refs": refs,
            "snapshot_log": [
                SnapshotLogEntry(snapshot_id=s.snapshot_id, timestamp_ms=s.timestamp_ms) for s in snapshots
            ],
            "metadata_log": [
                MetadataLogEntry(
                    metadata_file=f"{location}/metadata/{s.sequence_number:05}-{uuid.uuid4()}.metadata.json",
                    timestamp_ms=s.timestamp_ms,
                )
                for s in earlier
            ],
        }
    )


def _ref(kind: str, snapshot: Snapshot) -> SnapshotRef:
    return SnapshotRef.model_validate({"type": kind, "snapshot-id": snapshot.snapshot_id})


def _snapshot(real: Snapshot, number: int, start_ms: int) -> Snapshot:
    summary = real.summary
    assert summary is not None
    # An append's own summary of pyiceberg, with what long-lived tables have on top.
    properties = {
        **summary.additional_properties,
        "total-records": str(1000 * (number + 1)),
        "total-files-size": str(123_456 * (number + 1)),
        "total-data-files": str(number + 1),
        "spark.app.id": "application_1700000000000_0042",
        "engine-version": "4.0.1",
    }
    return real.model_copy(
        update={
            "snapshot_id": snapshot_id(number),
            "parent_snapshot_id": snapshot_id(number - 1) if number else None,
            "sequence_number": number + 1,
            "timestamp_ms": start_ms + number * MINUTE_MS,
            "manifest_list": real.manifest_list.replace(str(real.snapshot_id), str(snapshot_id(number))),
            "summary": Summary(summary.operation, **properties),
        }
    )
