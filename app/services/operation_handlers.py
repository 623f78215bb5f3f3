"""What does operations of one kind, and how it tells how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

from app.domain.operations import OperationCancelledError, Standing
from app.errors import JsonValue


class Progress:
    """How far a job is, as its handler tells. May be used from any thread, and as often as one likes: costs nothing."""

    def __init__(self, operation_id: UUID | None = None) -> None:
        """`operation_id` is the operation's, for what is written down of its doings."""
        self.operation_id = operation_id
        self._standing = Standing()
        self._is_stopped = False

    def report(self, fraction: float, message: str | None = None) -> None:
        """It is so far, from 0 to 1, and at this; without a message, at what it was.

        Raises:
            OperationCancelledError: it shall not go on.
        """
        self.check()
        self._standing = self._standing.advanced(fraction, message)

    def check(self) -> None:
        """Raises OperationCancelledError where it shall not go on."""
        if self._is_stopped:
            raise OperationCancelledError

    @property
    def standing(self) -> Standing:
        """How far it is, and what it is at."""
        return self._standing

    def stop(self) -> None:
        """Let whoever reports next hear that it shall not go on."""
        self._is_stopped = True


class OperationHandler(Protocol):
    """Does operations of one kind."""

    async def run(self, request: Mapping[str, JsonValue], progress: Progress) -> JsonValue:
        """What came of it, as JSON.

        It may be run again from the beginning, where a worker died or was stopped, and so must not mind what an earlier
        attempt has left. It is cancelled (as a task, and by `progress`) where it shall not go on; what it does in
        threads has to ask `progress`, and to have ended before this does. What would hold up the event loop belongs in
        threads.

        Raises:
            AppError: why it failed; all else is told by a trace id alone.
        """
