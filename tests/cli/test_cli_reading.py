import re

import pytest

from tests.cli.results import Cli
from tests.lake_tables import BRANCH, ORDERS, TAG, Orders, SmallLake, rows


def test_datasets_lists_what_can_be_read_beside_what_cannot(cli: Cli, orders: Orders) -> None:
    found = {entry["name"]: entry for entry in cli("datasets", "--json").answer["datasets"]}

    assert list(found) == ["broken", "empty", "orders", "t ü"]
    assert found["broken"]["error"]["code"] == "UNREADABLE_TABLE"
    assert found["empty"]["snapshot_id"] is None
    assert found["orders"]["snapshot_id"] == str(orders.third)
    assert found["orders"]["snapshot_count"] == 3
    assert found["orders"]["tags"] == [TAG]
    assert found["orders"]["branches"] == ["main", BRANCH]
    assert found["orders"]["is_production"] is False


def test_datasets_as_a_table_shows_whole_ids_in_utc(cli: Cli, orders: Orders) -> None:
    shown = cli("datasets", "--namespace", "sales").stdout

    (line,) = [line for line in shown.splitlines() if line.startswith(ORDERS)]
    assert str(orders.third) in line
    assert re.search(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line)


@pytest.mark.parametrize("columns", ["20", "80", "300"])
def test_ids_are_whole_however_narrow_the_terminal(
    cli: Cli, orders: Orders, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)

    shown = cli("snapshots", ORDERS).stdout.splitlines()

    assert len(shown) == 4
    for line, snapshot_id in zip(shown[1:], orders.ids, strict=True):
        assert str(snapshot_id) in line.split()
    assert shown[3].startswith("*")
    assert TAG in shown[1]


def test_snapshots_as_json_have_text_ids_oldest_first(cli: Cli, orders: Orders) -> None:
    answer = cli("snapshots", ORDERS, "--json").answer

    assert answer["dataset"] == ORDERS
    assert [entry["snapshot_id"] for entry in answer["snapshots"]] == [str(n) for n in orders.ids]
    assert answer["snapshots"][1]["parent_snapshot_id"] == str(orders.first)
    assert answer["snapshots"][0]["summary"]["tag"] == TAG


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (None, [1, 2, 3, 4, 5, 6]),
        (TAG, [1, 2, 3]),
        (BRANCH, [1, 2, 3, 4, 5]),
        ("main~1", [1, 2, 3, 4, 5]),
        ("{first}", [1, 2, 3]),
    ],
)
def test_show_answers_rows_as_they_were(cli: Cli, orders: Orders, reference: str | None, expected: list[int]) -> None:
    at = [] if reference is None else ["--at", reference.format(first=orders.first)]

    page = cli("show", ORDERS, *at, "--json").answer

    assert sorted(row["id"] for row in page["rows"]) == expected
    assert page["truncated"] is False


def test_show_narrows_by_columns_filter_and_limit(cli: Cli, orders: Orders) -> None:
    page = cli("show", ORDERS, "--columns", "id, label", "--filter", "id > 2", "--limit", "2", "--json").answer

    assert page["columns"] == ["id", "label"]
    assert len(page["rows"]) == 2
    assert page["truncated"] is True


def test_show_says_on_stderr_that_there_is_more(cli: Cli, orders: Orders) -> None:
    result = cli("show", ORDERS, "--limit", "1")

    assert len(result.stdout.splitlines()) == 2
    assert "more than 1 rows" in result.stderr


def test_data_cannot_drive_the_terminal(cli: Cli, own_lake: SmallLake) -> None:
    evil = rows(9).set_column(2, "label", [["\x1b]0;owned\x07 [red]x[/red]\nnext line"]])
    own_lake.catalog.load_table(ORDERS).append(evil.rename_columns(["id", "price", "label", "at"]))

    shown = cli("show", ORDERS, "--filter", "id = 9", "--columns", "label").stdout

    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "[red]x[/red]\\nnext line" in shown
    assert len(shown.splitlines()) == 2
