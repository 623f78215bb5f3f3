"""The domain's enums, named for the schema."""

from __future__ import annotations

import strawberry

from app.domain.changes import ChangeKind, ChangeState
from app.domain.datasets import Availability, Layer
from app.domain.history import SnapshotOperation
from app.domain.lineage import Direction
from app.domain.roles import InputRole
from app.domain.run_state import RunStatus
from app.domain.tags import TagConvention
from app.errors import Category

__all__ = [
    "Availability",
    "ChangeKind",
    "ChangeState",
    "Direction",
    "InputRole",
    "Layer",
    "RunStatus",
    "SnapshotOperation",
    "TagConvention",
    "UserErrorCode",
]

strawberry.enum(
    Availability,
    description="Whether a thing can be reached at its source now. EXPIRED: the source has dropped it. UNREACHABLE: "
    "the source does not answer, or what it holds cannot be read.",
)
strawberry.enum(ChangeKind, description="What was done.")
strawberry.enum(
    ChangeState,
    description="Where a change stands. INTENDED: under way, or interrupted and not settled yet. DONE, FAILED: it took "
    "place, or did not. UNKNOWN: the catalog could not tell.",
)
strawberry.enum(Direction, description="UPSTREAM: what it was made from. DOWNSTREAM: what was made from it.")
strawberry.enum(InputRole, description="What a version of a dataset was read for.")
strawberry.enum(RunStatus, description="How a run stands.")
strawberry.enum(Layer, description="Layer of the medallion architecture.")
strawberry.enum(SnapshotOperation, description="Iceberg's four kinds of commit.")
strawberry.enum(TagConvention, description="The naming conventions of tags that are recognised.")
strawberry.enum(Category, name="UserErrorCode", description="What kind of trouble an error is.")

UserErrorCode = Category
