"""`stratigraph check`: what people, scripts and CI see, and how it ends."""

from __future__ import annotations

import json

import pytest

from tests.changed_tables import CHANGED, DOUBLED, OPENED, OTHER, PRICES, ChangedLake, changed_lake
from tests.cli.results import Cli
from tests.evolving_fixtures import EvolvingLake, evolving_lake
from tests.lake_tables import ORDERS, SmallLake
from tests.schema_evolutions import AFTER, BEFORE, EVOLVING

__all__ = ["changed_lake", "evolving_lake"]

NOT_PASSED = 9


@pytest.fixture
def lake(request: pytest.FixtureRequest) -> SmallLake:
    """That of the evolved table for checks of schemas, that of changed rows for those of rows."""
    if "own_lake" in request.fixturenames:
        own: SmallLake = request.getfixturevalue("own_lake")
        return own
    name = "evolving_lake" if "schema" in request.node.name else "changed_lake"
    found: EvolvingLake | ChangedLake = request.getfixturevalue(name)
    return found.lake


@pytest.fixture
def models(cli: Cli, own_lake: SmallLake) -> None:
    for metrics in (("auc=0.85", "rmse=1.2:lower"), ("auc=0.92", "rmse=1.5:lower"), ("f1=0.5",)):
        given = [part for metric in metrics for part in ("--metric", metric)]
        assert cli("model", "register", "churn", *given, "--training", f"{ORDERS}@latest").exit_code == 0


def test_a_schema_that_lost_something(cli: Cli) -> None:
    result = cli("check", "schema", EVOLVING, BEFORE, AFTER)

    assert (result.exit_code, result.stderr) == (NOT_PASSED, "")
    assert result.stdout.splitlines() == [
        "! name is renamed to label (breaks readers and writers)",
        "~ at may be null now (breaks readers)",
        (
            "! amount is another field of that name (2, now 16): what was written to the one is not read "
            "from the other (breaks readers)"
        ),
        "! amount goes from int to string, which is no promotion that Iceberg allows (breaks readers and writers)",
        "! fax is removed (breaks readers and writers)",
        f"✗ schema of {EVOLVING} from {BEFORE} to {AFTER}: did not pass (15 fields looked at)",
    ]


def test_a_schema_whose_losses_are_allowed(cli: Cli) -> None:
    allowed = ("--allow", "name", "--allow", "amount", "--allow", "fax")

    lenient = cli("check", "schema", EVOLVING, BEFORE, AFTER, *allowed)
    strict = cli("check", "schema", EVOLVING, BEFORE, AFTER, *allowed, "--breaking")
    every = cli("check", "schema", EVOLVING, BEFORE, AFTER, *allowed, "--breaking", "--allow", "at")

    assert (lenient.exit_code, strict.exit_code, every.exit_code) == (0, NOT_PASSED, 0)
    assert "~ fax is removed (breaks readers and writers), which is allowed" in lenient.stdout.splitlines()
    assert [line for line in strict.stdout.splitlines() if line.startswith("! ")] == [
        "! at may be null now (breaks readers)"
    ]


def test_a_schema_of_another_dataset(cli: Cli) -> None:
    result = cli("check", "schema", EVOLVING, BEFORE, "--to", f"{ORDERS}@main", "--json")

    assert result.exit_code == NOT_PASSED
    answer = json.loads(result.stdout)
    assert (answer["name"], answer["from_version"], answer["to_version"]) == (EVOLVING, BEFORE, f"{ORDERS}@main")
    assert cli("check", "schema", EVOLVING, "main").stdout == (
        f"✓ schema of {EVOLVING} from main to latest: passed (17 fields looked at)\n"
    )


def test_rows_that_went(cli: Cli) -> None:
    result = cli("check", "rows", PRICES, OPENED, CHANGED)

    assert (result.exit_code, result.stderr) == (NOT_PASSED, "")
    assert result.stdout.splitlines() == [
        "! 1 of 4 rows went (25 %), and 10 % are allowed",
        f"✗ rows of {PRICES} from {OPENED} to {CHANGED}: did not pass (4 rows looked at)",
    ]


