"""Requests about models and pipelines: known by their idempotency keys, and by what they ask for."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

from app.domain.changes import ChangeKind, ChangeState, Command, RegistrySubject
from app.errors import IdempotencyKeyInUseError, IdempotencyKeyReusedError, JsonValue
from app.registry.change_rows import IdempotencyKeyTakenError
from app.registry.facts import Fact, StoredFact, Transaction, find_fact_by_key


@dataclass(frozen=True, slots=True, kw_only=True)
class FactRequest:
    """What is asked for, as far as it identifies the request: the same key must come with the same arguments."""

    kind: ChangeKind
    subject: RegistrySubject
    arguments: Mapping[str, JsonValue]

    def fingerprint(self, command: Command) -> bytes:
        """A hash that is equal for equal requests, for the same reason."""
        text = json.dumps([self.kind, repr(self.subject), self.arguments, command.reason], sort_keys=True)
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()

    def fact(self, command: Command, details: Mapping[str, JsonValue], *, change_id: UUID | None = None) -> Fact:
        """The record of doing it."""
        return Fact(
            change_id=change_id or uuid4(),
            kind=self.kind,
            subject=self.subject,
            command=command,
            request_hash=self.fingerprint(command),
            details=details,
        )


async def find_repeated(connection: Transaction, request: FactRequest, command: Command) -> StoredFact | None:
    """What the first request with this key did, None where there was none or it failed.

    Raises:
        IdempotencyKeyReusedError: it asked for something else.
        IdempotencyKeyInUseError: it is under way.
    """
    key = command.idempotency_key
    if key is None:
        return None
    stored = await find_fact_by_key(connection, command.actor, key)
    if stored is None:
        return None
    if stored.request_hash != request.fingerprint(command):
        raise IdempotencyKeyReusedError(key)
    if stored.change.state in (ChangeState.INTENDED, ChangeState.UNKNOWN):
        raise IdempotencyKeyInUseError(key)
    return stored


@contextlib.contextmanager
def key_of_its_own(command: Command) -> Iterator[None]:
    """For writing a fact: a key that is taken meanwhile is in use by another request.

    Raises:
        IdempotencyKeyReusedError: so it is.
    """
    try:
        yield
    except IdempotencyKeyTakenError as error:
        raise IdempotencyKeyReusedError(command.idempotency_key or "") from error
