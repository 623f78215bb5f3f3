"""What comparing rows comes to, of few columns or of many, with the values that the engine was not given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from app.domain.version_relation import DiffSide
from app.lake.row_diff import joining, wide_joining
from app.lake.row_diff.engine import Engine, Source
from app.lake.row_diff.joining import KeyFinding, Outcome, RowCounts
from app.lake.row_diff.left_overs import HasOriginals
from app.lake.row_diff.long_values import restored, stand_ins_in


def outcome_of(
    engine: Engine,
    rows: tuple[Source, Source],
    row_counts: tuple[int, int],
    keys: Sequence[int] | None,
    room: RowCounts,
) -> Outcome | KeyFinding:
    """Compare the rows of both sides, of which there are so many, by their keys or as multisets."""
    is_wide = len(engine.places) > wide_joining.MANY_COLUMNS
    if keys is None:
        multisets = wide_joining.compare_multisets if is_wide else joining.compare_multisets
        return multisets(engine, *rows, room)
    by_keys = wide_joining.compare_keys if is_wide else joining.compare_keys
    return by_keys(engine, *rows, keys, row_counts, room)


def with_original_key(found: KeyFinding, from_feed: HasOriginals, to_feed: HasOriginals) -> KeyFinding:
    """The example, with the values that were too long for the engine."""
    feed = to_feed if found.side is DiffSide.TO else from_feed
    return replace(found, example=_restored(found.example, "", feed))


def with_originals(outcome: Outcome, from_feed: HasOriginals, to_feed: HasOriginals) -> Outcome:
    """What is shown, with the values that were too long for the engine."""
    changed = outcome.changed_rows
    if changed is not None:
        changed = _restored(_restored(changed, "f", from_feed), "t", to_feed)
    return replace(
        outcome,
        added_rows=_restored(outcome.added_rows, "", to_feed),
        removed_rows=_restored(outcome.removed_rows, "", from_feed),
        changed_rows=changed,
    )


def _restored(rows: pa.Table, prefix: str, feed: HasOriginals) -> pa.Table:
    return restored(rows, prefix, feed.originals(stand_ins_in(rows, prefix)))
