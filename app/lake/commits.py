"""Committing a plan of ref changes: one catalog commit, with every expectation as an explicit requirement.

Not through pyiceberg's Transaction or ManageSnapshots, which keep one requirement per type: of a tag and a head that
are set together only one would be checked.
"""

from __future__ import annotations

from copy import copy

import requests
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import (
    AuthorizationExpiredError,
    BadRequestError,
    CommitFailedException,
    CommitStateUnknownException,
    ForbiddenError,
    NoSuchTableError,
    RESTError,
    TooManyRequestsError,
    UnauthorizedError,
)
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.refs import SnapshotRefType
from pyiceberg.table.update import (
    AssertCurrentSchemaId,
    AssertRefSnapshotId,
    AssertTableUUID,
    RemoveSnapshotRefUpdate,
    SetCurrentSchemaUpdate,
    SetSnapshotRefUpdate,
    TableRequirement,
    TableUpdate,
)
from sqlalchemy.exc import SQLAlchemyError

from app.domain.history import RefKind
from app.domain.names import DatasetName
from app.domain.ref_plans import RefPlan, RefUpdate
from app.errors import (
    AppError,
    BackendUnavailableError,
    CommitConflictError,
    DatasetForbiddenError,
    MetadataNotWrittenError,
    UnsupportedTableError,
)
from app.lake.catalog import first_line
from app.lake.internals import CachingSqlCatalog, MetadataWriteError, delete_superseded_metadata, takes_commits
from app.lake.metadata_cache import MetadataCache
from app.lake.table import LakeTable, to_state

WRITABLE_FORMAT_VERSION = 2


class CommitRefusedError(Exception):
    """The catalog said no, and nothing was changed: an expectation did not hold, or another writer came first."""


class CommitDeferredError(CommitRefusedError):
    """The catalog did not look at the commit: too many requests, or a login that does not hold. Nothing was changed."""


class CommitOutcomeUnknownError(Exception):
    """The catalog did not say whether the commit took place."""


# All that `commit_changes` raises where nothing was changed, so that what was written for the commit may be removed.
NOTHING_CHANGED = (CommitRefusedError, DatasetForbiddenError, MetadataNotWrittenError, UnsupportedTableError)


def commit_plan(catalog: Catalog, table: LakeTable, plan: RefPlan, cache: MetadataCache) -> LakeTable:
    """Commit a plan; answers the table as it is afterwards.

    Costs one metadata file written and one catalog update; nothing of the table's data is touched.

    Raises:
        CommitRefusedError: nothing was changed; load again and decide again.
        CommitOutcomeUnknownError: look at the table before anything else is done.
        DatasetForbiddenError, MetadataNotWrittenError: nothing was changed.
        UnsupportedTableError: this catalog cannot write metadata of the table's format version, or takes no such
            change; nothing was changed.
    """
    check_writable(catalog, table)
    committed = commit_changes(catalog, table, _to_requirements(table, plan), _to_updates(plan), cache)
    delete_superseded_metadata(table.io, table.metadata, committed.metadata)
    return committed


def commit_changes(
    catalog: Catalog,
    table: LakeTable,
    requirements: tuple[TableRequirement, ...],
    updates: tuple[TableUpdate, ...],
    cache: MetadataCache,
) -> LakeTable:
    """One commit; answers the table as it is afterwards, and leaves the given one as it was.

    Raises:
        CommitRefusedError: nothing was changed.
        CommitOutcomeUnknownError: look at the table before anything else is done.
        DatasetForbiddenError: nothing was changed; this program may not change the table.
        MetadataNotWrittenError: nothing was changed; only of SQL catalogs, whose metadata files are written from here.
        UnsupportedTableError: nothing was changed; the catalog takes no such change.
    """
    # pyiceberg changes the handle that it commits with.
    handle = copy(table.handle)
    response = _ask(catalog, table, handle, requirements, updates)
    try:
        state = to_state(response.metadata, response.metadata_location, table.state.name, base=table)
    except Exception as error:
        # The catalog has said yes: whatever this is, it must not pass for an error from before that.
        raise CommitOutcomeUnknownError(f"it was committed, but cannot be read: {first_line(error)}") from error
    handle.metadata, handle.metadata_location = response.metadata, response.metadata_location
    if isinstance(catalog, CachingSqlCatalog):
        cache.put(response.metadata_location, response.metadata)
    cache.put_state(state)
    if response.metadata_location != table.state.metadata_location:
        cache.drop(table.state.metadata_location, str(table.state.name))
    return LakeTable(state=state, handle=handle)


