"""The tags that the sample lake is meant to have, as data: who loads the lake sets them, so that they are recorded."""

from __future__ import annotations

from dataclasses import dataclass

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Summary

from app.lake.sample.steps import PART_SEPARATOR, STEP_PROPERTY


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleTag:
    """A tag for the snapshot that a step of a table's history made (see `find_step_snapshot_id`), and why."""

    dataset: str
    tag: str
    step: str
    reason: str


SAMPLE_TAGS: tuple[SampleTag, ...] = (
    SampleTag(
        dataset="bronze.orders",
        tag="pre_migration_wide_keys",
        step="load-2",
        reason="Before order keys become 64-bit",
    ),
    SampleTag(
        dataset="bronze.lineitem",
        tag="audit_Q4_2025",
        step="load-4",
        reason="Order lines as reported for the fourth quarter of 2025",
    ),
    SampleTag(
        dataset="silver.sales",
        tag="pre_migration_month_partitions",
        step="load-3",
        reason="Before the table is partitioned by month",
    ),
    SampleTag(
        dataset="silver.sales",
        tag="production_2026_01_15",
        step="load-4",
        reason="Release of January 2026",
    ),
    SampleTag(
        dataset="silver.sales",
        tag="production_2026_02_15",
        step="restate-open-sales",
        reason="Release of February 2026: open sales restated",
    ),
    SampleTag(
        dataset="silver.sales",
        tag="model_training_v3",
        step="load-3",
        reason="Training data of the sales forecast, version 3",
    ),
    SampleTag(
        dataset="gold.customers",
        tag="model_training_churn_v1",
        step="refresh-3",
        reason="Training data of the churn model, version 1",
    ),
    SampleTag(
        dataset="gold.customers",
        tag="gold_validated_2026_02_14",
        step="refresh-4",
        reason="Totals agree with the ledger",
    ),
    SampleTag(
        dataset="gold.daily_revenue",
        tag="audit_Q4_2025",
        step="year-1998",
        reason="Revenue as reported for the fourth quarter of 2025",
    ),
    SampleTag(
        dataset="gold.daily_revenue",
        tag="gold_validated_2026_02_15",
        step="restate-1998",
        reason="Restated 1998 agrees with the ledger",
    ),
)


def find_step_snapshot_id(table: Table, step: str) -> int | None:
    """The snapshot that a step left at its end, None where the table has none (not the sample's, or expired).

    A step may have made several snapshots; the last one holds all of its change.
    """
    made = [snapshot for snapshot in table.snapshots() if _step_of(snapshot.summary) == step]
    return max(made, key=lambda snapshot: snapshot.sequence_number or 0).snapshot_id if made else None


def find_sample_targets(catalog: Catalog) -> list[tuple[SampleTag, int]]:
    """The tags whose step was made, each with the snapshot it belongs on. Costs one `load_table` per tagged table."""
    tables = {dataset: find_table(catalog, dataset) for dataset in {tag.dataset for tag in SAMPLE_TAGS}}
    found = []
    for tag in SAMPLE_TAGS:
        table = tables[tag.dataset]
        snapshot_id = find_step_snapshot_id(table, tag.step) if table is not None else None
        if snapshot_id is not None:
            found.append((tag, snapshot_id))
    return found


def find_table(catalog: Catalog, dataset: str) -> Table | None:
    """A table of the sample, None where it was dropped."""
    try:
        return catalog.load_table(dataset)
    except NoSuchTableError:
        return None


def _step_of(summary: Summary | None) -> str | None:
    if summary is None:
        return None
    # A large load is cut into parts: load-2/0001, load-2/0002 and so on are all of load-2.
    return str(summary.additional_properties.get(STEP_PROPERTY, "")).partition(PART_SEPARATOR)[0] or None
