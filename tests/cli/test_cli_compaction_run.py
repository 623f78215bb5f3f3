"""`stratigraph compaction run`: what it says, what it does to tables, and exit codes."""

from __future__ import annotations

import json
import re

import pytest
from pyiceberg.table import Table

from tests.cli.results import Cli
from tests.integration.compaction.tables import append, create, ids_of, on_disk, reached
from tests.lake_tables import ORDERS, SmallLake

ONE = ("--namespace", "bronze", "--table", "events")
PLAN = [
    "Analyzing table: bronze.events",
    "  Total files: 12",
    "  Total size: 0.02 MB",
    "  Avg file size: 0.00 MB",
    "  Small files (<10 MB): 12",
    "  Needs compaction: True",
    "  Reason: 12 files are smaller than 10 MB",
]


@pytest.fixture
def events(own_lake: SmallLake) -> Table:
    """`bronze.events`: twelve files of one partition."""
    return create(own_lake.catalog)


def test_a_dry_run_is_what_is_done_unless_told_otherwise(cli: Cli, events: Table) -> None:
    location = events.metadata_location

    result = cli("compaction", "run", *ONE)

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        *PLAN,
        "  Would rewrite 0.02 MB (dry run: nothing was changed)",
        "    Files: 12 → 1",
    ]
    assert result.stderr == ""
    assert events.refresh().metadata_location == location


def test_what_is_done_is_told_and_recorded(cli: Cli, events: Table) -> None:
    # Given what was there before
    before, rows = events.metadata.current_snapshot_id, ids_of(events)

    # When it is carried out
    result = cli("compaction", "run", *ONE, "--execute", "--reason", "reads are slow", "--actor", "maria")

    # Then it is told to the letter of the contract
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[:7] == PLAN
    assert re.fullmatch(r"  ✓ Compaction completed in \d+\.\d\ds", lines[7])
    assert lines[8] == "    Files: 12 → 1"
    assert re.fullmatch(r"    Size: 0\.02 MB → 0\.00 MB \(\d+\.\d{3}x compression\)", lines[9])
    assert lines[10] == "    Rewritten: 1 bin, 12 files → 1"
    assert re.fullmatch(
        r"    Earlier snapshots hold \S+ KB until retention runs, which would free 0 bytes now", lines[12]
    )
    assert len(lines) == 13
    # And it is a snapshot with the same rows, in the record
    events.refresh()
    head = events.current_snapshot()
    assert head is not None
    assert head.summary is not None
    assert (head.summary.operation.value, head.parent_snapshot_id) == ("replace", before)
    assert ids_of(events) == ids_of(events, before) == rows
    assert head.summary.get("stratigraph.actor") == "maria"
    assert head.summary.get("stratigraph.reason") == "reads are slow"
    # And there is nothing more to do
    again = cli("compaction", "run", *ONE, "--execute")
    assert (again.exit_code, again.stdout.splitlines()[-3:]) == (
        0,
        ["  Needs compaction: False", "  Reason: it has one file", "  Nothing to do"],
    )


def test_machines_read_what_was_done(cli: Cli, events: Table) -> None:
    found = cli("compaction", "run", *ONE, "--execute", "--json").answer

    (told,) = found["tables"]
    assert (told["files_before"], told["files_after"], told["dry_run"], told["error"]) == (12, 1, False, None)
    assert told["snapshot_id"] == str(events.refresh().metadata.current_snapshot_id)
    assert [(each["way"], each["files"]) for each in told["bins"]] == [("rewrite", 12)]
    assert (found["files_before"], found["files_after"]) == (12, 1)


