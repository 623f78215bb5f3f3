"""Operations: long jobs that a worker does."""

from __future__ import annotations

from datetime import datetime

import strawberry

from app.domain import operations
from app.graphql import ids
from app.graphql.context import Info
from app.graphql.fields import field
from app.graphql.scalars import JSON, to_json
from app.graphql.types.actor import Actor, show_actor
from app.graphql.types.enums import OperationKind, OperationStatus
from app.graphql.types.interfaces import Node


@strawberry.type(description="A long job: survives a restart, reports progress, can be cancelled.")
class Operation(Node):
    """A long job."""

    operation: strawberry.Private[operations.Operation]

    @field(description="Opaque and stable.")
    def id(self) -> strawberry.ID:
        """Node id."""
        return ids.operation_id(self.operation.operation_id)

    @field(description="The operation's UUID, by which REST, Python and the command line know it.")
    def operation_id(self) -> strawberry.ID:
        """The operation's UUID."""
        return strawberry.ID(str(self.operation.operation_id))

    @field(description="What is done.")
    def kind(self) -> OperationKind:
        """What is done."""
        return self.operation.kind

    @field(description="Where it stands.")
    def status(self) -> OperationStatus:
        """Where it stands."""
        return self.operation.status

    @field(description="How far it is, from 0 to 1. It begins at 0 again where another worker has to begin anew.")
    def progress(self) -> float:
        """How far it is."""
        return self.operation.progress

    @field(description="What it is at, in words.")
    def message(self) -> str | None:
        """What it is at."""
        return self.operation.message

    @field(description="What was asked for.")
    def request(self) -> JSON:
        """What was asked for."""
        return to_json(self.operation.request)

    @field(description="When it was asked for.")
    def requested_at(self) -> datetime:
        """When it was asked for."""
        return self.operation.requested_at

    @field(description="Who asked for it.")
    def requested_by(self) -> Actor:
        """Who asked for it."""
        return show_actor(self.operation.requested_by)

    @field(description="Why it was asked for, in the words of who did.")
    def reason(self) -> str | None:
        """Why it was asked for."""
        return self.operation.reason

    @field(description="When a worker began, the last one where several had to; null while it waits.")
    def started_at(self) -> datetime | None:
        """When a worker began."""
        return self.operation.started_at

    @field(description="When it ended; null until then.")
    def ended_at(self) -> datetime | None:
        """When it ended."""
        return self.operation.ended_at

    @field(description="Whether somebody wants it to end undone.")
    def is_cancel_requested(self) -> bool:
        """Whether somebody wants it to end undone."""
        return self.operation.is_cancel_requested

    @field(description="What came of it; null as long as it has not succeeded.")
    async def result(self, info: Info) -> JSON | None:
        """What came of it."""
        if self.operation.status is not OperationStatus.SUCCEEDED:
            # So that nothing is told of the end of one that is shown as it was ahead of it.
            return None
        found = await info.context.loaders.results.load(self.operation.operation_id)
        return None if found is None else to_json(found)

    @field(description="What it failed of, in words; null where it did not.")
    def error(self) -> str | None:
        """What it failed of."""
        return self.operation.failure.message if self.operation.failure else None

    @field(description="The very error, as docs/errors.md lists them.")
    def error_code(self) -> str | None:
        """The very error."""
        return self.operation.failure.code if self.operation.failure else None

    @field(description="What was looked up, expected and found, where it failed.")
    def error_details(self) -> JSON | None:
        """The facts of the error."""
        return to_json(self.operation.failure.fields) if self.operation.failure else None
