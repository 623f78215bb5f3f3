"""`stratigraph retention`, `hold` and `orphans`: what people read, what machines read, and exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.client import IcebergCatalog, IcebergRetentionManager, RetentionPolicy
from app.errors import DatasetNotFoundError, InvalidArgumentError
from app.lake import store
from app.lake.expire.deletion import delete_files
from tests.cli.results import ROOT, Cli
from tests.integration.format_v3 import upgrade_to_v3
from tests.lake_tables import ORDERS, TAG, SmallLake, append_elsewhere, create_orders

CRONJOB = ROOT / "deploy" / "kubernetes" / "cronjobs" / "iceberg-retention-cleanup.yaml"
ALL_GONE = ("--keep-last", "0", "--keep-days", "0", "--production-keep-days", "0")
ONE = ("--namespace", "sales", "--table", "orders")


def without_times(text: str) -> str:
    return re.sub(r"\(\d{4}-\d{2}-\d{2} \d{2}:\d{2}\)", "(…)", text)


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(cli: Cli, own_lake: SmallLake) -> None:
    # Given orders with three snapshots, the first of which is tagged and the second a branch's head
    orders, location = own_lake.orders, own_lake.location

    # When it is asked what would expire
    result = cli("retention", "cleanup", *ONE, *ALL_GONE)

    # Then it is told to the letter of the contract
    assert result.exit_code == 0
    assert without_times(result.stdout).splitlines()[:9] == [
        "Processing table: sales.orders",
        "  Total snapshots: 3",
        "  To keep: 3",
        "  To expire: 0",
        "  Kept snapshots:",
        f"    - {orders.third} (…) - head of main",
        f"    - {orders.second} (…) - head of dev",
        f"    - {orders.first} (…) - tagged ({TAG})",
        "",
    ]
    assert result.stdout.splitlines()[9:] == [
        "CLEANUP SUMMARY (dry run: nothing was changed)",
        "=" * 80,
        "Tables processed: 1",
        "Total snapshots: 3",
        "Kept: 3",
        "Expired: 0",
        "Space saved: 0 bytes (0.0%)",
    ]
    assert own_lake.location == location


def test_what_expires_is_listed_and_gone(cli: Cli, own_lake: SmallLake) -> None:
    # Given more snapshots, so that lists are cut
    heads = [append_elsewhere(own_lake.catalog, number) for number in range(10, 17)]

    # When they expire
    result = cli("retention", "cleanup", *ONE, *ALL_GONE, "--execute", "--yes", "--reason", "weekly")

    # Then the first four are shown, and how many more there are
    lines = without_times(result.stdout).splitlines()
    assert result.exit_code == 0
    expired = [own_lake.orders.third, *heads[:-1]]
    assert lines[1:4] == ["  Total snapshots: 10", "  To keep: 3", "  To expire: 7"]
    assert lines[8:15] == [
        "  Expired snapshots:",
        *(f"    - {snapshot_id} (…) - expired" for snapshot_id in reversed(expired[-4:])),
        "    ... and 3 more",
        "  ✓ Expired 7 snapshots",
    ]
    assert re.fullmatch(r"Space saved: [\d.,]+ KB \([\d.]+%\)", lines[-1])
    kept = {snapshot.snapshot_id for snapshot in own_lake.catalog.load_table(ORDERS).metadata.snapshots}
    assert kept == {own_lake.orders.first, own_lake.orders.second, heads[-1]}

    # And it can be explained afterwards, and it is in the record
    explained = cli("retention", "explain", ORDERS, str(heads[0]))
    assert f"Snapshot {heads[0]} was expired on " in explained.stdout
    assert "(weekly)" in explained.stdout
    left = cli("retention", "explain", ORDERS, TAG).stdout
    assert f"Tag {TAG} names it" in left


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_that_is_told_to_stop_leaves_the_rest_to_the_next(
    number: signal.Signals, cli: Cli, own_lake: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a run that is told to stop when it begins to delete files
    stopped = threading.Event()

    def delete(*arguments: Any, is_stopped: Callable[[], bool], **options: Any) -> Any:
        if not stopped.is_set():
            stopped.set()
            os.kill(os.getpid(), number)
            pause = threading.Event()
            while not is_stopped():
                pause.wait(0.01)
        return delete_files(*arguments, is_stopped=is_stopped, **options)

    for number_of_append in range(10, 17):
        append_elsewhere(own_lake.catalog, number_of_append)
    monkeypatch.setattr(store, "delete_files", delete)
    handler = signal.getsignal(signal.SIGTERM)

    # When it is
    result = cli("retention", "cleanup", *ONE, *ALL_GONE, "--execute", "--yes")

    # Then it is told, and what had expired stays so
    assert stopped.is_set()
    assert result.exit_code == 130
    assert result.stderr == (
        "Interrupted. What has expired stays so, and the next run deletes the files that are left of it.\n"
    )
    assert signal.getsignal(signal.SIGTERM) is handler
    table = own_lake.catalog.load_table(ORDERS)
    folder = Path(table.location().removeprefix("file://")) / "metadata"
    assert len(table.metadata.snapshots) == 3
    assert len(list(folder.glob("snap-*.avro"))) == 10
    # And the next one deletes what is left
    assert cli("retention", "cleanup", *ONE, *ALL_GONE, "--execute", "--yes").exit_code == 0
    assert len(list(folder.glob("snap-*.avro"))) == 3


def test_a_broken_table_is_told_and_the_others_are_done(cli: Cli, own_lake: SmallLake) -> None:
    append_elsewhere(own_lake.catalog, 10)

    result = cli("retention", "cleanup", "--all", *ALL_GONE, "--execute", "--yes", "--json")

    found = json.loads(result.stdout)
    assert result.exit_code == 1
    failed = [entry for entry in found["tables"] if entry["error"] is not None]
    assert [(entry["table"], entry["error"]["code"]) for entry in failed] == [("broken", "UNREADABLE_TABLE")]
    assert [entry["expired"] for entry in found["tables"] if entry["table"] == "orders"] == [1]
    assert found["expired"] == 1
    assert found["bytes_freed"] > 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "say which tables"),
        (("--all", "--table", "orders"), 2, "--all and --table cannot go together"),
        (("--table", "orders"), 2, "--namespace"),
        (("--namespace", "nowhere"), 3, "There is no namespace 'nowhere'"),
        ((*ONE, "--keep-last", "-1"), 2, "--keep-last: -1"),
        ((*ONE, "--keep-days", "-1"), 2, "--keep-days"),
        ((*ONE, "--keep-days", "99999999999999999999"), 2, "--keep-days"),
        ((*ONE, "--keep-days", "0", "--execute"), 2, "--yes"),
        ((*ONE, "--production-keep-days", "0", "--execute"), 2, "--production-keep-days: 0 days"),
        (("--namespace", "sales", "--table", "nothing"), 3, "There is no dataset 'sales.nothing'"),
        (("--namespace", "sales", "--table", "a/../b"), 3, "sales.a/../b"),
    ],
)
def test_wrong_usage_is_told(cli: Cli, arguments: tuple[str, ...], code: int, words: str) -> None:
    result = cli("retention", "cleanup", *arguments)

    assert result.exit_code == code
    assert words in result.stderr
    assert result.stdout == ""


def test_that_no_table_can_be_looked_at_is_no_tables_failure(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        monkeypatch.setenv("STRATIGRAPH_DATABASE_URL", f"postgresql://u@127.0.0.1:{nobody_listens.getsockname()[1]}/d")

        result = cli("retention", "cleanup", "--all")

    assert (result.exit_code, result.stdout) == (7, "")
    assert "postgres is not available" in result.stderr


def test_holds_are_placed_listed_and_released(cli: Cli, own_lake: SmallLake) -> None:
    # Given a hold on what would expire
    append_elsewhere(own_lake.catalog, 10)
    third = str(own_lake.orders.third)
    placed = json.loads(cli("hold", "add", ORDERS, third, "--reason", "case 17", "--json").stdout)

    # Then it keeps it, and the audit says for whom
    kept = json.loads(cli("retention", "cleanup", *ONE, *ALL_GONE, "--json").stdout)["tables"][0]
    assert kept["expired"] == 0
    assert kept["pinned"][f"hold {placed['hold_id']}"] > 0
    audit = json.loads(cli("retention", "audit", ORDERS, "--json").stdout)["tags"]
    assert [tag["purposes"] for tag in audit if tag["tag"] == placed["tag"]] == [[f"hold {placed['hold_id']}: case 17"]]
    assert third in cli("hold", "list").stdout

    # And released it keeps nothing more
    assert cli("hold", "release", placed["hold_id"]).exit_code == 2
    assert cli("hold", "release", placed["hold_id"], "--reason", "settled").exit_code == 0
    again = json.loads(cli("hold", "release", placed["hold_id"], "--reason", "settled", "--json").stdout)
    assert (again["state"], again["release_reason"]) == ("RELEASED", "settled")
    assert json.loads(cli("hold", "list", "--json").stdout)["holds"] == []
    assert json.loads(cli("retention", "cleanup", *ONE, *ALL_GONE, "--json").stdout)["expired"] == 1


def test_a_hold_needs_a_reason_a_version_and_an_id_that_there_is(cli: Cli, own_lake: SmallLake) -> None:
    location = own_lake.location
    assert cli("hold", "add", ORDERS).exit_code == 2
    assert cli("hold", "add", ORDERS, "nothing", "--reason", "x").exit_code == 3
    assert "There is no hold 'nothing'" in cli("hold", "release", "nothing", "--reason", "x").stderr
    assert own_lake.location == location


def test_orphans_are_found_by_age_and_removed_only_when_asked(cli: Cli, own_lake: SmallLake) -> None:
    # Given a file that a writer left five days ago, one of now, and one that is nobody's
    data = Path(own_lake.catalog.load_table(ORDERS).location().removeprefix("file://")) / "data"
    old, young, other = data / "old.parquet", data / "young.parquet", data / "notes.txt"
    for path in (old, young, other):
        path.write_bytes(b"x" * 10)
    then = time.time() - 5 * 86_400
    for path in (old, other):
        os.utime(path, (then, then))

    # When they are looked for, then both old ones are told, and nothing is changed
    found = json.loads(cli("orphans", "find", ORDERS, "--json").stdout)
    assert (found["orphans"], found["young"]) == ({"ORPHAN": 1, "UNKNOWN": 1}, 1)
    assert cli("orphans", "remove", ORDERS).exit_code == 0
    assert old.exists()

    # And what is removed is what a writer left
    assert cli("orphans", "remove", ORDERS, "--execute").exit_code == 0
    assert (old.exists(), young.exists(), other.exists()) == (False, True, True)
    refused = cli("orphans", "remove", ORDERS, "--older-than", "0.5", "--execute")
    assert (refused.exit_code, "--older-than" in refused.stderr) == (2, True)
    assert young.exists()


def test_what_would_be_refused_is_told_beforehand(cli: Cli, own_lake: SmallLake) -> None:
    # Given a table of a format that cannot be written here, and one whose files may be shared
    append_elsewhere(own_lake.catalog, 7)
    upgrade_to_v3(own_lake.catalog, own_lake.catalog.load_table(ORDERS))
    dry = cli("retention", "cleanup", *ONE, *ALL_GONE)
    assert dry.exit_code == 0
    assert "  To expire: 1\n" in dry.stdout
    assert "  ! Carrying this out would be refused: sales.orders: format version 3: " in dry.stdout

    create_orders(own_lake.catalog, "sales.shared")
    with own_lake.catalog.load_table("sales.shared").transaction() as change:
        change.set_properties({"gc.enabled": "false"})
    for command in ("find", "remove"):
        told = cli("orphans", command, "sales.shared")
        assert told.exit_code == 0
        assert "Warning: Removing them would be refused: sales.shared: gc.enabled=false: " in told.stderr
    assert len(json.loads(cli("orphans", "find", "sales.shared", "--json").stdout)["warnings"]) == 1
    assert cli("orphans", "remove", "sales.shared", "--execute").exit_code == 6


def test_orphans_are_removed_by_a_worker_where_that_is_asked_for(cli: Cli, own_lake: SmallLake) -> None:
    # When it is begun in the background
    begun = json.loads(
        cli("orphans", "remove", ORDERS, "--execute", "--background", "--reason", "june", "--json").stdout
    )
    assert (begun["kind"], begun["status"], begun["reason"]) == ("ORPHANS", "QUEUED", "june")
    told = cli("orphans", "remove", ORDERS, "--background", "--idempotency-key", "a")
    again = cli("orphans", "remove", ORDERS, "--background", "--idempotency-key", "a")

    # Then it waits for a worker, by the id that was told
    assert told.stdout == again.stdout
    listed = json.loads(cli("operation", "list", "--kind", "orphans", "--json").stdout)
    assert [each["request"]["dry_run"] for each in listed["operations"]] == [True, False]
    assert listed["operations"][0]["id"] in told.stdout
    # And a key is for operations alone
    refused = cli("orphans", "remove", ORDERS, "--idempotency-key", "b")
    assert (refused.exit_code, "--idempotency-key" in refused.stderr) == (2, True)


def test_python_has_the_same_under_the_well_known_names(own_lake: SmallLake) -> None:
    append_elsewhere(own_lake.catalog, 10)
    policy = RetentionPolicy(keep_last_n=1, keep_days=0, production_keep_days=0, allow_zero_days=True)
    with IcebergCatalog(settings=own_lake.settings) as catalog:
        manager = IcebergRetentionManager(catalog, policy)
        planned = manager.cleanup_table("sales", "orders")
        done = manager.cleanup_all_tables(["sales"], dry_run=False, reason="by hand")
        with pytest.raises(DatasetNotFoundError):
            manager.cleanup_table("sales", "nothing")
        # What is merely taken for false would carry it out, and a policy from JSON is none.
        for given in (None, 0, "", "no"):
            with pytest.raises(InvalidArgumentError, match="dry_run"):
                manager.cleanup_table("sales", "orders", given)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgumentError, match="policy"):
            IcebergRetentionManager(catalog, {"keep_days": 1}).cleanup_table("sales", "orders")  # type: ignore[arg-type]

    assert (planned["total_snapshots"], planned["kept"], planned["expired"], planned["dry_run"]) == (4, 3, 1, True)
    assert done["expired"] == 1
    assert done["bytes_freed"] == planned["bytes_freed"] > 0


def test_the_script_is_the_command(program: Cli, own_lake: SmallLake) -> None:
    import subprocess
    import sys

    append_elsewhere(own_lake.catalog, 10)
    script = ROOT / "scripts" / "iceberg_retention_cleanup.py"
    arguments = [*ONE, *ALL_GONE, "--json"]
    by_script = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=True)
    by_command = program("retention", "cleanup", *arguments)
    assert json.loads(by_script.stdout) == json.loads(by_command.stdout)


def test_the_cron_job_runs_on_sunday_with_the_least_it_needs(cli: Cli, own_lake: SmallLake) -> None:
    # Given the job as it is deployed
    account, job = yaml.safe_load_all(CRONJOB.read_text())
    spec = job["spec"]
    assert {account["metadata"]["namespace"], job["metadata"]["namespace"]} == {"lakehouse"}
    assert (spec["schedule"], spec["concurrencyPolicy"]) == ("0 2 * * 0", "Forbid")
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is account["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"]
    (container,) = pod["containers"]
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["command"] == ["stratigraph"]

    # When what it runs is run, then that is a command that there is; one table of this lake is broken
    result = cli(*container["args"])
    assert result.exit_code == 1
    assert "Tables processed: 4" in result.stdout
    assert "UNREADABLE_TABLE" in result.stdout
