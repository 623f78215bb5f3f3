"""`stratigraph diff commits`, `diff files` and `diff stats`: for people, for machines, and their exit codes."""

from __future__ import annotations

import json

import pytest

from tests.changed_tables import CHANGED, DOUBLED, OPENED, PRICES, ChangedLake, changed_lake
from tests.cli.results import Cli
from tests.lake_tables import ORDERS, SmallLake

__all__ = ["changed_lake"]


@pytest.fixture
def lake(changed_lake: ChangedLake) -> SmallLake:
    return changed_lake.lake


def test_commits_are_lines_newest_first(cli: Cli, changed_lake: ChangedLake) -> None:
    result = cli("diff", "commits", PRICES, OPENED, CHANGED)

    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0].startswith(f"+ {changed_lake.prices.changed}  ")
    assert lines[0].endswith("  append  +3 rows  by no run that was reported")
    assert "overwrite" in lines[1]


def test_commits_that_are_undone_have_the_other_mark(cli: Cli) -> None:
    lines = cli("diff", "commits", PRICES, CHANGED, OPENED).stdout.splitlines()

    assert lines and all(line.startswith("- ") for line in lines)


def test_commits_are_cut_and_say_so(cli: Cli) -> None:
    result = cli("diff", "commits", PRICES, OPENED, CHANGED, "--limit", "1")

    assert len(result.stdout.splitlines()) == 1
    assert result.stderr == "1 of 2 are shown; --limit shows more.\n"


def test_commits_as_json(cli: Cli, changed_lake: ChangedLake) -> None:
    found = cli("diff", "commits", PRICES, OPENED, CHANGED, "--side", "to", "--json").answer

    assert (found["relation"], found["merge_base"], found["total"]) == (
        "ANCESTOR",
        str(changed_lake.prices.opened),
        2,
    )
    assert found["commits"][0]["snapshot_id"] == str(changed_lake.prices.changed)
    assert found["commits"][0]["produced_by"] is None


def test_files_are_lines_with_marks(cli: Cli) -> None:
    result = cli("diff", "files", PRICES, OPENED, CHANGED)

    assert result.exit_code == 0
    added, removed = result.stdout.splitlines()
    assert added.startswith("+ 2 data files, ")
    assert removed.startswith("- 1 data file, ")


def test_files_as_json(cli: Cli) -> None:
    found = cli("diff", "files", PRICES, OPENED, CHANGED, "--json").answer

    assert (found["files_added"], found["files_removed"], found["rewritten_only"]) == (2, 1, False)


def test_stats_are_lines_of_what_changed(cli: Cli) -> None:
    result = cli("diff", "stats", PRICES, OPENED, CHANGED)

    assert result.stdout.splitlines() == [
        "~ id: values 4 → 5, greatest 4 → 6",
        "~ name: values 4 → 5, nulls 0 → 1",
        '~ price: values 4 → 5, nulls 1 → 0, greatest "8.00" → "8.20"',
    ]
    assert result.stderr.startswith("Told by manifests alone")


def test_stats_of_one_column_as_json(cli: Cli) -> None:
    found = cli("diff", "stats", PRICES, OPENED, CHANGED, "--column", "price", "--json").answer

    assert [column["path"] for column in found["columns"]] == ["price"]


@pytest.mark.parametrize("what", ["commits", "files", "stats"])
def test_exit_code_is_that_of_git(cli: Cli, what: str) -> None:
    different = cli("diff", what, PRICES, OPENED, CHANGED, "--exit-code")
    not_asked = cli("diff", what, PRICES, OPENED, CHANGED)
    same = cli("diff", what, PRICES, CHANGED, CHANGED, "--exit-code")

    assert (different.exit_code, not_asked.exit_code, same.exit_code) == (1, 0, 0)
    assert different.stdout == not_asked.stdout


@pytest.mark.parametrize(
    ("case", "arguments", "exit_code", "named"),
    [
        ("no side", ("commits", PRICES, OPENED, "--side", "left"), 2, "--side"),
        ("no limit", ("commits", PRICES, OPENED, "--limit", "0"), 2, "--limit"),
        ("no partitions", ("files", PRICES, OPENED, "--partitions", "0"), 2, "--partitions"),
        ("too many partitions", ("files", PRICES, OPENED, "--partitions", "1001"), 2, "--partitions"),
        ("two datasets", ("files", PRICES, OPENED, "--to", ORDERS), 6, "files of two tables"),
        ("unknown column", ("stats", PRICES, OPENED, "--column", "nmae"), 2, "nmae"),
        ("unknown version", ("commits", PRICES, "nope"), 3, "nope"),
        ("TO and --to", ("stats", PRICES, OPENED, DOUBLED, "--to", PRICES), 2, "--to"),
    ],
)
def test_errors_keep_their_exit_codes(
    cli: Cli, case: str, arguments: tuple[str, ...], exit_code: int, named: str
) -> None:
    result = cli("diff", *arguments)

    assert result.exit_code == exit_code, case
    assert named in result.stderr
    assert json.loads(cli("diff", *arguments, "--json").stderr)["error"]["exit_code"] == exit_code
