"""Expiry as Iceberg itself defines it, without any rule of ours: the yardstick, and what other engines would do.

The specification, section "Snapshot Retention Policy", evaluates the policies of table and refs in this order:

1. Start with an empty set of snapshots to retain.
2. Remove any refs (other than main) where the referenced snapshot is older than `max-ref-age-ms`.
3. For each branch and tag, add the referenced snapshot to the retained set.
4. For each branch, add its ancestors to the retained set until the snapshot is older than `max-snapshot-age-ms` AND is
   not one of the first `min-snapshots-to-keep` in the branch, the branch's referenced snapshot included.
5. Expire any snapshot not in the set of snapshots to retain.

What a ref does not set is taken from the table properties `history.expire.…`; `min-snapshots-to-keep` and
`max-snapshot-age-ms` are of branches only, and the main branch never expires.

The reference implementation (`RemoveSnapshots`) does three things beyond it, and so does this module:

- A snapshot that is on no retained branch and under no retained tag, such as a staged one or an ancestor of a tag
  alone, is retained while it is younger than the table's age. The ancestors of a branch are on it down to the root.
- A ref other than main whose snapshot does not exist is removed.
- `older_than` and `retain_last` of a call take the place of the table's properties, but not of the refs' settings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from app.domain.history import ENDLESS_AGE_MS, MAIN, History, Ref, RefKind
from app.domain.retention.instants import DAY_MS

# What engines go by where neither ref nor table says anything (Iceberg docs, "Table properties").
DEFAULT_MIN_SNAPSHOTS_TO_KEEP = 1
DEFAULT_MAX_SNAPSHOT_AGE_MS = 5 * DAY_MS
DEFAULT_MAX_REF_AGE_MS = ENDLESS_AGE_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class IcebergSettings:
    """The three properties `history.expire.…` of a table; None where one is not set."""

    min_snapshots_to_keep: int | None = None
    max_snapshot_age_ms: int | None = None
    max_ref_age_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IcebergExpiry:
    """What one expiry leaves and takes: ids of snapshots, names of refs."""

    retained: frozenset[int]
    expired: frozenset[int]
    removed_refs: frozenset[str]


def expire_as_iceberg(
    history: History,
    *,
    now_ms: int,
    settings: IcebergSettings | None = None,
    older_than_ms: int | None = None,
    retain_last: int | None = None,
) -> IcebergExpiry:
    """What `expire_snapshots` of the reference implementation does to a table at `now_ms`.

    `settings` are the table's properties, with Iceberg's defaults where it sets none. `older_than_ms` is an instant:
    what is older may expire. A snapshot as old as the limit to the millisecond is retained. Costs a walk along each
    branch.
    """
    if not history.snapshots:
        return IcebergExpiry(retained=frozenset(), expired=frozenset(), removed_refs=frozenset())
    settings = settings or IcebergSettings()
    refs = refs_retained(history, now_ms=now_ms, settings=settings)
    if older_than_ms is None:
        older_than_ms = now_ms - _either(settings.max_snapshot_age_ms, DEFAULT_MAX_SNAPSHOT_AGE_MS)
    if retain_last is None:
        retain_last = _either(settings.min_snapshots_to_keep, DEFAULT_MIN_SNAPSHOTS_TO_KEEP)
    retained = {ref.snapshot_id for ref in refs.values() if ref.snapshot_id in history.snapshots}
    referenced = set(retained)
    for ref in refs.values():
        if ref.kind is RefKind.BRANCH:
            least_ms = older_than_ms if ref.max_snapshot_age_ms is None else now_ms - ref.max_snapshot_age_ms
            count = _either(ref.min_snapshots_to_keep, retain_last)
            retained.update(_retained_of_branch(history, ref, least_ms, count))
            referenced.update(snapshot.snapshot_id for snapshot in history.ancestors(ref.snapshot_id))
    retained.update(
        snapshot.snapshot_id
        for snapshot in history.snapshots.values()
        if snapshot.snapshot_id not in referenced and snapshot.timestamp_ms >= older_than_ms
    )
    return IcebergExpiry(
        retained=frozenset(retained),
        expired=frozenset(history.snapshots.keys() - retained),
        removed_refs=frozenset(history.refs.keys() - refs.keys()),
    )


def refs_retained(history: History, *, now_ms: int, settings: IcebergSettings) -> dict[str, Ref]:
    """The refs that an expiry by Iceberg's own rules leaves at `now_ms`, by name."""
    default_ms = _either(settings.max_ref_age_ms, DEFAULT_MAX_REF_AGE_MS)
    return {name: ref for name, ref in history.refs.items() if _is_retained(history, ref, now_ms, default_ms)}


def _is_retained(history: History, ref: Ref, now_ms: int, default_ms: int) -> bool:
    if ref.name == MAIN:
        return True
    snapshot = history.snapshots.get(ref.snapshot_id)
    if snapshot is None:
        return False
    return now_ms - snapshot.timestamp_ms <= _either(ref.max_ref_age_ms, default_ms)


def _retained_of_branch(history: History, ref: Ref, least_ms: int, count: int) -> Iterator[int]:
    for place, snapshot in enumerate(history.ancestors(ref.snapshot_id)):
        if place >= count and snapshot.timestamp_ms < least_ms:
            return
        yield snapshot.snapshot_id


def _either(value: int | None, default: int) -> int:
    return default if value is None else value
