"""Compaction in Python under the well-known names, as a script, and as a job of Kubernetes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import yaml

from app.client import CompactionPolicy, IcebergCatalog, IcebergCompactionManager
from app.errors import DatasetNotFoundError, InvalidArgumentError, NamespaceNotFoundError
from tests.cli.results import ROOT, Cli
from tests.integration.compaction.tables import create, ids_of
from tests.lake_tables import SmallLake

CRONJOB = ROOT / "deploy" / "kubernetes" / "cronjobs" / "iceberg-compaction.yaml"
SCRIPT = ROOT / "scripts" / "iceberg_compaction.py"
ONE = ("--namespace", "bronze", "--table", "events")


def test_python_has_the_same_under_the_well_known_names(own_lake: SmallLake) -> None:
    # Given a table of small files
    table = create(own_lake.catalog)
    before, rows = table.metadata.current_snapshot_id, ids_of(table)
    policy = CompactionPolicy(target_file_size_mb="512MB", min_file_size_mb=20)  # type: ignore[arg-type]

    with IcebergCatalog(settings=own_lake.settings, actor="maria") as catalog:
        manager = IcebergCompactionManager(catalog, policy)
        # When it is looked at, then it is told by the names of the contract
        plan = manager.analyze_table("bronze", "events")
        assert (plan["needs_compaction"], plan["reason"]) == (True, "12 files are smaller than 20 MB")
        assert (plan["total_files"], plan["small_files"], plan["delete_files"]) == (12, 12, 0)
        assert plan["estimated_files_after"] == 1
        assert plan["total_size_mb"] >= plan["avg_file_size_mb"] >= 0
        # And without being told otherwise nothing is changed
        planned = manager.compact_table("bronze", "events")
        assert (planned["files_before"], planned["files_after"], planned["dry_run"]) == (12, 1, True)
        assert (planned["bins"], planned["snapshot_id"], planned["error"]) == ([], None, None)
        (bin_planned,) = planned["planned_bins"]
        assert (bin_planned["partition"], bin_planned["files"], bin_planned["files_after"]) == ("part=0", 12, 1)
        assert table.refresh().metadata.current_snapshot_id == before
        # And carried out it is done, by whom and why
        done = manager.compact_table("bronze", "events", dry_run=False, reason="by hand")
        assert (done["files_before"], done["files_after"], done["dry_run"], done["error"]) == (12, 1, False, None)
        assert done["size_before_mb"] >= done["size_after_mb"]
        assert done["duration_s"] > 0
        (made,) = done["bins"]
        assert (bin_planned["bytes"], done["planned_bins"]) == (made["bytes"], [])
        assert {name: dict(made)[name] for name in ("way", "files")} == {"way": "rewrite", "files": 12}
        assert made["bytes"] > made["bytes_after"]
        table.refresh()
        assert done["snapshot_id"] == str(table.metadata.current_snapshot_id)
        assert ids_of(table) == ids_of(table, before) == rows
        # And there is nothing more to do
        assert manager.analyze_table("bronze", "events")["reason"] == "it has one file"
        assert manager.compact_table("bronze", "events", dry_run=False)["run_id"] is None

    head = table.current_snapshot()
    assert head is not None
    assert head.summary is not None
    assert (head.summary.get("stratigraph.actor"), head.summary.get("stratigraph.reason")) == ("maria", "by hand")


def test_python_does_many_tables_within_limits(own_lake: SmallLake) -> None:
    create(own_lake.catalog)
    with IcebergCatalog(settings=own_lake.settings) as catalog:
        manager = IcebergCompactionManager(catalog)
        everything = manager.compact_all_tables()
        assert everything["files_before"] == 15
        assert {table["table"]: table["files_after"] for table in everything["tables"]} == {
            "broken": 0,
            "empty": 0,
            "t ü": 0,
            "orders": 1,
            "events": 1,
        }
        assert [table["error"] is None for table in everything["tables"] if table["table"] == "broken"] == [False]
        (active,) = manager.compact_all_tables(["bronze"], False, skip_active="1h")["tables"]
        assert str(active["skipped"]).startswith("it was written to ")
        (due,) = manager.compact_all_tables(["bronze"], False, due_only=True)["tables"]
        assert str(due["skipped"]).startswith("it was written to ")
        (done,) = manager.compact_all_tables(["bronze"], False, "30m", due_only=True, skip_active="0s")["tables"]
        assert (done["files_before"], done["files_after"]) == (12, 1)
        assert manager.compact_all_tables([], False)["tables"] == []


@pytest.mark.parametrize(
    ("given", "argument"),
    [
        ({"dry_run": None}, "dry_run"),
        ({"dry_run": 0}, "dry_run"),
        ({"due_only": "no"}, "due_only"),
        ({"budget": "plenty"}, "budget"),
        ({"budget": 10}, "budget"),
        ({"skip_active": "soon"}, "skip_active"),
        ({"skip_active": 15}, "skip_active"),
        ({"namespaces": "bronze"}, "namespaces"),
        ({"reason": 1}, "reason"),
    ],
)
def test_python_names_what_is_wrong(shared_lake: SmallLake, given: dict[str, Any], argument: str) -> None:
    with IcebergCatalog(settings=shared_lake.settings) as catalog, pytest.raises(InvalidArgumentError) as caught:
        IcebergCompactionManager(catalog).compact_all_tables(**given)
    assert caught.value.fields["argument"] == argument


def test_python_says_what_there_is_not(shared_lake: SmallLake) -> None:
    with IcebergCatalog(settings=shared_lake.settings) as catalog:
        manager = IcebergCompactionManager(catalog)
        with pytest.raises(DatasetNotFoundError):
            manager.compact_table("sales", "nothing")
        with pytest.raises(DatasetNotFoundError):
            manager.analyze_table("sales", "nothing")
        with pytest.raises(NamespaceNotFoundError):
            manager.compact_all_tables(["nowhere"])
        with pytest.raises(InvalidArgumentError, match="policy"):
            IcebergCompactionManager(catalog, {"target_file_size_mb": 1}).analyze_table("sales", "orders")  # type: ignore[arg-type]
        with pytest.raises(InvalidArgumentError, match="minFileSizeMb"):
            CompactionPolicy(target_file_size_mb=5)


def test_the_script_is_the_command(program: Cli, own_lake: SmallLake) -> None:
    create(own_lake.catalog)
    by_script = subprocess.run([sys.executable, SCRIPT, *ONE, "--json"], capture_output=True, text=True, check=True)
    by_command = program("compaction", "run", *ONE, "--json")
    assert json.loads(by_script.stdout) == json.loads(by_command.stdout)
    assert json.loads(by_script.stdout)["files_after"] == 1


def test_the_cron_job_runs_on_saturday_with_the_least_it_needs(cli: Cli, own_lake: SmallLake) -> None:
    # Given the job as it is deployed
    account, job = yaml.safe_load_all(CRONJOB.read_text())
    spec = job["spec"]
    assert {account["metadata"]["namespace"], job["metadata"]["namespace"]} == {"lakehouse"}
    assert {account["metadata"]["name"], job["metadata"]["name"]} == {"iceberg-compaction"}
    assert (spec["schedule"], spec["concurrencyPolicy"]) == ("0 3 * * 6", "Forbid")
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "iceberg-compaction"
    assert pod["automountServiceAccountToken"] is account["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"]
    (container,) = pod["containers"]
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["command"] == ["stratigraph"]
    # And memory for the rows of a run beside the program, and a folder for those that do not fit
    memory = container["resources"]["limits"]["memory"]
    assert memory.endswith("Mi")
    rows = own_lake.settings.compaction_memory_bytes // 2**20
    assert rows + 512 <= int(memory.removesuffix("Mi"))
    home = {each["name"]: each["value"] for each in container["env"] if "value" in each}["STRATIGRAPH_HOME"]
    assert home in [mount["mountPath"] for mount in container["volumeMounts"]]

    # When what it runs is run, then that is a command that there is; one table of this lake is broken
    create(own_lake.catalog)
    result = cli(*container["args"])
    assert result.exit_code == 1
    assert "Tables processed: 5" in result.stdout
    # All others were written to a moment ago, or are empty
    assert "Tables compacted: 0" in result.stdout
    assert "  Skipped: it was written to " in result.stdout
    assert "UNREADABLE_TABLE" in result.stdout
