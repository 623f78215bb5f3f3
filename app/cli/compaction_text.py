"""What compaction says to people, to the letter of the contract. MB are 1,048,576 bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from app.cli.output import print_line

if TYPE_CHECKING:
    from app.errors import JsonValue
    from app.services.compaction.entries import (
        AnalysisEntry,
        BinEntry,
        PlanEntry,
        StorageEntry,
        SummaryEntry,
        TableEntry,
    )

SHOWN = 4
RULE = "=" * 80
# In the order in which they are told.
_WAYS = {"copy": "Copied", "rewrite": "Rewritten"}


def print_analysis(entry: AnalysisEntry) -> None:
    """A table that was only looked at."""
    plan = entry["plan"]
    print_plan(entry["namespace"], entry["table"], plan)
    if plan is not None and plan["needs_compaction"]:
        print_line(f"  Files afterwards: {plan['estimated_files_after']:,}")
    _print_error(entry["error"])


def print_plan(namespace: str, table: str | None, plan: PlanEntry | None) -> None:
    """What a table has, and whether that needs compaction; of a namespace no more than its name."""
    print_line(f"Analyzing namespace: {namespace}" if table is None else f"Analyzing table: {namespace}.{table}")
    if plan is None:
        return
    print_line(f"  Total files: {plan['total_files']:,}")
    print_line(f"  Total size: {_mb(plan['total_size_mb'])}")
    print_line(f"  Avg file size: {_mb(plan['avg_file_size_mb'])}")
    print_line(f"  Small files (<{plan['min_file_size_mb']} MB): {plan['small_files']:,}")
    print_line(f"  Needs compaction: {plan['needs_compaction']}")
    print_line(f"  Reason: {plan['reason']}")


def print_table_run(entry: TableEntry, *, is_begun: bool = False) -> None:
    """What was done to a table, or would be; where it is begun its plan was told before."""
    if not is_begun:
        print_plan(entry["namespace"], entry["table"], entry["plan"])
    if entry["skipped"] is not None:
        print_line(f"  Skipped: {entry['skipped']}")
    elif entry["run_id"] is not None:
        _print_done(entry)
    elif entry["error"] is None:
        _print_undone(entry)
    for warning in entry["warnings"]:
        print_line(f"  ! {warning}")
    _print_some(entry["leftover_files"], "    ")
    _print_error(entry["error"])


def print_summary(summary: SummaryEntry) -> None:
    """All tables together."""
    tables = [entry for entry in summary["tables"] if entry["table"] is not None]
    is_dry_run = any(entry["dry_run"] for entry in summary["tables"])
    done = sum(entry["snapshot_id"] is not None or _is_planned(entry) for entry in tables)
    print_line()
    print_line("COMPACTION SUMMARY" + (" (dry run: nothing was changed)" if is_dry_run else ""))
    print_line(RULE)
    print_line(f"Tables processed: {len(tables):,}")
    print_line(f"Tables {'to compact' if is_dry_run else 'compacted'}: {done:,}")
    for word, count in (
        ("skipped", sum(entry["skipped"] is not None for entry in tables)),
        ("failed", sum(entry["error"] is not None for entry in tables)),
    ):
        if count:
            print_line(f"Tables {word}: {count:,}")
    if hidden := len(summary["tables"]) - len(tables):
        print_line(f"Namespaces failed: {hidden:,}")
    print_line(f"Files: {summary['files_before']:,} → {summary['files_after']:,}")
    if not is_dry_run:
        print_line(f"Size: {_mb(summary['size_before_mb'])} → {_mb(summary['size_after_mb'])}")


def _print_done(entry: TableEntry) -> None:
    seconds = f"{entry['duration_s']:.2f}s"
    if entry["snapshot_id"] is None:
        print_line(f"  Nothing was committed, after {seconds}")
        return
    if entry["error"] is None:
        print_line(f"  ✓ Compaction completed in {seconds}")
    else:
        print_line(f"  ! It ended early, after {seconds}; what was committed stays")
    print_line(f"    Files: {entry['files_before']:,} → {entry['files_after']:,}")
    print_line(f"    Size: {_mb(entry['size_before_mb'])} → {_mb(entry['size_after_mb'])}{_compression(entry)}")
    for way, word in _WAYS.items():
        _print_way(word, [each for each in entry["bins"] if each["way"] == way])
    if entry["dropped_delete_files"]:
        print_line(f"    Delete files that nothing needs any more: {entry['dropped_delete_files']:,}")
    if entry["storage"] is not None:
        _print_storage(entry["storage"])


def _print_undone(entry: TableEntry) -> None:
    if not _is_planned(entry):
        print_line("  Nothing to do")
        return
    plan = entry["plan"]
    what = "some of it" if entry["is_partial"] or plan is None else _mb(plan["rewrite_size_mb"])
    print_line(f"  Would rewrite {what} (dry run: nothing was changed)")
    print_line(f"    Files: {entry['files_before']:,} → {entry['files_after']:,}")


def _is_planned(entry: TableEntry) -> bool:
    """Whether it would be compacted; in a dry run alone."""
    plan = entry["plan"]
    return entry["dry_run"] and entry["skipped"] is None and plan is not None and plan["needs_compaction"]


def _print_way(word: str, bins: list[BinEntry]) -> None:
    from app.domain.compaction.planning import counted

    if not bins:
        return
    before, after = sum(each["files"] for each in bins), sum(each["files_after"] for each in bins)
    print_line(f"    {word}: {counted(len(bins), 'bin')}, {before:,} files → {after:,}")
    reasons = Counter(each["why"] for each in bins if each["why"] is not None)
    _print_some((f"{counted(count, 'bin')}: {why}" for why, count in reasons.most_common()), "      ")


def _print_storage(storage: StorageEntry) -> None:
    from app.domain.retention.explaining_tables import shown_bytes

    earlier = storage["earlier_bytes"]
    held = "more than is known" if earlier is None else shown_bytes(earlier)
    print_line(
        f"    Earlier snapshots hold {held} until retention runs, which would free "
        f"{shown_bytes(storage['expirable_bytes'])} now"
    )
    pins = sorted(storage["pinned"].items(), key=lambda pin: (-pin[1], pin[0]))
    _print_some(
        (
            f"{pin} alone keeps {shown_bytes(size)}" if size else f"{pin} keeps what is kept otherwise too"
            for pin, size in pins
        ),
        "      ",
    )


def _print_error(error: dict[str, JsonValue] | None) -> None:
    if error is not None:
        print_line(f"  ✗ {error['code']}: {error['message']}")


def _print_some(lines: Iterable[str], indent: str) -> None:
    known = list(lines)
    for line in known[:SHOWN]:
        print_line(f"{indent}- {line}")
    if len(known) > SHOWN:
        print_line(f"{indent}... and {len(known) - SHOWN:,} more")


def _compression(entry: TableEntry) -> str:
    """How many times smaller the table is; of bins in bytes, because small tables are few hundredths of a MB."""
    from app.domain.compaction.policy import MIB

    before = sum(each["bytes"] for each in entry["bins"])
    after = sum(each["bytes_after"] for each in entry["bins"])
    others = max(0.0, entry["size_before_mb"] * MIB - before)
    # Less than that is what was lost when the size was rounded.
    others = 0.0 if others < MIB / 100 else others
    return f" ({(others + before) / (others + after):.3f}x compression)" if others + after > 0 else ""


def _mb(size_mb: float) -> str:
    return f"{size_mb:,.2f} MB"
