"""`stratigraph compaction`: what people read, what machines read, and exit codes."""

from __future__ import annotations

import json

import pytest

from tests.cli.results import Cli
from tests.lake_tables import SmallLake

ONE = ("--namespace", "sales", "--table", "orders")


def test_an_analysis_is_told_to_the_letter_of_the_contract(cli: Cli, own_lake: SmallLake) -> None:
    location = own_lake.location
    result = cli("compaction", "analyze", *ONE)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "Analyzing table: sales.orders"
    assert [line.partition(":")[0] for line in lines[1:]] == [
        "  Total files",
        "  Total size",
        "  Avg file size",
        "  Small files (<10 MB)",
        "  Needs compaction",
        "  Reason",
        "  Files afterwards",
    ]
    assert lines[5:] == [
        "  Needs compaction: True",
        "  Reason: the average file of 0.00 MB is smaller than 10 MB",
        "  Files afterwards: 1",
    ]
    assert own_lake.location == location


def test_machines_read_the_same(cli: Cli, own_lake: SmallLake) -> None:
    assert own_lake.location
    found = json.loads(cli("compaction", "analyze", "--all", "--json").stdout)
    by_name = {f"{entry['namespace']}.{entry['table']}": entry for entry in found["tables"]}
    orders = by_name["sales.orders"]
    assert orders["error"] is None
    plan = orders["plan"]
    assert (plan["needs_compaction"], plan["estimated_files_after"], plan["bins"]) == (True, 1, 1)
    assert plan["total_files"] == plan["small_files"] > 1
    assert plan["requests_saved"] == 2 * (plan["total_files"] - 1)


def test_tables_that_gain_come_first_and_one_that_fails_last(cli: Cli, own_lake: SmallLake) -> None:
    assert own_lake.location
    result = cli("compaction", "analyze", "--all")
    assert result.exit_code == 1
    analyzed = [line for line in result.stdout.splitlines() if line.startswith(("Analyzing", "  ✗"))]
    assert analyzed[0] == "Analyzing table: sales.orders"
    assert analyzed[-2] == "Analyzing table: sales.broken"
    assert analyzed[-1].startswith("  ✗ UNREADABLE_TABLE: ")
    assert "Analyzing table: sales.empty" in analyzed


def test_an_explanation_is_in_sentences(cli: Cli, own_lake: SmallLake) -> None:
    assert own_lake.location
    result = cli("compaction", "explain", "sales.orders")
    assert result.exit_code == 0
    assert "Compaction would help: the average file" in result.stdout
    found = json.loads(cli("compaction", "explain", "sales.orders", "--json").stdout)
    assert found["dataset"] == "sales.orders"
    assert found["sentences"] == result.stdout.splitlines()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("analyze",), "say which tables"),
        (("analyze", "--all", "--table", "orders"), "--all and --table cannot go together"),
        (("analyze", "--table", "orders"), "--namespace says which"),
        (("analyze", *ONE, "--target-file-size-mb", "0"), "--target-file-size-mb: 0 is not between"),
        (("analyze", *ONE, "--target-file-size-mb", "-1"), "--target-file-size-mb: -1 is not between"),
        (("analyze", *ONE, "--target-file-size-mb", "5MB"), "--min-file-size-mb: 10 is more than the target of 5"),
        (("analyze", *ONE, "--target-file-size-mb", "big"), "such as 512, 512MB or 2GB"),
        (("explain", "orders"), "orders"),
    ],
)
def test_bad_input_names_what_is_wrong(cli: Cli, own_lake: SmallLake, arguments: tuple[str, ...], told: str) -> None:
    assert own_lake.location
    result = cli("compaction", *arguments)
    assert result.exit_code == 2
    assert told in result.stderr


def test_a_table_that_is_not_there_is_told(cli: Cli, own_lake: SmallLake) -> None:
    assert own_lake.location
    assert cli("compaction", "explain", "sales.nothing").exit_code == 3
    assert cli("compaction", "analyze", "--namespace", "nowhere").exit_code == 3
