"""Taking snapshots and refs out of a table: one commit, that nothing made meanwhile gets lost in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from pydantic import PrivateAttr
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import (
    AssertRefSnapshotId,
    AssertTableUUID,
    RemovePartitionStatisticsUpdate,
    RemoveSnapshotRefUpdate,
    RemoveSnapshotsUpdate,
    RemoveStatisticsUpdate,
    TableRequirement,
    TableUpdate,
    ValidatableTableRequirement,
)

from app.domain.datasets import TableState
from app.domain.expiry import Expiry
from app.errors import AppError
from app.lake.catalog import reading_files
from app.lake.commits import CommitRefusedError, check_writable, commit_changes
from app.lake.internals import delete_superseded_metadata, read_metadata
from app.lake.metadata_cache import MetadataCache
from app.lake.table import LakeTable, to_state


class BaseFinding(StrEnum):
    """Whether what was changed is what the expiry was decided on."""

    # It held no ref and no snapshot that was not known: the planned files may be deleted.
    AS_PLANNED = "AS_PLANNED"
    # It held some. What names them may have gone with the snapshots, and their files are needed to bring them back.
    STRANGERS = "STRANGERS"
    # Its metadata file cannot be read any more, or the log does not name it.
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseJudgement:
    """What is known of the state that an expiry was applied to. Unless it is as planned, no file may be deleted.

    `base_location` is that state's metadata file, from which what was lost can be recovered; `refs` and `snapshot_ids`
    are those that it held beyond the plan.
    """

    finding: BaseFinding
    base_location: str | None = None
    refs: tuple[str, ...] = ()
    snapshot_ids: tuple[int, ...] = ()

    @property
    def may_delete(self) -> bool:
        """Whether the files of the plan may be deleted."""
        return self.finding is BaseFinding.AS_PLANNED


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryCommit:
    """The table as the commit left it, and what that was a change of."""

    table: LakeTable
    base: BaseJudgement


def commit_expiry(catalog: Catalog, table: LakeTable, expiry: Expiry, cache: MetadataCache) -> ExpiryCommit:
    """Take the snapshots, refs and statistics out, all of them or none, and delete no data.

    The table's uuid and the snapshot of every ref that is known are asserted. Other catalogs than REST ones are also
    made to assert that the table is as it was when it was planned for; of a REST catalog that can only be looked at
    afterwards, in the log of the new metadata, which names the file that was really changed.

    Costs one metadata file written and one catalog update, or nothing where nothing goes; over REST, where another
    base was changed, reading that.

    Raises:
        CommitRefusedError: the table is not as planned for, and nothing was changed; load and plan again.
        CommitOutcomeUnknownError: look at the table (`Expiry.is_done_in`, then `judge_base`) before anything is done.
        DatasetForbiddenError, MetadataNotWrittenError: nothing was changed.
        UnsupportedTableError: nothing was changed; this catalog cannot write metadata of the table's format version, or
            takes no such change.
    """
    check_writable(catalog, table)
    if table.state.table_uuid != expiry.table_uuid or table.state.metadata_location != expiry.base_location:
        raise CommitRefusedError(f"{table.state.name} is not as it was when this was planned")
    if expiry.is_empty:
        return ExpiryCommit(table=table, base=judge_base(table, expiry, cache))
    requirements = _to_requirements(expiry)
    if not isinstance(catalog, RestCatalog):
        requirements.append(_AssertBase(table.metadata))  # type: ignore[arg-type]
    updates = _to_updates(table.metadata, expiry)
    committed = commit_changes(catalog, table, tuple(requirements), tuple(updates), cache)
    judgement = judge_base(committed, expiry, cache)
    if judgement.may_delete:
        delete_superseded_metadata(table.io, table.metadata, committed.metadata)
    return ExpiryCommit(table=committed, base=judgement)


def judge_base(table: LakeTable, expiry: Expiry, cache: MetadataCache) -> BaseJudgement:
    """What state an expiry was applied to, from the log of a table in which it is done.

    It is the last one in the log that the expiry is not done in. Costs nothing where that is the planned one; else
    reading the metadata files since.
    """
    if expiry.is_empty:
        return BaseJudgement(finding=BaseFinding.AS_PLANNED, base_location=expiry.base_location)
    for entry in reversed(table.metadata.metadata_log):
        location = entry.metadata_file
        if location == expiry.base_location:
            return BaseJudgement(finding=BaseFinding.AS_PLANNED, base_location=location)
        try:
            state = _read_state(table, location, cache)
        except AppError:
            # Whatever the reason: what cannot be looked at cannot be vouched for.
            return BaseJudgement(finding=BaseFinding.UNKNOWN, base_location=location)
        if not expiry.is_done_in(state):
            refs, snapshot_ids = expiry.strangers_in(state)
            return BaseJudgement(
                finding=BaseFinding.STRANGERS if refs or snapshot_ids else BaseFinding.AS_PLANNED,
                base_location=location,
                refs=tuple(refs),
                snapshot_ids=tuple(snapshot_ids),
            )
    return BaseJudgement(finding=BaseFinding.UNKNOWN)


class _AssertBase(ValidatableTableRequirement):
    """The table's metadata must be the planned one: for catalogs that check requirements here, and then swap."""

    type: Literal["assert-planned-base"] = "assert-planned-base"
    _planned: TableMetadata = PrivateAttr()

    def __init__(self, planned: TableMetadata) -> None:
        super().__init__(type="assert-planned-base")
        self._planned = planned

    def validate(self, base_metadata: TableMetadata | None) -> None:  # type: ignore[override]
        if base_metadata is not self._planned and base_metadata != self._planned:
            raise CommitFailedException("the table was changed since this was planned")


def _to_requirements(expiry: Expiry) -> list[TableRequirement]:
    requirements: list[TableRequirement] = [AssertTableUUID(uuid=expiry.table_uuid)]
    requirements += [AssertRefSnapshotId(ref=name, snapshot_id=at) for name, at in sorted(expiry.refs.items())]
    return requirements


def _to_updates(metadata: TableMetadata, expiry: Expiry) -> list[TableUpdate]:
    gone = expiry.snapshot_ids
    updates: list[TableUpdate] = [RemoveSnapshotRefUpdate(ref_name=name) for name in sorted(expiry.removed_refs)]
    # Before the snapshots, with which most catalogs remove them too: what is not there any more cannot be removed.
    updates += [
        RemoveStatisticsUpdate(snapshot_id=snapshot_id)
        for snapshot_id in sorted({file.snapshot_id for file in metadata.statistics} & gone)
    ]
    updates += [
        RemovePartitionStatisticsUpdate(snapshot_id=snapshot_id)
        for snapshot_id in sorted({file.snapshot_id for file in metadata.partition_statistics} & gone)
    ]
    if gone:
        updates.append(RemoveSnapshotsUpdate(snapshot_ids=sorted(gone)))
    return updates


def _read_state(table: LakeTable, location: str, cache: MetadataCache) -> TableState:
    with reading_files(table.state.name):
        metadata = cache.find(location) or read_metadata(table.io, location, cache)
        return to_state(metadata, location, table.state.name)
