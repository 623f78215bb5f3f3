"""Cutting what is told of a table."""

from __future__ import annotations

import pytest

from app.services.retention_entries import SnapshotEntry, TableEntry, cut_entry


def snapshots(count: int) -> list[SnapshotEntry]:
    return [SnapshotEntry(snapshot_id=str(n), timestamp_ms=-n, reasons=[], expires_at_ms=None) for n in range(count)]


def entry(kept: int, expired: int, tags: int, pins: int) -> TableEntry:
    return TableEntry(
        namespace="sales",
        table="orders",
        total_snapshots=kept + expired,
        kept=kept,
        expired=expired,
        kept_snapshots=snapshots(kept),
        expired_snapshots=snapshots(expired),
        kept_snapshots_truncated=False,
        expired_snapshots_truncated=False,
        removed_tags=[f"t{n:03}" for n in range(tags)],
        removed_tags_truncated=False,
        bytes_freed=7,
        bytes_total=8,
        files_deleted=9,
        files_left=0,
        pinned={f"tagged (p{n:03})": n % 5 for n in range(pins)},
        pinned_truncated=False,
        warnings=[],
        run_id=None,
        dry_run=True,
        error=None,
    )


@pytest.mark.parametrize("count", [0, 1, 99, 100])
def test_what_fits_is_left_as_it_is(count: int) -> None:
    given = entry(count, count, count, count)
    cut = cut_entry(given)
    assert {**cut, "pinned": None} == {**given, "pinned": None}
    assert cut["pinned"] == given["pinned"]


def test_what_does_not_fit_is_cut_each_by_itself_and_counts_stay() -> None:
    given = entry(101, 100, 250, 300)
    cut = cut_entry(given)
    assert [len(cut[name]) for name in ("kept_snapshots", "expired_snapshots", "removed_tags", "pinned")] == [100] * 4  # type: ignore[literal-required]
    assert (cut["kept_snapshots_truncated"], cut["expired_snapshots_truncated"]) == (True, False)
    assert (cut["removed_tags_truncated"], cut["pinned_truncated"]) == (True, True)
    assert (cut["kept"], cut["expired"], cut["total_snapshots"]) == (101, 100, 201)
    # The newest snapshots are left, and the pins that keep most.
    assert cut["kept_snapshots"] == given["kept_snapshots"][:100]
    assert list(cut["pinned"].values()) == [4] * 60 + [3] * 40
    # And what was given is as it was.
    assert len(given["kept_snapshots"]) == 101


def test_what_was_cut_before_still_says_so() -> None:
    once = cut_entry(entry(500, 0, 0, 0), 10)
    assert cut_entry(once, 10)["kept_snapshots"] == once["kept_snapshots"]
    assert cut_entry(once, 10)["kept_snapshots_truncated"]
