"""`stratigraph impact`, and the impact that `rollback --dry-run` prints."""

import asyncio
import json

import pytest

from app.bootstrap import open_services
from app.errors import LineageUnavailableError
from app.lineage.postgres.store import PostgresLineage
from tests.cli.results import Cli
from tests.integration.lineage.events import body, columns, name, of_table, run_event
from tests.integration.lineage.test_upkeep import run_id
from tests.lake_tables import ORDERS, SmallLake, create_orders

MADE, FAR = "gold.customers", "silver.report"


@pytest.fixture
def told(own_lake: SmallLake) -> SmallLake:
    """A lake in which `sales.orders` was read for `gold.customers`, and that for `silver.report`."""
    made, far = create_orders(own_lake.catalog, MADE), create_orders(own_lake.catalog, FAR)

    async def tell() -> None:
        async with open_services(own_lake.settings) as services:
            tables = {each: await services.datasets.load(name(each)) for each in (ORDERS, MADE, FAR)}
            read = of_table(tables[ORDERS], own_lake.orders.third)
            written = of_table(tables[MADE], made.third, columnLineage=columns(read, {"label": ["label"]}))
            events = [
                run_event("START", run_id(1), "2026-02-15T10:00:00Z", [read]),
                run_event("COMPLETE", run_id(1), "2026-02-15T10:00:01Z", [], [written]),
                run_event("START", run_id(2), "2026-02-15T11:00:00Z", [of_table(tables[MADE], made.third)]),
                run_event("COMPLETE", run_id(2), "2026-02-15T11:00:01Z", [], [of_table(tables[FAR], far.third)]),
            ]
            await services.ingesting.ingest(body(*events))

    asyncio.run(tell())
    return own_lake


def test_what_a_change_affects_is_shown_without_a_server(cli: Cli, told: SmallLake) -> None:
    result = cli("impact", ORDERS)

    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "A change of sales.orders affects 2 datasets, 1 pipeline; severity CRITICAL."
    assert lines[1].split() == ["SEVERITY", "WHAT", "AND", "WHY", "WAY"]
    assert lines[2].split()[:2] == ["CRITICAL", "gold.customers,"]
    assert lines[-1].endswith("sales.orders > gold.customers > silver.report")
    assert result.stderr == ""


def test_json_has_all_of_it(cli: Cli, told: SmallLake) -> None:
    answer = cli("impact", ORDERS, "--kind", "data", "--json").answer
    assert (answer["dataset"], answer["kind"], answer["severity"], answer["complete"]) == (ORDERS, "DATA", "HIGH", True)
    assert [one["name"] for one in answer["datasets"]] == [MADE, FAR]


def test_columns_narrow_it(cli: Cli, told: SmallLake) -> None:
    result = cli("impact", ORDERS, "--kind", "schema", "--column", "price", "--column", "id")
    assert result.stdout == "A change of the schema of sales.orders affects nothing that is known.\n"
    assert "reaches column label" in cli("impact", ORDERS, "--column", "label").stdout


def test_what_is_cut_says_so(cli: Cli, told: SmallLake) -> None:
    result = cli("impact", ORDERS, "--depth", "1")
    assert result.stdout.startswith("A change of sales.orders affects 1 dataset, 1 pipeline")
    assert result.stderr == "This is not all of it: DEPTH.\n"


def test_to_name_a_version_is_to_ask_about_a_rollback(cli: Cli, told: SmallLake) -> None:
    result = cli("impact", ORDERS, "--rollback-to", "main~1")
    assert result.stdout.startswith("Rolling sales.orders back affects 2 datasets, 1 pipeline; severity CRITICAL.\n")
    assert f"{ORDERS} @ {told.orders.third}" in result.stdout
    assert result.stdout == cli("impact", ORDERS, "--kind", "rollback", "--rollback-to", "main~1").stdout


def test_a_dry_run_of_a_rollback_prints_its_impact(cli: Cli, told: SmallLake) -> None:
    before = told.location
    result = cli("rollback", ORDERS, "main~1", "--dry-run")
    assert result.exit_code == 0
    assert "main would go from snapshot" in result.stdout
    assert "Rolling sales.orders back affects 2 datasets, 1 pipeline; severity CRITICAL." in result.stdout
    answer = cli("rollback", ORDERS, "main~1", "--dry-run", "--json").answer
    assert answer["impact"]["total_affected"] == 3
    assert answer["impact_error"] is None
    assert told.location == before


def test_a_dry_run_answers_without_the_graph(cli: Cli, told: SmallLake, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object, **__: object) -> None:
        raise LineageUnavailableError("it is away")

    monkeypatch.setattr(PostgresLineage, "neighbours", away)
    result = cli("rollback", ORDERS, "main~1", "--dry-run")
    assert result.exit_code == 0
    assert "main would go from snapshot" in result.stdout
    assert "What that affects cannot be told: Lineage is not available: it is away" in result.stderr
    answer = cli("rollback", ORDERS, "main~1", "--dry-run", "--json").answer
    assert answer["impact"] is None
    assert answer["impact_error"]["code"] == "LINEAGE_UNAVAILABLE"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "code"),
    [
        (("sales.nope",), 3, "DATASET_NOT_FOUND"),
        ((ORDERS, "--column", "nope"), 2, "UNKNOWN_COLUMN"),
        ((ORDERS, "--depth", "0"), 2, "INVALID_ARGUMENT"),
        ((ORDERS, "--depth", "51"), 2, "INVALID_ARGUMENT"),
        ((ORDERS, "--kind", "data", "--rollback-to", "main~1"), 2, "INVALID_ARGUMENT"),
        ((ORDERS, "--kind", "rollback"), 2, "INVALID_ARGUMENT"),
        ((ORDERS, "--rollback-to", "nope"), 3, "VERSION_NOT_FOUND"),
        (("sales.empty", "--rollback-to", "latest"), 6, "NO_SNAPSHOT"),
        ((ORDERS, "--kind", "nope"), 2, "USAGE"),
    ],
)
def test_bad_input_is_typed(cli: Cli, arguments: tuple[str, ...], exit_code: int, code: str) -> None:
    result = cli("impact", *arguments, "--json")
    assert result.exit_code == exit_code
    assert json.loads(result.stderr)["error"]["code"] == code
