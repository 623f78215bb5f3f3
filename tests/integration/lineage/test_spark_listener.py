"""OpenLineage's own listener in a real Spark reports to a real server, through to the answer of a query."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.settings import Settings
from tests.contract.lakes import variables
from tests.servers.rest_catalog import rest_catalog

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = Path(__file__).with_name("spark_program.py")
TIMEOUT_S = 240

QUERY = """{
  sales: dataset(namespace: "silver", name: "sales") { snapshots(first: 10) { nodes { snapshotId } } }
  customers: dataset(namespace: "gold", name: "customers") {
    current {
      snapshotId
      lineage(options: {consistency: READ_YOUR_WRITES}) {
        nodes { kind name versionLabel depth }
        edges { kind inferred source }
        completeness { complete }
      }
    }
    columnLineage(column: "revenue") { fromDataset { namespace name } fromColumn transformation }
  }
}"""


@contextmanager
def serving(environment: dict[str, str], log: Path) -> Iterator[str]:
    """A server as a user starts it, until the block ends."""
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "serve", "--port", "0", "--no-demo", "--json"],
            stdout=subprocess.PIPE,
            stderr=errors,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env={**os.environ, **environment},
        )
    try:
        text = ""
        for line in process.stdout or ():
            text += line
            if line.startswith("}"):
                break
        assert text, log.read_text()
        yield json.loads(text)["url"]
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.spark
@pytest.mark.rest_catalog
def test_spark_tells_which_snapshot_it_read(database_url: str, tmp_path: Path) -> None:
    with rest_catalog(tmp_path) as catalog_url:
        settings = Settings(home=tmp_path / "home", database_url=database_url)
        environment = variables({"type": "rest", "uri": catalog_url}, settings)
        with serving(environment, tmp_path / "serve.log") as url:
            # when a Spark with the listener fills one table from another
            done = subprocess.run(
                [sys.executable, str(PROGRAM), url, catalog_url, str(tmp_path)],
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            assert done.returncode == 0, done.stderr[-4000:]
            answer: dict[str, Any] = httpx.post(f"{url}/graphql", json={"query": QUERY}, timeout=60).json()

    # then the table's snapshot was made from exactly the one that was read, and the server was told, not guessing
    assert "errors" not in answer, answer
    newest_first = [node["snapshotId"] for node in answer["data"]["sales"]["snapshots"]["nodes"]]
    current = answer["data"]["customers"]["current"]
    lineage = current["lineage"]
    assert lineage["completeness"] == {"complete": True}
    datasets = [(n["name"], n["versionLabel"], n["depth"]) for n in lineage["nodes"] if n["kind"] == "DATASET"]
    assert datasets == [("gold.customers", current["snapshotId"], 0), ("silver.sales", newest_first[1], 1)]
    assert {edge["kind"] for edge in lineage["edges"]} == {"DERIVED_FROM", "GENERATED_BY"}
    assert not any(edge["inferred"] for edge in lineage["edges"])
    columns = {
        (edge["fromDataset"]["namespace"], edge["fromDataset"]["name"], edge["fromColumn"])
        for edge in answer["data"]["customers"]["columnLineage"]
    }
    assert ("silver", "sales", "amount") in columns
