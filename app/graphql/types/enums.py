"""The domain's enums, named for the schema."""

from __future__ import annotations

import strawberry

from app.domain.changes import ChangeKind, ChangeState
from app.domain.compaction.planning import Verdict
from app.domain.datasets import Availability, Layer
from app.domain.history import SnapshotOperation
from app.domain.holds import HoldState
from app.domain.lineage import Direction
from app.domain.operations import OperationKind, OperationStatus
from app.domain.roles import InputRole
from app.domain.row_diffs import Engine, KeyFault, Method
from app.domain.run_state import RunStatus
from app.domain.schema_changes import SchemaChangeKind
from app.domain.tags import TagConvention
from app.domain.version_relation import DiffSide, VersionRelation
from app.errors import Category

__all__ = [
    "Availability",
    "ChangeKind",
    "ChangeState",
    "CompactionVerdict",
    "DiffSide",
    "Direction",
    "HoldState",
    "InputRole",
    "KeyFault",
    "Layer",
    "OperationKind",
    "OperationStatus",
    "RowDiffEngine",
    "RowDiffMethod",
    "RunStatus",
    "SchemaChangeKind",
    "SnapshotOperation",
    "TagConvention",
    "UserErrorCode",
    "VersionRelation",
]

strawberry.enum(
    Availability,
    description="Whether a thing can be reached at its source now. EXPIRED: the source has dropped it. UNREACHABLE: "
    "the source does not answer, or what it holds cannot be read.",
)
strawberry.enum(
    ChangeKind,
    description="What was done. SNAPSHOTS_EXPIRED: a run of retention took snapshots out of a dataset; "
    "`Dataset.retentionRuns` tells more of it. COMPACTED: files were brought together; `details` has the snapshots "
    "that did so, and the files and bytes ahead of it and after it.",
)
strawberry.enum(
    ChangeState,
    description="Where a change stands. INTENDED: under way, or interrupted and not settled yet. DONE, FAILED: it took "
    "place, or did not. UNKNOWN: the catalog could not tell.",
)
strawberry.enum(
    Verdict,
    name="CompactionVerdict",
    description="What a plan of compaction found. NEEDED: there is something to do. FINE: nothing is wrong with the "
    "files. IN_VAIN: something is, and bringing files together would not change it. EMPTY: there are no files.",
)
strawberry.enum(DiffSide, description="Which of the two versions that are compared.")
strawberry.enum(Direction, description="UPSTREAM: what it was made from. DOWNSTREAM: what was made from it.")
strawberry.enum(
    HoldState,
    description="How a hold stands. WANTED: its tag is about to be set; it keeps its snapshot already. LIVE: it is "
    "set. RELEASING: its tag is to go. RELEASED: it keeps nothing any more.",
)
strawberry.enum(InputRole, description="What a version of a dataset was read for.")
strawberry.enum(RunStatus, description="How a run stands.")
strawberry.enum(
    OperationKind,
    description="What a long job does. ROW_DIFF: compares the rows of two versions. RETENTION: expires snapshots, or "
    "tells which it would expire. ORPHANS: removes files that a dataset does not reach, or tells which there are. "
    "COMPACTION: brings small files together, or tells which it would.",
)
strawberry.enum(
    OperationStatus,
    description="Where a long job stands. QUEUED: it waits for a worker. RUNNING: a worker is at it; it may be QUEUED "
    "again where that worker is stopped. SUCCEEDED, FAILED, CANCELLED: it has ended.",
)
strawberry.enum(
    KeyFault,
    description="Why keys identify no rows. NOT_UNIQUE: one is on several rows of a version. HAS_NULL: one has a null.",
)
strawberry.enum(Layer, description="Layer of the medallion architecture.")
strawberry.enum(
    SchemaChangeKind,
    description="What happened to a field; one field may have several changes. REPLACED: it was dropped, and another "
    "one was added under its name.",
)
strawberry.enum(
    Method,
    name="RowDiffMethod",
    description="How differing rows were found. METADATA: from manifests alone; data was read to show rows, at most. "
    "KEYS: rows were joined by their key. MULTISET: equal rows were counted on both sides.",
)
strawberry.enum(
    Engine,
    name="RowDiffEngine",
    description="Where rows were joined or counted. DUCKDB: in this server, from the files that differ. SPARK: on a "
    "cluster, which read both versions whole and checked keys among all their rows.",
)
strawberry.enum(SnapshotOperation, description="Iceberg's four kinds of commit.")
strawberry.enum(TagConvention, description="The naming conventions of tags that are recognised.")
strawberry.enum(
    VersionRelation,
    description="What the version compared from is to the one compared to. ANCESTOR: the usual case, the second was "
    "made from the first, or where versions are counted comes later. DIVERGED: both were made from `mergeBase`. "
    "UNRELATED: they are known to have nothing in common. UNKNOWN: nothing in common is left, but versions have "
    "expired in which there may have been something.",
)
strawberry.enum(Category, name="UserErrorCode", description="What kind of trouble an error is.")

CompactionVerdict = Verdict
UserErrorCode = Category
RowDiffEngine = Engine
RowDiffMethod = Method