@pytest.mark.parametrize(
    ("options", "exit_code"),
    [
        (("--max-removed", "25%"), 0),
        (("--max-removed", "0.2499"), NOT_PASSED),
        (("--max-removed", "1", "--min-rows", "5"), 0),
        (("--max-removed", "100%", "--min-rows", "6"), NOT_PASSED),
        # by name, as many rows went as changed: the key of a null identifies nothing, and it is a multiset then
        (("--key", "name", "--max-removed", "25%"), NOT_PASSED),
        (("--no-key", "--max-removed", "25%"), NOT_PASSED),
        (("--no-key", "--max-removed", "50%"), 0),
        (("--any-size", "--max-removed", "25%"), 0),
        (("--any-size",), NOT_PASSED),
    ],
)
def test_rows_and_how_many_may_go(cli: Cli, options: tuple[str, ...], exit_code: int) -> None:
    assert cli("check", "rows", PRICES, OPENED, CHANGED, *options).exit_code == exit_code


def test_rows_whose_key_identifies_nothing_are_told(cli: Cli) -> None:
    answer = json.loads(cli("check", "rows", PRICES, CHANGED, DOUBLED, "--json").stdout)

    assert answer["passed"] and answer["checked"] == 5
    (told,) = answer["findings"]
    assert (told["subject"], told["failure"]) == ("key", False)
    assert "is on more than one row" in told["message"]


def test_rows_that_are_too_many_to_read_are_no_pass(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATIGRAPH_DIFF_SYNC_BUDGET_BYTES", "1")
    # another key than in other tests, whose answer is not kept yet
    asked = ("check", "rows", PRICES, OPENED, CHANGED, "--key", "id", "--max-removed", "25%", "--json")

    refused = cli(*asked)
    assert (refused.exit_code, refused.error["code"]) == (6, "DIFF_TOO_LARGE")
    assert "--any-size" in refused.error["hint"]
    assert cli(*asked, "--any-size").answer["passed"]


@pytest.mark.usefixtures("models")
def test_metrics_that_got_worse(cli: Cli) -> None:
    result = cli("check", "model", "churn", "1", "2")

    assert (result.exit_code, result.stderr) == (NOT_PASSED, "")
    assert result.stdout.splitlines() == [
        "! rmse went from 1.2 to 1.5 (+25 %); lower is better, and 5 % are allowed",
        "✗ metrics of churn from v1 to v2: did not pass (2 metrics looked at)",
    ]
    assert cli("check", "model", "churn", "1", "2", "--threshold", "25%").exit_code == 0
    assert cli("check", "model", "churn", "1", "2", "--threshold", "rmse=0.25").exit_code == 0


@pytest.mark.usefixtures("models")
def test_metrics_that_are_gone(cli: Cli) -> None:
    assert cli("check", "model", "churn", "2").exit_code == NOT_PASSED
    lenient = cli("check", "model", "churn", "2", "--allow-missing", "--json").answer
    assert lenient["passed"] and [found["failure"] for found in lenient["findings"]] == [False] * 3


def test_a_terminal_gets_colours_on_rows(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")

    assert "\x1b[1;31m✗ rows of" in cli("check", "rows", PRICES, OPENED, CHANGED).stdout
    assert "\x1b[1;32m✓ rows of" in cli("check", "rows", PRICES, CHANGED, CHANGED).stdout


@pytest.mark.parametrize("share", ["nan", "-1", "2", "x", "1000%", "inf", "", "%", "0.1%%", "1e400", "9" * 100])
def test_rows_refuse_what_is_no_share(cli: Cli, share: str) -> None:
    result = cli("check", "rows", "--json", PRICES, OPENED, f"--max-removed={share}")

    assert (result.exit_code, result.error["code"]) == (2, "INVALID_ARGUMENT")
    assert result.error["fields"]["argument"] == "--max-removed"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "code", "argument"),
    [
        ((PRICES, OPENED, "--min-rows=-1"), 2, "INVALID_ARGUMENT", "--min-rows"),
        ((PRICES, OPENED, f"--min-rows={2**63}"), 2, "INVALID_ARGUMENT", "--min-rows"),
        ((PRICES, OPENED, "--min-rows=x"), 2, "USAGE", None),
        ((PRICES, OPENED, "--min-rows=nan"), 2, "USAGE", None),
        ((PRICES, OPENED, "--key=nope"), 2, "UNKNOWN_COLUMN", None),
        ((PRICES, OPENED, "--key=id", "--key=id"), 2, "INVALID_ARGUMENT", "--key"),
        ((PRICES, OPENED, "--key=id", "--no-key"), 2, "INVALID_ARGUMENT", "--no-key"),
        ((PRICES, OPENED, CHANGED, "--to", OTHER), 2, "INVALID_ARGUMENT", "--to"),
        ((PRICES, OPENED, "--junit", "-"), 2, "INVALID_ARGUMENT", "--junit"),
        ((PRICES, "nope"), 3, "VERSION_NOT_FOUND", None),
        ((PRICES, "a b"), 2, "INVALID_REFERENCE", None),
        (("sales.nope", OPENED), 3, "DATASET_NOT_FOUND", None),
        (("x", OPENED), 2, "INVALID_NAME", None),
        (("sales.empty", "latest"), 6, "NO_SNAPSHOT", None),
        (("sales.broken", "main"), 7, "UNREADABLE_TABLE", None),
        ((PRICES,), 2, "USAGE", None),
    ],
)
def test_rows_that_cannot_be_told_are_an_error(
    cli: Cli, arguments: tuple[str, ...], exit_code: int, code: str, argument: str | None
) -> None:
    result = cli("check", "rows", "--json", *arguments)

    assert (result.exit_code, result.error["code"]) == (exit_code, code)
    if argument is not None:
        assert result.error["fields"]["argument"] == argument


