"""`stratigraph import mlflow`, on a registry that MLflow itself made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.results import Cli
from tests.integration.mlflow_made import make_registry
from tests.lake_tables import SmallLake


@pytest.fixture
def uri(tmp_path: Path) -> str:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    make_registry(uri, tmp_path / "artifacts")
    return uri


def test_models_are_imported_once(own_lake: SmallLake, cli: Cli, uri: str) -> None:
    del own_lake
    tried = cli("import", "mlflow", "--uri", uri, "--dry-run")
    assert (tried.exit_code, tried.stdout) == (
        0,
        "3 models: 6 versions would be imported, 0 known, 2 tags to be set.\n",
    )

    told = json.loads(cli("import", "mlflow", "--uri", uri, "--json").stdout)
    again = cli("import", "mlflow", "--uri", uri)

    assert {key: told[key] for key in ("models", "imported", "unchanged", "changed", "tags", "dry_run")} == {
        "models": 3,
        "imported": 6,
        "unchanged": 0,
        "changed": 0,
        "tags": 2,
        "dry_run": False,
    }
    assert again.stdout == "3 models: 0 versions imported, 6 known, 0 tags set.\n"


@pytest.mark.parametrize(
    ("uri", "exit_code"), [("ftp://x", 2), ("sqlite:////nowhere/mlflow.db", 2), ("", 2), ("http://127.0.0.1:1", 7)]
)
def test_what_is_no_registry_is_told(cli: Cli, uri: str, exit_code: int) -> None:
    done = cli("import", "mlflow", "--uri", uri)

    assert (done.exit_code, done.stdout) == (exit_code, "")
    assert done.stderr.startswith("Error: ")