def test_a_broken_table_is_told_and_the_others_are_done(cli: Cli, own_lake: SmallLake, events: Table) -> None:
    result = cli("compaction", "run", "--all", "--execute")

    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    # Tables with nothing to do come first, then those that gain most.
    at = lines.index("Analyzing table: sales.broken")
    assert lines[at + 1].startswith("  ✗ UNREADABLE_TABLE: ")
    at = lines.index("Analyzing table: sales.empty")
    assert lines[at + 5 : at + 8] == ["  Needs compaction: False", "  Reason: it has no files", "  Nothing to do"]
    done = [line for line in lines if line.startswith(("  ✓", "Analyzing"))]
    assert [done[-4], done[-2]] == ["Analyzing table: bronze.events", "Analyzing table: sales.orders"]
    assert lines[lines.index("COMPACTION SUMMARY") : -1] == [
        "COMPACTION SUMMARY",
        "=" * 80,
        "Tables processed: 5",
        "Tables compacted: 2",
        "Tables failed: 1",
        "Files: 15 → 2",
    ]
    assert len(events.refresh().inspect.files()) == len(own_lake.catalog.load_table(ORDERS).inspect.files()) == 1


def test_a_file_that_is_gone_is_named_and_nothing_is_committed(cli: Cli, events: Table) -> None:
    location, missing = events.metadata_location, min(on_disk(events))
    missing.unlink()

    result = cli("compaction", "run", *ONE, "--execute")

    assert result.exit_code == 1
    assert result.stdout.splitlines()[:7] == PLAN
    assert result.stdout.splitlines()[7].startswith("  ✗ MISSING_FILE: ")
    assert missing.name in result.stdout
    assert events.refresh().metadata_location == location
    assert on_disk(events) == reached(events) - {missing}


def test_what_is_written_to_or_not_due_is_left_alone_and_says_why(cli: Cli, own_lake: SmallLake, events: Table) -> None:
    def skipped(*options: str) -> str | None:
        (told,) = cli("compaction", "run", *ONE, *options, "--json").answer["tables"]
        why: str | None = told["skipped"]
        return why

    # Given a table that was written to just now, and whose turn it is
    assert str(skipped("--skip-active", "1h")).startswith("it was written to ")
    assert str(skipped("--due")).startswith("it was written to ")
    assert skipped("--due", "--skip-active", "0s") is None
    text = cli("compaction", "run", *ONE, "--due").stdout
    assert re.fullmatch(r"  Skipped: it was written to \d+ s ago", text.splitlines()[-1])
    # When it is compacted, then its turn comes again in a week
    assert skipped("--due", "--skip-active", "0s", "--execute") is None
    append(events.refresh(), 100)
    assert str(skipped("--due", "--skip-active", "0s", "--execute")).startswith("it is compacted weekly, and was on ")


def test_a_budget_leaves_out_what_it_is_not_enough_for(cli: Cli, events: Table) -> None:
    # Given rows of more than a megabyte, which cannot be compressed away
    rows = [{"id": n * 7919 % 2**31, "part": 0, "name": f"{n * 2654435761 % 2**61:x}"} for n in range(150_000)]
    import pyarrow as pa
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    events.append(pa.Table.from_pylist(rows, schema_to_pyarrow(events.schema(), include_field_ids=False)))

    assert cli("compaction", "run", *ONE, "--budget", "1MB", "--execute").stdout.splitlines()[-1] == (
        "  Skipped: the budget is not enough for any of it"
    )
    assert cli("compaction", "run", *ONE, "--budget", "1GB").stdout.splitlines()[-1] == "    Files: 13 → 1"
    assert cli("compaction", "run", *ONE, "--budget", "30m").stdout.splitlines()[-1] == "    Files: 13 → 1"


def test_sizes_are_taken_with_units_and_all_files_where_that_is_asked(cli: Cli, events: Table) -> None:
    assert cli("compaction", "run", *ONE, "--target-file-size-mb", "1GB", "--execute").exit_code == 0
    location = events.refresh().metadata_location
    lines = cli("compaction", "run", *ONE, "--min-file-size-mb", "20MB", "--rewrite-all").stdout.splitlines()
    assert lines[4:7] == [
        "  Small files (<20 MB): 1",
        "  Needs compaction: True",
        "  Reason: all files are to be rewritten",
    ]
    assert events.refresh().metadata_location == location
    done = cli("compaction", "run", *ONE, "--rewrite-all", "--execute").stdout
    assert "    Files: 1 → 1" in done.splitlines()
    assert events.refresh().metadata_location != location