@pytest.mark.parametrize(
    ("arguments", "exit_code", "code"),
    [
        ((EVOLVING, BEFORE, "--allow", "fix"), 2, "UNKNOWN_COLUMN"),
        ((EVOLVING, BEFORE, "--allow", "\udcff"), 2, "UNKNOWN_COLUMN"),
        (("sales.broken", "main"), 7, "UNREADABLE_TABLE"),
        ((EVOLVING, BEFORE, "x"), 3, "VERSION_NOT_FOUND"),
    ],
)
def test_a_schema_that_cannot_be_told_is_an_error(
    cli: Cli, arguments: tuple[str, ...], exit_code: int, code: str
) -> None:
    result = cli("check", "schema", "--json", *arguments)

    assert (result.exit_code, result.error["code"]) == (exit_code, code)


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("arguments", "exit_code", "code"),
    [
        (("chrun", "1"), 3, "MODEL_NOT_FOUND"),
        (("churn", "9"), 3, "VERSION_NOT_FOUND"),
        (("churn", "1", "--threshold", "nan"), 2, "INVALID_ARGUMENT"),
        (("churn", "1", "--threshold", "-1"), 2, "INVALID_ARGUMENT"),
        (("churn", "1", "--threshold", "2"), 2, "INVALID_ARGUMENT"),
        (("churn", "1", "--threshold", "1000%"), 2, "INVALID_ARGUMENT"),
        (("churn", "1", "--threshold", "acu=1%"), 2, "INVALID_ARGUMENT"),
    ],
)
def test_a_model_that_cannot_be_told_is_an_error(
    cli: Cli, arguments: tuple[str, ...], exit_code: int, code: str
) -> None:
    result = cli("check", "model", "--json", *arguments)

    assert (result.exit_code, result.error["code"]) == (exit_code, code)
    if code == "INVALID_ARGUMENT":
        assert result.error["fields"]["argument"] == "--threshold"
