"""Equality deletes for tests, which pyiceberg and Spark read or refuse but cannot write."""

import time
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    write_manifest_list,
)
from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import (
    Operation,
    Snapshot,
    SnapshotSummaryCollector,
    Summary,
    update_snapshot_summaries,
)
from pyiceberg.table.update import AddSnapshotUpdate, AssertRefSnapshotId, AssertTableUUID, SetSnapshotRefUpdate
from pyiceberg.typedef import Record

from app.lake.delete_manifests import DeleteManifestWriter


def commit_equality_delete(catalog: Catalog, table: Table, rows: pa.Table) -> int:
    """Delete, on `main`, the rows whose values in the columns of `rows` equal one of `rows`; returns the snapshot's id.

    As Flink writes it: a Parquet file of keys, a manifest of delete files, a snapshot of operation `delete`
    (Iceberg's spec, "Equality Delete Files"). It applies to the rows of earlier snapshots only.

    Raises:
        ValueError: the table is not of format version 2, is partitioned, or has no snapshot.
        CommitFailedException: the head moved meanwhile.
    """
    head = table.current_snapshot()
    if head is None or table.metadata.format_version != 2 or not table.spec().is_unpartitioned():
        raise ValueError("an equality delete needs an unpartitioned table of format version 2 with a snapshot")
    snapshot_id = table.metadata.new_snapshot_id()
    sequence_number = table.metadata.next_sequence_number()
    delete_file = _write_delete_file(table, rows)
    manifest = _write_delete_manifest(table, delete_file, snapshot_id)

    manifest_list = f"{table.location()}/metadata/snap-{snapshot_id}-0-{uuid4()}.avro"
    with write_manifest_list(
        format_version=2,
        output_file=table.io.new_output(manifest_list),
        snapshot_id=snapshot_id,
        parent_snapshot_id=head.snapshot_id,
        sequence_number=sequence_number,
        avro_compression="deflate",
    ) as writer:
        writer.add_manifests([manifest, *head.manifests(table.io)])

    changes = SnapshotSummaryCollector()
    changes.add_file(delete_file, table.schema(), table.spec())
    previous = dict(head.summary.additional_properties) if head.summary else None
    summary = update_snapshot_summaries(Summary(Operation.DELETE, **changes.build()), previous)
    main = table.metadata.refs[MAIN_BRANCH]
    catalog.commit_table(
        table,
        (
            AssertTableUUID(uuid=table.metadata.table_uuid),
            AssertRefSnapshotId(ref=MAIN_BRANCH, snapshot_id=head.snapshot_id),
        ),
        (
            AddSnapshotUpdate(
                snapshot=Snapshot(
                    snapshot_id=snapshot_id,
                    parent_snapshot_id=head.snapshot_id,
                    sequence_number=sequence_number,
                    # Later than the head: two snapshots of one millisecond would have no order in time.
                    timestamp_ms=max(time.time_ns() // 1_000_000, table.metadata.last_updated_ms + 1),
                    manifest_list=manifest_list,
                    summary=summary,
                    schema_id=table.metadata.current_schema_id,
                )
            ),
            SetSnapshotRefUpdate(
                ref_name=MAIN_BRANCH,
                type="branch",
                snapshot_id=snapshot_id,
                max_ref_age_ms=main.max_ref_age_ms,
                max_snapshot_age_ms=main.max_snapshot_age_ms,
                min_snapshots_to_keep=main.min_snapshots_to_keep,
            ),
        ),
    )
    table.refresh()
    return snapshot_id


def _write_delete_file(table: Table, rows: pa.Table) -> DataFile:
    key = table.schema().select(*rows.column_names)
    path = f"{table.location()}/data/equality-delete-{uuid4()}.parquet"
    output = table.io.new_output(path)
    with output.create() as stream:
        # Columns are found by field id, which pyiceberg's Arrow schema carries.
        pq.write_table(rows.select(list(key.column_names)).cast(schema_to_pyarrow(key)), stream)
    return DataFile.from_args(
        content=DataFileContent.EQUALITY_DELETES,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=rows.num_rows,
        file_size_in_bytes=len(output.to_input_file()),
        equality_ids=sorted(key.field_ids),
        spec_id=table.spec().spec_id,
    )


def _write_delete_manifest(table: Table, delete_file: DataFile, snapshot_id: int) -> ManifestFile:
    output = table.io.new_output(f"{table.location()}/metadata/{uuid4()}-m0.avro")
    with DeleteManifestWriter(table.spec(), table.schema(), output, snapshot_id, "deflate") as writer:
        writer.add_entry(
            ManifestEntry.from_args(status=ManifestEntryStatus.ADDED, snapshot_id=snapshot_id, data_file=delete_file)
        )
    return writer.to_manifest_file()