def test_a_worker_does_it_where_that_is_asked_for(cli: Cli, events: Table) -> None:
    options = ("--execute", "--budget", "10GB", "--due", "--max-concurrent-files", "50", "--background")
    begun = cli("compaction", "run", *ONE, *options, "--reason", "june", "--json").answer
    told = cli("compaction", "run", "--all", "--background", "--idempotency-key", "a")
    again = cli("compaction", "run", "--all", "--background", "--idempotency-key", "a")

    assert (begun["kind"], begun["status"], begun["reason"]) == ("COMPACTION", "QUEUED", "june")
    request = begun["request"]
    assert (request["dataset"], request["budget_bytes"], request["due_only"], request["dry_run"]) == (
        "bronze.events",
        10 * 2**30,
        True,
        False,
    )
    assert request["skip_active_seconds"] == 900
    assert request["policy"]["max_concurrent_files"] == 50
    assert told.stdout == again.stdout
    listed = json.loads(cli("operation", "list", "--kind", "compaction", "--json").stdout)
    assert [each["request"]["dry_run"] for each in listed["operations"]] == [True, False]
    assert listed["operations"][0]["id"] in told.stdout
    assert len(on_disk(events)) == 12


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "--all: say which tables"),
        (("--all", "--table", "events"), 2, "--all and --table cannot go together"),
        (("--all", "--namespace", "bronze"), 2, "--all: namespace and all cannot go together"),
        (("--table", "events"), 2, "--namespace says which"),
        ((*ONE, "--target-file-size-mb", "5MB"), 2, "--min-file-size-mb: 10 is more than the target of 5"),
        ((*ONE, "--target-file-size-mb", "0"), 2, "--target-file-size-mb: 0 is not between"),
        ((*ONE, "--target-file-size-mb", "-512"), 2, "--target-file-size-mb: -512 is not between"),
        ((*ONE, "--min-file-size-mb", "1.5"), 2, "--min-file-size-mb: a whole number of megabytes"),
        ((*ONE, "--max-concurrent-files", "1"), 2, "--max-concurrent-files: 1 is not between"),
        ((*ONE, "--budget", "plenty"), 2, "--budget: an amount of data such as 10GB"),
        ((*ONE, "--budget", "30M"), 2, "--budget: '30M' may mean"),
        ((*ONE, "--budget", "0GB"), 2, "--budget: '0GB' is nothing"),
        ((*ONE, "--skip-active", "-1m"), 2, "--skip-active: a time such as"),
        ((*ONE, "--idempotency-key", "a"), 2, "--idempotency-key: it is for operations"),
        ((*ONE, "--background", "--target-file-size-mb", "5"), 2, "--min-file-size-mb: 10 is more"),
        ((*ONE, "--actor", ""), 2, "--actor: "),
        ((*ONE, "--reason", "x" * 3000), 2, "--reason: "),
        (("--namespace", "nowhere"), 3, "There is no namespace 'nowhere'"),
        (("--namespace", "sales", "--table", "order"), 3, "There is no dataset 'sales.order'. Did you mean"),
        (("--namespace", "sales", "--table", "broken"), 7, "sales.broken cannot be read"),
        (("--namespace", "sales", "--table", "nothing", "--background"), 3, "There is no dataset 'sales.nothing'"),
    ],
)
def test_wrong_usage_is_told(cli: Cli, arguments: tuple[str, ...], code: int, words: str) -> None:
    result = cli("compaction", "run", *arguments, "--execute")

    assert result.exit_code == code
    assert words in result.stderr
    assert result.stdout == ""
