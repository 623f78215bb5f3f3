"""What one commit of the sample does, and how it leaves a mark that says it is done.

Each step is one commit to the catalog. The same commit writes the step's name into the table's properties, so a table
always says how far it got; snapshots carry it in their summary. Every commit asserts what it was planned on (the head
of its branch, the current schema or spec) and is never retried blindly: pyiceberg's own retries would append the rows
of a step twice where another load was faster, so they are off while a table is being built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
from pyiceberg.table import Table, TableProperties, Transaction
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.update import (
    AssertRefSnapshotId,
    AssertTableUUID,
    RemovePropertiesUpdate,
    SetPropertiesUpdate,
    SetSnapshotRefUpdate,
    TableRequirement,
    TableUpdate,
)
from pyiceberg.table.update.schema import UpdateSchema
from pyiceberg.table.update.spec import UpdateSpec

from app.lake.sample.shapes import fit
from app.lake.sample.tpch import TpchFiles, parts_of_quarter

SAMPLE_PROPERTY, SAMPLE_NAME = "stratigraph.sample", "tpch"
STEP_PROPERTY = "stratigraph.sample.step"
SCALE_PROPERTY = "stratigraph.sample.scale"
STATE_PROPERTY, BUILDING, COMPLETE = "stratigraph.sample.state", "building", "complete"
PART_SEPARATOR = "/"

WHILE_BUILDING = {STATE_PROPERTY: BUILDING, TableProperties.COMMIT_NUM_RETRIES: "0"}

ReadParts = Callable[[TpchFiles, Iterable[int]], pa.Table]
ReadPart = Callable[[TpchFiles, int], pa.Table]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What a step's commit writes beside its change: into the snapshot's summary and the table's properties."""

    step: str
    is_last: bool

    @property
    def summary(self) -> dict[str, str]:
        """For the snapshot, where the step makes one."""
        return {STEP_PROPERTY: self.step}

    @property
    def properties(self) -> dict[str, str]:
        """Table properties to set."""
        return {STEP_PROPERTY: self.step} | ({STATE_PROPERTY: COMPLETE} if self.is_last else {})

    @property
    def removals(self) -> list[str]:
        """Table properties to remove."""
        return [TableProperties.COMMIT_NUM_RETRIES] if self.is_last else []

    @property
    def updates(self) -> tuple[TableUpdate, ...]:
        """The same as catalog updates, for commits that are put together by hand."""
        removals = (RemovePropertiesUpdate(removals=self.removals),) if self.removals else ()
        return (SetPropertiesUpdate(updates=self.properties), *removals)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One commit: its name, and what makes it. `commit` raises CommitFailedException where someone was faster."""

    name: str
    commit: Callable[[Table, TpchFiles, Marks], None]


def evolve(name: str, change: Callable[[UpdateSchema], UpdateSchema]) -> Step:
    """A schema change: no snapshot, a new current schema."""

    def stage(transaction: Transaction, _files: TpchFiles, _summary: Mapping[str, str]) -> None:
        with transaction.update_schema() as update:
            change(update)

    return _staged(name, stage)


def repartition(name: str, change: Callable[[UpdateSpec], UpdateSpec]) -> Step:
    """A partition spec change: no snapshot; files written before keep theirs."""

    def stage(transaction: Transaction, _files: TpchFiles, _summary: Mapping[str, str]) -> None:
        with transaction.update_spec() as update:
            change(update)

    return _staged(name, stage)


def append(name: str, read: Callable[[TpchFiles], pa.Table], *, branch: str = MAIN_BRANCH) -> Step:
    """One append of rows in the table's schema."""

    def stage(transaction: Transaction, files: TpchFiles, summary: dict[str, str]) -> None:
        rows = fit(read(files), transaction.table_metadata.schema())
        transaction.append(rows, snapshot_properties=summary, branch=branch)

    return _staged(name, stage)


def load(quarter: int, parts: int, read: ReadPart) -> list[Step]:
    """Append a quarter of the data: one step `load-<quarter>`, or one per part where a part is all that fits memory."""
    name, of_quarter = f"load-{quarter}", parts_of_quarter(quarter, parts)
    names = [name] if len(of_quarter) == 1 else [f"{name}{PART_SEPARATOR}{n:04d}" for n, _ in enumerate(of_quarter, 1)]
    return [append(name, _one_part(read, part)) for name, part in zip(names, of_quarter, strict=True)]


def overwrite(name: str, where: str, read: Callable[[TpchFiles], pa.Table]) -> Step:
    """Replace the rows that meet a condition; one commit of up to three snapshots (delete, overwrite, append)."""

    def stage(transaction: Transaction, files: TpchFiles, summary: dict[str, str]) -> None:
        rows = fit(read(files), transaction.table_metadata.schema())
        transaction.overwrite(rows, where, snapshot_properties=summary)

    return _staged(name, stage)


def delete(name: str, where: str) -> Step:
    """Delete rows by copy-on-write: `delete` where whole files go, `overwrite` where files are rewritten."""

    def stage(transaction: Transaction, _files: TpchFiles, summary: dict[str, str]) -> None:
        transaction.delete(where, snapshot_properties=summary)

    return _staged(name, stage)


def branch_off(name: str, branch: str) -> Step:
    """A new branch at the head of main."""

    def commit(table: Table, _files: TpchFiles, marks: Marks) -> None:
        head = table.refs()[MAIN_BRANCH].snapshot_id
        commit_by_hand(
            table, (point_branch(branch, head),), (AssertRefSnapshotId(ref=branch, snapshot_id=None),), marks
        )

    return Step(name=name, commit=commit)


def point_branch(branch: str, snapshot_id: int) -> SetSnapshotRefUpdate:
    """Sets a branch that has no retention settings of its own, as those of a table under construction."""
    return SetSnapshotRefUpdate(
        ref_name=branch,
        type=SnapshotRefType.BRANCH,
        snapshot_id=snapshot_id,
        max_ref_age_ms=None,
        max_snapshot_age_ms=None,
        min_snapshots_to_keep=None,
    )


def commit_by_hand(
    table: Table, updates: tuple[TableUpdate, ...], requirements: tuple[TableRequirement, ...], marks: Marks
) -> None:
    """Commit updates together with a step's marks, provided that main and the table are still the ones seen."""
    head = table.refs().get(MAIN_BRANCH)
    seen = (
        AssertTableUUID(uuid=table.metadata.table_uuid),
        AssertRefSnapshotId(ref=MAIN_BRANCH, snapshot_id=head.snapshot_id if head else None),
    )
    table.catalog.commit_table(table, (*seen, *requirements), (*updates, *marks.updates))


def _staged(name: str, stage: Callable[[Transaction, TpchFiles, dict[str, str]], None]) -> Step:
    def commit(table: Table, files: TpchFiles, marks: Marks) -> None:
        transaction = table.transaction()
        stage(transaction, files, marks.summary)
        transaction.set_properties(marks.properties)
        if marks.removals:
            transaction.remove_properties(*marks.removals)
        transaction.commit_transaction()

    return Step(name=name, commit=commit)


def _one_part(read: ReadPart, part: int) -> Callable[[TpchFiles], pa.Table]:
    return lambda files: read(files, part)
