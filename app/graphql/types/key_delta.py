"""Members of JSON objects that differ."""

from __future__ import annotations

import strawberry

from app.domain import json_diff
from app.domain.json_diff import DeltaKind
from app.graphql.scalars import JSON, to_json

strawberry.enum(
    DeltaKind,
    description="What became of something that has a name. ADDED: `from` lacks it. REMOVED: `to` lacks it. It tells "
    "what is missing from what is null.",
)


@strawberry.type(description="A member of a JSON object that differs.")
class KeyDelta:
    """A member that differs."""

    key: str = strawberry.field(
        description="The way to it through nested objects, `optimizer.lr`. A name with a dot is in double quotes where "
        "two ways would read alike without them."
    )
    kind: DeltaKind = strawberry.field(description="What became of it.")
    before: JSON | None = strawberry.field(description="Its value in `from`; null where there is none.")
    after: JSON | None = strawberry.field(description="Its value in `to`; null where there is none.")


def show_key_delta(delta: json_diff.KeyDelta) -> KeyDelta:
    """A member that differs."""
    return KeyDelta(
        key=delta.key,
        kind=delta.kind,
        before=None if delta.before is None else to_json(delta.before),
        after=None if delta.after is None else to_json(delta.after),
    )
