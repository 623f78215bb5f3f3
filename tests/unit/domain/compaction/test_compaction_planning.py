"""When a table needs compaction, and what for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain.compaction.files import TableFile
from app.domain.compaction.planning import Verdict, plan_compaction
from app.domain.compaction.policy import CompactionPolicy
from tests.unit.domain.compaction.made_files import file, files

POLICY = CompactionPolicy()


def test_245_files_of_5120_megabytes_make_11() -> None:
    # As a table of small and larger files has them: 125 below 10 MB
    mixed = files(125, 2.5) + files(120, 40.066, first=125)
    plan = plan_compaction(mixed, POLICY)
    assert plan.counts.files == 245
    assert round(plan.counts.size_bytes / 2**20, 1) == 5120.4
    assert (plan.counts.small_files, plan.needs_compaction, plan.files_after) == (125, True, 11)
    assert plan.reason == "125 files are smaller than 10 MB"
    assert plan.requests_saved == 2 * (245 - 11)


@pytest.mark.parametrize(
    ("table", "verdict", "reason"),
    [
        ([], Verdict.EMPTY, "it has no files"),
        (files(1, 0.1), Verdict.FINE, "it has one file"),
        (
            [*files(10, 1), *files(5, 400, first=10)],
            Verdict.FINE,
            "10 files of 15 smaller than 10 MB are too few to matter: more than 10 would be",
        ),
        (
            [*files(1, 1), *files(5, 400, first=10)],
            Verdict.FINE,
            "1 file of 6 smaller than 10 MB is too few to matter: more than 10 would be",
        ),
        (files(100, 400), Verdict.FINE, "no file is smaller than 10 MB, and there are no deletes to apply"),
        ([*files(11, 1), *files(50, 400, first=11)], Verdict.NEEDED, "11 files are smaller than 10 MB"),
        (files(2, 1), Verdict.NEEDED, "the average file of 1.00 MB is smaller than 10 MB"),
        (
            [file(0, 500, deletes=2), file(1, 500, deletes=1), *files(3, 500, first=2)],
            Verdict.NEEDED,
            "readers have to apply 3 delete files to 2 data files",
        ),
        ([file(0, 1, deletes=1)], Verdict.NEEDED, "readers have to apply 1 delete file to 1 data file"),
        (
            [file(number, 1, partition=f"day={number}") for number in range(1000)],
            Verdict.IN_VAIN,
            (
                "1,000 files are smaller than 10 MB, but they are spread over 1,000 partitions, and no partition would "
                "have fewer files than it has: only coarser partitions would"
            ),
        ),
        (
            [file(number, 1, left_alone="ORC files") for number in range(20)],
            Verdict.IN_VAIN,
            "20 files are smaller than 10 MB, but 20 files cannot be rewritten (ORC files)",
        ),
    ],
)
def test_what_a_table_needs_and_why(table: list[TableFile], verdict: Verdict, reason: str) -> None:
    plan = plan_compaction(table, POLICY)
    assert (plan.verdict, plan.reason) == (verdict, reason)
    assert bool(plan.bins) == (verdict is Verdict.NEEDED) == plan.needs_compaction
    assert plan.needs_compaction or plan.files_after == len(table)


def test_files_of_three_quarters_of_the_target_are_left_alone() -> None:
    plan = plan_compaction([*files(20, 1), file(20, 383.9), file(21, 384)], POLICY)
    assert {found.file.path for some in plan.bins for found in some.files} == {f"{n:06d}.parquet" for n in range(21)}
    plan = plan_compaction([*files(20, 1), file(21, 384)], CompactionPolicy(rewrite_all=True))
    assert sum(len(some.files) for some in plan.bins) == 21


def test_specs_and_partitions_are_never_mixed() -> None:
    table = [file(n, 1, partition=f"day={n % 3}", spec_id=n % 2) for n in range(60)]
    plan = plan_compaction(table, POLICY)
    assert len(plan.bins) == 6
    assert all({found.place for found in some.files} == {some.place} for some in plan.bins)
    assert plan.files_after == 6


def test_files_that_leave_room_in_each_bin_are_cut_anew() -> None:
    # 300 and 300 are more than one file holds, and three of them fit into two
    plan = plan_compaction([*files(3, 300), *files(11, 0.01, first=10)], POLICY)
    assert plan.files_after == 2
    # Of two nothing is gained
    assert plan_compaction(files(2, 300), CompactionPolicy(min_file_size_mb=301)).verdict is Verdict.IN_VAIN


def test_a_large_file_with_deletes_is_rewritten_by_itself() -> None:
    plan = plan_compaction([file(0, 550, deletes=1), file(1, 550)], POLICY)
    (only,) = plan.bins
    assert (len(only.files), only.outputs) == (1, 1)
    plan = plan_compaction([file(0, 600, deletes=1), file(1, 550)], POLICY)
    assert plan.bins[0].outputs == 2


def test_rewriting_all_takes_what_is_fine_too() -> None:
    plan = plan_compaction(files(4, 500), CompactionPolicy(rewrite_all=True))
    assert (plan.verdict, plan.reason, len(plan.bins)) == (Verdict.NEEDED, "all files are to be rewritten", 4)


def test_a_bin_has_no_more_files_than_allowed() -> None:
    plan = plan_compaction(files(250, 1), CompactionPolicy(max_concurrent_files=100))
    assert sorted(len(some.files) for some in plan.bins) == [50, 100, 100]


def test_files_that_are_asked_for_are_rewritten_whatever_their_size() -> None:
    # Given files that nothing is wrong with, and one that is asked for
    asked_for = replace(file(4, 500), is_asked_for=True)
    plan = plan_compaction([*files(4, 300), asked_for], POLICY)
    # Then it is rewritten alone
    assert [some.files for some in plan.bins] == [(asked_for,)]
    assert (plan.verdict, plan.reason, plan.files_after) == (Verdict.NEEDED, "1 file yet to be rewritten", 5)
    # And beside what else is to be done
    plan = plan_compaction([*files(20, 1), replace(file(20, 500, partition="b"), is_asked_for=True)], POLICY)
    assert sorted(len(some.files) for some in plan.bins) == [1, 20]
    # But not where it cannot be
    left_alone = replace(file(4, 500, left_alone="ORC files"), is_asked_for=True)
    assert plan_compaction([*files(4, 300), left_alone], POLICY).bins == ()
