"""`stratigraph diff schema`: for people, for machines, and its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli.main import run
from tests.cli.results import Cli
from tests.evolving_fixtures import EvolvingLake, evolving_lake
from tests.lake_tables import ORDERS, SmallLake
from tests.schema_evolutions import AFTER, BEFORE, EVOLVING

__all__ = ["evolving_lake"]

GOLDEN = Path(__file__).parents[1] / "fixtures" / "compare"


REPLACED = "amount is another field of that name (2, now 16): what was written to the one is not read from the other"


@pytest.fixture
def lake(evolving_lake: EvolvingLake) -> SmallLake:
    return evolving_lake.lake


def test_differences_are_lines_with_marks(cli: Cli) -> None:
    result = cli("diff", "schema", EVOLVING, BEFORE, AFTER)

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "~ day moved",
        "~ day doc: When it was sent → When it was sent out",
        "~ price decimal(9, 2) → decimal(12, 2)",
        "~ label renamed from name",
        "~ at required → optional",
        "~ amount another field of that name (2 → 16)",
        "~ amount int → string",
        "+ note string",
        "- fax string",
        "~ address.zip int → long",
        "+ address.land string",
        "~ tags.element int → long",
        "~ sizes.value int → long",
        "! breaks readers: name is renamed to label",
        "! breaks readers: at may be null now",
        f"! breaks readers: {REPLACED}",
        "! breaks readers: amount goes from int to string, which is no promotion that Iceberg allows",
        "! breaks readers: fax is removed",
        "! breaks writers: name is renamed to label",
        "! breaks writers: amount goes from int to string, which is no promotion that Iceberg allows",
        "! breaks writers: fax is removed",
    ]
    assert result.stderr.startswith("It is not known whether the partition spec and the sort order changed")


def test_json_is_that_of_rest(cli: Cli) -> None:
    expected = json.loads((GOLDEN / "schema_of_two_tags.json").read_text())

    assert cli("diff", "schema", EVOLVING, BEFORE, AFTER, "--json").answer == expected


def test_the_latest_is_compared_to_unless_another_is_named(cli: Cli) -> None:
    expected = json.loads((GOLDEN / "schema_of_a_tag_and_latest.json").read_text())

    assert cli("diff", "schema", EVOLVING, BEFORE, "--json").answer == expected


@pytest.mark.parametrize(
    ("case", "arguments", "exit_code"),
    [
        ("different", (BEFORE, AFTER), 1),
        ("the same", (AFTER, AFTER), 0),
        ("another dataset", (AFTER, "--to", f"{ORDERS}@main"), 1),
        ("the same through --to", (AFTER, "--to", f"{EVOLVING}@{AFTER}"), 0),
    ],
)
def test_exit_code_is_that_of_git(cli: Cli, case: str, arguments: tuple[str, ...], exit_code: int) -> None:
    asked = cli("diff", "schema", EVOLVING, *arguments, "--exit-code")
    not_asked = cli("diff", "schema", EVOLVING, *arguments)

    assert (asked.exit_code, not_asked.exit_code) == (exit_code, 0), case
    assert asked.stdout == not_asked.stdout != ""


def test_the_same_says_so(cli: Cli) -> None:
    assert cli("diff", "schema", EVOLVING, "main", "latest").stdout == "The schemas are the same.\n"


def test_layouts_that_are_known_are_told(cli: Cli) -> None:
    lines = cli("diff", "schema", ORDERS, "main", "--to", EVOLVING).stdout.splitlines()

    assert "~ identifier fields: () → (id)" in lines
    assert "~ partition spec: () → (day(at) as at_day, id)" in lines
    assert "~ sort order: () → (id asc nulls-last)" in lines


@pytest.mark.parametrize(
    ("case", "arguments", "exit_code", "code"),
    [
        ("unknown dataset", ("sales.x", "main"), 3, "DATASET_NOT_FOUND"),
        ("unknown version", (EVOLVING, "nope"), 3, "VERSION_NOT_FOUND"),
        ("unknown second version", (EVOLVING, "main", "tag:nope"), 3, "TAG_NOT_FOUND"),
        ("no reference", (EVOLVING, "a b"), 2, "INVALID_REFERENCE"),
        ("no dataset", ("x", "main"), 2, "INVALID_NAME"),
        ("TO and --to", (EVOLVING, "main", "latest", "--to", ORDERS), 2, "INVALID_ARGUMENT"),
        ("no dataset in --to", (EVOLVING, "main", "--to", "x@main"), 2, "INVALID_NAME"),
        ("no snapshot", ("sales.empty", "latest"), 6, "NO_SNAPSHOT"),
        ("broken", ("sales.broken", "main"), 7, "UNREADABLE_TABLE"),
        ("no FROM", (EVOLVING,), 2, "USAGE"),
    ],
)
def test_errors_keep_their_exit_codes(
    cli: Cli, case: str, arguments: tuple[str, ...], exit_code: int, code: str
) -> None:
    result = cli("diff", "schema", *arguments, "--exit-code", "--json")

    assert (result.exit_code, result.error["code"]) == (exit_code, code), case


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(("no_color", "expected"), [(None, "\x1b[32m+ note string\x1b[0m"), ("1", "+ note string")])
def test_colours_are_for_terminals_that_want_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], no_color: str | None, expected: str
) -> None:
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)

    assert run(["diff", "schema", EVOLVING, BEFORE, AFTER]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert expected in lines
