"""What a run of retention says to people, to the letter of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.cli.output import print_line

if TYPE_CHECKING:
    from app.services.retention_entries import SnapshotEntry, SummaryEntry, TableEntry

SHOWN = 4
RULE = "=" * 80


def print_table_run(entry: TableEntry) -> None:
    """One table."""
    print_line(f"Processing table: {entry['namespace']}.{entry['table']}")
    error = entry["error"]
    if error is None or entry["run_id"] is not None:
        print_line(f"  Total snapshots: {entry['total_snapshots']:,}")
        print_line(f"  To keep: {entry['kept']:,}")
        print_line(f"  To expire: {entry['expired']:,}")
        _print_snapshots("Kept", entry["kept_snapshots"], entry["kept"])
        _print_snapshots("Expired", entry["expired_snapshots"], entry["expired"])
        for tag in entry["removed_tags"]:
            print_line(f"  {'Would remove' if entry['dry_run'] else 'Removed'} tag {tag}, which is past retention")
        for warning in entry["warnings"]:
            print_line(f"  ! {warning}")
        if not entry["dry_run"]:
            print_line(f"  ✓ Expired {entry['expired']:,} snapshots")
    if error is not None:
        print_line(f"  ✗ {error['code']}: {error['message']}")


def print_summary(summary: SummaryEntry) -> None:
    """All tables together."""
    from app.domain.retention.explaining_tables import shown_bytes

    failed = [entry for entry in summary["tables"] if entry["error"] is not None]
    share = summary["bytes_freed"] / summary["bytes_total"] if summary["bytes_total"] else 0.0
    is_dry_run = any(entry["dry_run"] for entry in summary["tables"])
    print_line()
    print_line("CLEANUP SUMMARY" + (" (dry run: nothing was changed)" if is_dry_run else ""))
    print_line(RULE)
    print_line(f"Tables processed: {len(summary['tables']):,}")
    if failed:
        print_line(f"Tables failed: {len(failed):,}")
    print_line(f"Total snapshots: {summary['total_snapshots']:,}")
    print_line(f"Kept: {summary['kept']:,}")
    print_line(f"Expired: {summary['expired']:,}")
    print_line(f"Space saved: {shown_bytes(summary['bytes_freed'])} ({share:.1%})")


def _print_snapshots(word: str, snapshots: Sequence[SnapshotEntry], count: int) -> None:
    if not count:
        return
    print_line(f"  {word} snapshots:")
    for snapshot in snapshots[:SHOWN]:
        print_line(f"    - {snapshot['snapshot_id']} ({_minute(snapshot['timestamp_ms'])}) - {_reasons(snapshot)}")
    if count > SHOWN:
        print_line(f"    ... and {count - SHOWN:,} more")


def _reasons(snapshot: SnapshotEntry) -> str:
    return ", ".join(snapshot["reasons"]) or "expired"


def _minute(timestamp_ms: int) -> str:
    from app.domain.history import to_instant

    return to_instant(timestamp_ms).strftime("%Y-%m-%d %H:%M")
