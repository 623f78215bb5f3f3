"""Plans in sentences, for the questions that people ask of them."""

from __future__ import annotations

from app.domain.compaction.explaining import explain_plan
from app.domain.compaction.files import TableFile
from app.domain.compaction.planning import plan_compaction
from app.domain.compaction.policy import CompactionPolicy
from tests.unit.domain.compaction.made_files import file, files


def explained(table: list[TableFile], policy: CompactionPolicy | None = None) -> str:
    asked = policy or CompactionPolicy()
    return "\n".join(explain_plan(plan_compaction(table, asked), table))


def test_a_table_that_gains_says_what_and_where() -> None:
    table = [*files(30, 1, partition="day=1"), *files(12, 2, partition="day=2", first=30)]
    table.append(file(100, 500, partition="day=2", deletes=1))
    text = explained(table)
    assert text.startswith(
        "The table has 43 data files of 12.88 MB on average, 554.00 MB in all; 42 of them are smaller"
    )
    assert (
        "Compaction would help: 42 files are smaller than 10 MB. It would make 3 of 43 files, rewriting 554.00" in text
    )
    assert "at least 80 requests" in text
    assert "no longer have to apply deletes to 1 data file." in text
    assert "Most is gained in day=1 (30 files to 1), day=2 (13 files to 2)." in text


def test_small_files_that_are_alone_in_their_partitions_are_explained() -> None:
    text = explained([file(number, 1, partition=f"day={number}") for number in range(20)])
    assert "Compaction would not help: 20 files are smaller than 10 MB, but they are spread over 20 partitions" in text
    assert "20 files are the only one of their partition" in text
    assert "coarser partitions would make fewer files" in text


def test_a_compacted_table_with_files_under_100_megabytes_says_why() -> None:
    text = explained(files(3, 60))
    assert "Compaction would not help: no file is smaller than 10 MB" in text
    assert "3 files under 100 MB would stay: the table as a whole is fine" in text
    text = explained(files(20, 60), CompactionPolicy(target_file_size_mb=64))
    assert "20 files under 100 MB would stay: files from 48.00 MB on are large enough for the target of 64 MB" in text


def test_queries_that_compaction_does_not_help_are_told_of() -> None:
    assert "reads few rows of one file anyway" in explained(files(100, 500))


def test_files_that_cannot_be_rewritten_are_told_with_why() -> None:
    text = explained([file(number, 1, left_alone="encrypted") for number in range(12)])
    assert "12 files cannot be rewritten: encrypted." in text


def test_an_empty_table_has_nothing_to_explain() -> None:
    assert explained([]) == "The table has no files, and nothing to compact."
