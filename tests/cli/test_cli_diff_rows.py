"""`stratigraph diff rows`: for people, for machines, and its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.changed_tables import CHANGED, DOUBLED, OPENED, OTHER, PRICES, ChangedLake, changed_lake
from tests.cli.results import Cli
from tests.lake_tables import SmallLake

__all__ = ["changed_lake"]

GOLDEN = Path(__file__).parents[1] / "fixtures" / "compare"


@pytest.fixture
def lake(changed_lake: ChangedLake) -> SmallLake:
    return changed_lake.lake


def test_rows_are_lines_with_marks(cli: Cli) -> None:
    result = cli("diff", "rows", PRICES, OPENED, CHANGED)

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "4 → 5 rows: 2 added, 1 removed, 1 changed",
        '+ id=5  name="mug"  price="4.00"',
        '+ id=6  name=null  price="4.00"',
        '- id=3  name="cap"  price=null',
        '~ id=2  price: "8.00" → "8.20"',
    ]
    assert result.stderr.startswith("Joined by (id), unique among the 9 rows that were read; 3 data files read, ")


def test_keys_that_identify_no_rows_are_a_warning(cli: Cli) -> None:
    result = cli("diff", "rows", PRICES, CHANGED, DOUBLED)

    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == (
        "! The key (id=5) is on more than one row in the version compared to, so rows were compared as a multiset."
    )


def test_without_a_key_rows_are_counted(cli: Cli) -> None:
    result = cli("diff", "rows", PRICES, OPENED, CHANGED, "--no-key")

    assert result.stdout.splitlines()[0] == "4 → 5 rows: 3 added, 2 removed"
    assert result.stderr.startswith("Counted as a multiset")


def test_what_is_cut_says_so(cli: Cli) -> None:
    result = cli("diff", "rows", PRICES, OPENED, CHANGED, "--sample", "1")

    assert "… there are more; --sample shows more of them" in result.stdout
    assert result.stdout.count("+ ") == 1


def test_json_is_that_of_rest(cli: Cli) -> None:
    expected = json.loads((GOLDEN / "data_of_two_tags.json").read_text())

    found = json.loads(cli("diff", "rows", PRICES, OPENED, CHANGED, "--json").stdout)

    assert found["cached"] in (True, False)
    assert {**found, "bytes_read": 1, "cached": False} == {**expected, "bytes_read": 1}


def test_what_was_found_before_says_so(cli: Cli) -> None:
    first = cli("diff", "rows", PRICES, OPENED, DOUBLED, "--key", "price")
    again = cli("diff", "rows", PRICES, OPENED, DOUBLED, "--key", "price")

    assert again.stdout == first.stdout
    assert first.stderr.rstrip("\n").endswith(" bytes.")
    assert again.stderr.rstrip("\n").endswith(" bytes when it was found; it was kept, and nothing is read now.")


@pytest.mark.parametrize(
    ("case", "arguments", "code"),
    [
        ("different", (PRICES, OPENED, CHANGED, "--exit-code"), 1),
        ("different, not asked for", (PRICES, OPENED, CHANGED), 0),
        ("the same", (PRICES, CHANGED, CHANGED, "--exit-code"), 0),
        ("another dataset", (PRICES, OPENED, "--to", f"{PRICES}@{CHANGED}", "--exit-code"), 1),
        ("of another type", (PRICES, OPENED, "--to", OTHER), 6),
        ("sample too large", (PRICES, OPENED, "--sample", "1001"), 2),
        ("sample below 0", (PRICES, OPENED, "--sample", "-1"), 2),
        ("sample no number", (PRICES, OPENED, "--sample", "x"), 2),
        ("unknown key", (PRICES, OPENED, "--key", "nmae"), 2),
        ("a key that is no text", (PRICES, OPENED, "--key", "\udcff"), 2),
        ("a key twice", (PRICES, OPENED, "--key", "id", "--key", "id"), 2),
        ("a key and none", (PRICES, OPENED, "--key", "id", "--no-key"), 2),
        ("unknown version", (PRICES, "nope"), 3),
        ("TO and --to", (PRICES, OPENED, CHANGED, "--to", PRICES), 2),
    ],
)
def test_exit_codes(cli: Cli, case: str, arguments: tuple[str, ...], code: int) -> None:
    assert cli("diff", "rows", *arguments).exit_code == code, case


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("diff", "rows", PRICES, OPENED, "--sample", "1001"), "--sample"),
        (("diff", "rows", PRICES, OPENED, "--key", "id", "--key", "id"), "--key"),
        (("check", "rows", PRICES, OPENED, "--max-removed", "x"), "--max-removed"),
        (("impact", PRICES, "--depth", "51"), "--depth"),
        (("impact", PRICES, *(f"--column=c{number}" for number in range(2000))), "--column"),
        (("lineage", "show", PRICES, "--depth", "51"), "--depth"),
        (("tag", PRICES, "x", "--reason", "x" * 3000), "--reason"),
        (("undo", PRICES, OPENED), "UNDO_TAG"),
    ],
)
def test_what_is_wrong_is_told_by_the_name_that_was_typed(cli: Cli, arguments: tuple[str, ...], named: str) -> None:
    error = cli(*arguments, "--json").error

    assert (error["code"], error["fields"]["argument"]) == ("INVALID_ARGUMENT", named)
    assert error["message"].startswith(f"{named}: ")


def test_what_reads_too_much_is_refused_unless_it_is_allowed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATIGRAPH_DIFF_SYNC_BUDGET_BYTES", "1")
    monkeypatch.setenv("STRATIGRAPH_DIFF_CACHE_BYTES", "0")

    # what no other test asks for, whose answer would be kept
    asked = ("diff", "rows", PRICES, CHANGED, OPENED, "--key", "price", "--sample", "3")
    refused, allowed = cli(*asked), cli(*asked, "--any-size")

    assert (refused.exit_code, allowed.exit_code) == (6, 0)
    assert "start it as an operation" in refused.stderr
    assert "--any-size" in refused.stderr