def _ask(
    catalog: Catalog,
    table: LakeTable,
    handle: Table,
    requirements: tuple[TableRequirement, ...],
    updates: tuple[TableUpdate, ...],
) -> CommitTableResponse:
    """What the catalog answers to a commit; raises as `commit_changes`."""
    name = str(table.state.name)
    try:
        return catalog.commit_table(handle, requirements, updates)
    except (CommitFailedException, NoSuchTableError, BadRequestError) as error:
        raise CommitRefusedError(str(error)) from error
    except ForbiddenError as error:
        raise DatasetForbiddenError(name, first_line(error)) from error
    except (TooManyRequestsError, UnauthorizedError, AuthorizationExpiredError) as error:
        raise CommitDeferredError(first_line(error)) from error
    except NotImplementedError as error:
        if isinstance(catalog, RestCatalog) and not _is_answer(error) and takes_commits(catalog):
            # It was asked, and has not said this: its yes could not be parsed.
            raise CommitOutcomeUnknownError(first_line(error)) from error
        reason = f"the catalog does not take it ({first_line(error)})"
        raise UnsupportedTableError(name, "this change", reason) from error
    except MetadataWriteError as error:
        raise MetadataNotWrittenError(name, error.location, error.reason) from error
    except (CommitStateUnknownException, SQLAlchemyError, RESTError, requests.RequestException, OSError) as error:
        raise CommitOutcomeUnknownError(first_line(error)) from error
    except ValueError as error:
        if isinstance(catalog, RestCatalog):
            # The server had said yes when its answer could not be parsed.
            raise CommitOutcomeUnknownError(first_line(error)) from error
        # Raised while the new metadata is built, before anything is written: a snapshot expired meanwhile.
        raise CommitRefusedError(str(error)) from error


def _is_answer(error: Exception) -> bool:
    """Whether an error is made of what a REST server answered: pyiceberg names the failed request as its cause."""
    return isinstance(error.__cause__, requests.HTTPError)


def giving_up(dataset: DatasetName, attempts: int, refusal: CommitRefusedError | None) -> AppError:
    """What to tell of a commit that was refused that often, lastly so; nothing was changed."""
    if isinstance(refusal, CommitDeferredError):
        return BackendUnavailableError("catalog", f"nothing was changed in {attempts} attempts: {refusal}")
    return CommitConflictError(str(dataset), attempts)


def check_writable(catalog: Catalog, table: LakeTable) -> None:
    """That this catalog can commit to the table.

    Raises:
        UnsupportedTableError: format version 3 or later, whose metadata only a REST server writes for us.
    """
    version = table.state.format_version
    if version > WRITABLE_FORMAT_VERSION and not isinstance(catalog, RestCatalog):
        raise UnsupportedTableError(
            str(table.state.name),
            f"format version {version}",
            f"metadata of this version can be changed through a REST catalog only, and {catalog.name!r} is none",
        )


def _to_updates(plan: RefPlan) -> tuple[TableUpdate, ...]:
    updates: list[TableUpdate] = [_to_update(update) for update in plan.updates if not update.is_assertion]
    if plan.schema is not None:
        updates.append(SetCurrentSchemaUpdate(schema_id=plan.schema.after))
    return tuple(updates)


def _to_update(update: RefUpdate) -> TableUpdate:
    if update.after is None:
        return RemoveSnapshotRefUpdate(ref_name=update.name)
    return SetSnapshotRefUpdate(
        ref_name=update.name,
        type=SnapshotRefType.TAG if update.after.kind is RefKind.TAG else SnapshotRefType.BRANCH,
        snapshot_id=update.after.snapshot_id,
        min_snapshots_to_keep=update.after.min_snapshots_to_keep,
        max_snapshot_age_ms=update.after.max_snapshot_age_ms,
        max_ref_age_ms=update.after.max_ref_age_ms,
    )


def _to_requirements(table: LakeTable, plan: RefPlan) -> tuple[TableRequirement, ...]:
    requirements: list[TableRequirement] = [AssertTableUUID(uuid=table.state.table_uuid)]
    requirements += [AssertRefSnapshotId(ref=update.name, snapshot_id=update.before) for update in plan.updates]
    if plan.schema is not None:
        requirements.append(AssertCurrentSchemaId(current_schema_id=plan.schema.before))
    return tuple(requirements)
