"""Who acts."""

from __future__ import annotations

import strawberry

from app.domain import changes


@strawberry.federation.type(shareable=True, description="Who did something.")
class Actor:
    """Who did something."""

    subject: str = strawberry.field(description="The name under which the actor is known.")
    display_name: str | None = strawberry.field(
        default=None, description="What people call the actor; null as long as there are no accounts."
    )


def show_actor(actor: changes.Actor) -> Actor:
    """The actor as the schema has it."""
    return Actor(subject=actor.subject)
