"""Intentions as they are written down."""

from __future__ import annotations

from uuid import UUID

from app.domain.changes import Actor, ChangeKind, Command, DatasetSubject
from app.domain.names import DatasetName
from app.registry.change_rows import Intent


def test_what_is_no_plan_leaves_the_key_to_what_asked_for_it() -> None:
    command = Command(actor=Actor(subject="maria"), reason="reads are slow", idempotency_key="nightly")
    subject = DatasetSubject(dataset=DatasetName(namespace="gold", name="orders"), table_uuid=UUID(int=7))

    intents = [
        Intent.without_plan(UUID(int=number), ChangeKind.COMPACTED, subject, command, "v1.metadata.json", {"n": number})
        for number in range(2)
    ]

    for number, intent in enumerate(intents):
        assert (intent.change_id, intent.table_uuid, str(intent.dataset)) == (
            UUID(int=number),
            UUID(int=7),
            "gold.orders",
        )
        assert (intent.command.actor, intent.command.reason) == (command.actor, command.reason)
        assert (intent.command.idempotency_key, intent.request_hash) == (None, b"")
        assert (intent.plan.updates, intent.lease_s, intent.details) == ((), 0.0, {"n": number})
