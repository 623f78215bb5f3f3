"""What a run of compaction says, to the letter of the contract."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.cli.compaction_text import print_analysis, print_summary, print_table_run
from app.domain.compaction.policy import MIB
from app.domain.names import DatasetName
from app.errors import NamespaceForbiddenError
from app.services.compaction.entries import (
    BinEntry,
    PlanEntry,
    StorageEntry,
    TableEntry,
    blank_entry,
    hidden_analysis_entry,
    hidden_entry,
    summary_entry,
)

CUSTOMERS = DatasetName(namespace="gold", name="customers")
FORBIDDEN = NamespaceForbiddenError("gold", "no")
HEAD = [
    "Analyzing table: gold.customers",
    "  Total files: 245",
    "  Total size: 5,120.50 MB",
    "  Avg file size: 20.90 MB",
    "  Small files (<10 MB): 125",
    "  Needs compaction: True",
    "  Reason: 125 files are smaller than 10 MB",
]
DONE = [
    "    Files: 245 → 11",
    "    Size: 5,120.50 MB → 5,089.20 MB (1.006x compression)",
    "    Copied: 10 bins, 230 files → 10",
    "    Rewritten: 1 bin, 15 files → 1",
    "      - 1 bin: there are deletes to apply",
]
Told = Callable[[TableEntry], list[str]]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    def tell(entry: TableEntry) -> list[str]:
        print_table_run(entry)
        return capsys.readouterr().out.splitlines()

    return tell


def entry(*, dry_run: bool = False) -> TableEntry:
    found = blank_entry(CUSTOMERS, dry_run=dry_run)
    found["plan"] = PlanEntry(
        needs_compaction=True,
        reason="125 files are smaller than 10 MB",
        total_files=245,
        total_size_mb=5120.5,
        avg_file_size_mb=20.9,
        small_files=125,
        min_file_size_mb=10,
        delete_files=3,
        estimated_files_after=11,
        bins=11,
        rewrite_size_mb=5120.5,
        requests_saved=468,
    )
    found["files_before"], found["files_after"] = 245, 11
    found["size_before_mb"] = found["size_after_mb"] = 5120.5
    return found


def a_bin(*, files: int, before_mb: float, after_mb: float, why: str | None = None) -> BinEntry:
    return BinEntry(
        way="copy" if why is None else "rewrite",
        partition="",
        files=files,
        files_after=1,
        bytes=round(before_mb * MIB),
        bytes_after=round(after_mb * MIB),
        why=why,
        snapshot_id="7",
    )


def done_entry() -> TableEntry:
    found = entry()
    found["run_id"], found["snapshot_id"], found["duration_s"] = "a", "7", 45.23
    found["size_after_mb"] = 5089.2
    found["bins"] = [
        *(a_bin(files=23, before_mb=480, after_mb=480) for _ in range(10)),
        a_bin(files=15, before_mb=320.5, after_mb=289.2, why="there are deletes to apply"),
    ]
    return found


def test_a_dry_run_says_what_would_be_done(told: Told) -> None:
    assert told(entry(dry_run=True)) == [
        *HEAD,
        "  Would rewrite 5,120.50 MB (dry run: nothing was changed)",
        "    Files: 245 → 11",
    ]


def test_what_was_done_is_told(told: Told) -> None:
    assert told(done_entry()) == [*HEAD, "  ✓ Compaction completed in 45.23s", *DONE]


def test_what_earlier_snapshots_hold_is_told_with_the_pins(told: Told) -> None:
    found = done_entry()
    found["dropped_delete_files"] = 3
    found["storage"] = StorageEntry(
        earlier_bytes=5 * 1024 * MIB,
        expirable_bytes=0,
        pinned={"tagged (audit_Q1_2026)": 12 * MIB, "hold x": 0, **{f"tagged (v{n})": n for n in range(1, 4)}},
        pinned_truncated=False,
    )
    assert told(found)[len(HEAD) + 1 + len(DONE) :] == [
        "    Delete files that nothing needs any more: 3",
        "    Earlier snapshots hold 5.0 GB until retention runs, which would free 0 bytes now",
        "      - tagged (audit_Q1_2026) alone keeps 12.0 MB",
        "      - tagged (v3) alone keeps 3 bytes",
        "      - tagged (v2) alone keeps 2 bytes",
        "      - tagged (v1) alone keeps 1 bytes",
        "      ... and 1 more",
    ]


def test_a_run_that_ended_early_is_no_success(told: Told) -> None:
    found = done_entry()
    found["error"] = {"code": "MISSING_FILE", "message": "The file x is gone."}
    found["leftover_files"] = [f"s3://b/{n}.parquet" for n in range(5)]
    found["warnings"] = ["5 files that are in no snapshot could not be removed; they are orphans"]
    assert told(found)[len(HEAD) :] == [
        "  ! It ended early, after 45.23s; what was committed stays",
        *DONE,
        "  ! 5 files that are in no snapshot could not be removed; they are orphans",
        *(f"    - s3://b/{n}.parquet" for n in range(4)),
        "    ... and 1 more",
        "  ✗ MISSING_FILE: The file x is gone.",
    ]


def test_where_others_were_always_faster_nothing_was_committed(told: Told) -> None:
    found = entry()
    found["run_id"], found["duration_s"], found["warnings"] = "a", 3.2, ["11 bins were changed by others"]
    assert told(found)[len(HEAD) :] == [
        "  Nothing was committed, after 3.20s",
        "  ! 11 bins were changed by others",
    ]


@pytest.mark.parametrize(
    ("case", "bins", "size_before_mb", "shown"),
    [
        ("small", [a_bin(files=2, before_mb=0.006, after_mb=0.002)], 0.01, " (3.000x compression)"),
        ("of a part", [a_bin(files=2, before_mb=50, after_mb=25)], 100.0, " (1.333x compression)"),
        ("nothing left", [a_bin(files=2, before_mb=50, after_mb=0)], 50.0, ""),
    ],
)
def test_compression_is_that_of_the_table(
    case: str, bins: list[BinEntry], size_before_mb: float, shown: str, told: Told
) -> None:
    found = done_entry()
    found["bins"], found["size_before_mb"] = bins, size_before_mb
    (line,) = [line for line in told(found) if line.startswith("    Size")]
    assert line == f"    Size: {size_before_mb:,.2f} MB → 5,089.20 MB{shown}", case


def test_what_cannot_be_looked_at_has_no_numbers(told: Told) -> None:
    found = blank_entry(CUSTOMERS, dry_run=True)
    found["error"] = {"code": "UNREADABLE_TABLE", "message": "no\x1b[31m metadata"}
    assert told(found) == ["Analyzing table: gold.customers", "  ✗ UNREADABLE_TABLE: no\\x1b[31m metadata"]


def test_a_namespace_that_is_forbidden_is_told_by_its_name_and_is_no_table(
    told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    found = hidden_entry(FORBIDDEN, dry_run=False)
    assert told(found) == ["Analyzing namespace: gold", f"  ✗ NAMESPACE_FORBIDDEN: {FORBIDDEN.message}"]

    print_analysis(hidden_analysis_entry(FORBIDDEN))
    assert capsys.readouterr().out.splitlines() == told(found)

    print_summary(summary_entry([found, done_entry()]))
    assert capsys.readouterr().out.splitlines()[3:] == [
        "Tables processed: 1",
        "Tables compacted: 1",
        "Namespaces failed: 1",
        "Files: 245 → 11",
        "Size: 5,120.50 MB → 5,089.20 MB",
    ]


def test_a_summary_counts_what_was_done_skipped_and_failed(capsys: pytest.CaptureFixture[str]) -> None:
    skipped, failed = entry(), blank_entry(CUSTOMERS, dry_run=False)
    skipped["skipped"], skipped["files_after"] = "it was written to 3 min ago", 245
    failed["error"] = {"code": "UNREADABLE_TABLE", "message": "no metadata"}

    print_summary(summary_entry([done_entry(), skipped, failed]))

    assert capsys.readouterr().out.splitlines() == [
        "",
        "COMPACTION SUMMARY",
        "=" * 80,
        "Tables processed: 3",
        "Tables compacted: 1",
        "Tables skipped: 1",
        "Tables failed: 1",
        "Files: 490 → 256",
        "Size: 10,241.00 MB → 10,209.70 MB",
    ]
