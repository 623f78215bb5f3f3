"""Branches: names that move with every commit to them."""

from __future__ import annotations

import strawberry

from app.domain.history import Ref
from app.graphql.fields import field
from app.graphql.ids import branch_id
from app.graphql.types.interfaces import Node
from app.graphql.types.snapshot import Snapshot, snapshot_of
from app.lake.table import LakeTable


@strawberry.type(description="A line of versions that writers add to; an Iceberg ref.")
class Branch(Node):
    """A line of versions that writers add to."""

    table: strawberry.Private[LakeTable]
    ref: strawberry.Private[Ref]

    @field(description="Opaque, and stable as long as the branch exists.")
    def id(self) -> strawberry.ID:
        """Node id."""
        return branch_id(self.table.state.table_uuid, self.ref.name)

    @field(description="The branch's name.")
    def name(self) -> str:
        """The branch's name."""
        return self.ref.name

    @field(description="The newest version of the branch.")
    def head(self) -> Snapshot:
        """The newest version of the branch."""
        return snapshot_of(self.table, self.ref.snapshot_id)

    @field(description="Number of versions that it has and `main` has not.")
    def ahead_of_main(self) -> int:
        """Number of versions that main lacks."""
        return self.table.state.history.ahead_behind(self.ref.snapshot_id)[0]

    @field(description="Number of versions that `main` has and it has not.")
    def behind_main(self) -> int:
        """Number of versions that it lacks."""
        return self.table.state.history.ahead_behind(self.ref.snapshot_id)[1]
