"""What events tell of datasets that are in no catalog of ours, beside who made what from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from app.domain.events import DatasetEvent, DatasetId, DatasetRole, DatasetUse, LineageEvent
from app.domain.external import facts_of, renames_in, uses_in
from app.domain.lineage import Projection, is_external
from app.domain.run_projection import BoundUse, with_renames
from app.domain.run_state import RunState, RunStatus
from app.services.resolving import Resolving

# New and old name, and when.
Renames = Mapping[tuple[DatasetId, DatasetId], datetime]


async def with_what_is_told(
    projection: Projection,
    events: Sequence[LineageEvent],
    bound: Iterable[BoundUse],
    renames: Renames,
    resolving: Resolving,
) -> Projection:
    """The projection of these events, with the facts that they tell of external datasets, and renames of such joined.

    A rename of one of our tables joins nothing: its id has stayed. Raises as `Resolving.bind`.
    """
    external = {use.use.use.dataset: is_external(use.binding.vertex) for use in bound}
    # Outputs of a run that goes on or failed are not bound, and neither is what a dataset was called before.
    open_uses = [use for event in events for use in uses_in(event) if use.dataset not in external]
    olds = [DatasetUse(dataset=old, role=DatasetRole.OUTPUT) for _, old in renames if old not in external]
    if open_uses or olds:
        ours = await resolving.find_ours([*open_uses, *olds])
        external |= {use.dataset: use.dataset not in ours for use in (*open_uses, *olds)}
    joined = {(new, old): at for (new, old), at in renames.items() if external[new] and external[old]}
    facts = tuple(fact for fact in facts_of(events) if external.get(fact.dataset, False))
    return replace(with_renames(projection, joined), facts=facts)


def renames_of_run(state: RunState) -> Renames:
    """What a run has renamed, if it ended well."""
    if state.status is not RunStatus.SUCCESS or state.ended_at is None:
        return {}
    return dict.fromkeys(renames_in(output.use for output in state.outputs), state.ended_at)


def renames_of_datasets(events: Iterable[DatasetEvent]) -> Renames:
    """What events about datasets alone say was renamed, each the last time that it was."""
    found: dict[tuple[DatasetId, DatasetId], datetime] = {}
    for event in events:
        for pair in renames_in([event.dataset]):
            found[pair] = max(event.event_time, found.get(pair, event.event_time))
    return found
