"""A real MLflow registry is read whole, from each kind of store that MLflow has, and nothing is written to it."""

from __future__ import annotations

import hashlib
import math
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
import sqlalchemy

from app.domain.imported_models import ImportedModel, RunPresence
from app.domain.training_references import find_training_reference
from app.errors import BackendUnavailableError, InvalidArgumentError, MissingExtraError, UnsupportedSourceError
from app.mlflow.registry import read_registry
from app.mlflow.source import open_client
from tests.integration.mlflow_made import SNAPSHOT_ID, Made, make_many, make_registry

ODD_NAME = 'it\'s a "model" %_\\ 東'


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Made, Path]:
    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    return uri, make_registry(uri, folder / "artifacts"), folder / "mlflow.db"


@pytest.fixture
def models(sqlite: tuple[str, Made, Path]) -> dict[str, ImportedModel]:
    return {model.name: model for model in read_registry(sqlite[0])}


def test_models_are_read_with_description_tags_and_aliases(models: dict[str, ImportedModel]) -> None:
    churn = models["churn"]

    assert sorted(models) == ["churn", "empty", ODD_NAME]
    assert (churn.description, churn.tags) == ("Who leaves", {"team": "growth"})
    assert churn.aliases == {"champion": 1, "challenger": 6}
    assert (models["empty"].description, models["empty"].tags, models["empty"].versions) == (None, {}, ())
    assert datetime.now(UTC) - churn.created_at < timedelta(hours=1)


def test_deleted_versions_are_none(models: dict[str, ImportedModel]) -> None:
    assert [version.number for version in models["churn"].versions] == [1, 2, 3, 5, 6]


def test_version_has_the_facts_of_its_run(models: dict[str, ImportedModel], sqlite: tuple[str, Made, Path]) -> None:
    version = models["churn"].versions[0]

    assert (version.description, version.tags, version.status) == ("The full one", {"stage": "full"}, "READY")
    assert version.source == version.artifact_uri
    assert version.source.startswith("file:///")
    assert (version.run_id, version.run, version.run_status) == (
        sqlite[1].runs["full"],
        RunPresence.PRESENT,
        "FINISHED",
    )
    assert version.user == "ada"
    assert version.started_at is not None
    assert version.ended_at is not None
    assert version.started_at <= version.ended_at <= version.created_at
    assert version.parameters == {"depth": "3", "lr/decay rate": "0.1", "long": "x" * 6000}


def test_metrics_are_final_values_of_any_name_and_value(models: dict[str, ImportedModel]) -> None:
    metrics = dict(models["churn"].versions[0].metrics)

    assert math.isnan(metrics.pop("loss"))
    assert metrics == {"auc": 0.85, "test/f1 score": 0.5, "worst": math.inf, "best": -math.inf}


def test_datasets_are_read_with_context_schema_and_tags(models: dict[str, ImportedModel]) -> None:
    datasets = {dataset.name: dataset for dataset in models["churn"].versions[0].datasets}

    assert {name: dataset.context for name, dataset in datasets.items()} == {
        "customers": "training",
        "holdout": "validation",
        "sales": "test",
        "iris": None,
    }
    assert datasets["customers"].source_type == "iceberg"
    assert f'"snapshot_id": {SNAPSHOT_ID}' in datasets["customers"].source
    assert "churned" in (datasets["customers"].schema or "")
    assert datasets["customers"].digest
    assert datasets["sales"].tags == {"iceberg.snapshot_id": "77"}


def test_datasets_become_references(models: dict[str, ImportedModel]) -> None:
    found = {dataset.name: find_training_reference(dataset) for dataset in models["churn"].versions[0].datasets}

    assert {name: (str(r.table) if r.table else None, r.snapshot_id, r.location) for name, r in found.items()} == {
        "customers": ("gold.customers", SNAPSHOT_ID, None),
        "holdout": (None, None, "/data/holdout.csv"),
        "sales": ("silver.sales", 77, None),
        "iris": (None, None, "https://example.org/iris.csv"),
    }
    assert [name for name, reference in found.items() if reference.reason] == ["holdout", "iris"]


def test_version_is_read_whatever_became_of_its_run(
    models: dict[str, ImportedModel], sqlite: tuple[str, Made, Path]
) -> None:
    by_number = {version.number: version for version in models["churn"].versions}

    assert {number: version.run for number, version in by_number.items()} == {
        1: RunPresence.PRESENT,
        2: RunPresence.PRESENT,
        3: RunPresence.DELETED,
        5: RunPresence.GONE,
        6: RunPresence.NONE,
    }
    assert by_number[5].run_id == sqlite[1].runs["gone"]
    assert (by_number[5].metrics, by_number[5].datasets, by_number[5].started_at) == ({}, (), None)
    assert (by_number[6].run_id, by_number[6].artifact_uri) == (None, "s3://models/churn/6")


def test_place_of_a_model_that_was_registered_by_its_run_is_found(models: dict[str, ImportedModel]) -> None:
    (version,) = models[ODD_NAME].versions

    assert version.source.startswith("runs:/")
    assert version.metrics["auc"] == 0.85


def test_reading_changes_nothing_and_can_be_repeated(
    sqlite: tuple[str, Made, Path], tmp_path: Path, monkeypatch
) -> None:
    uri, _, file = sqlite
    monkeypatch.chdir(tmp_path)
    before = hashlib.sha256(file.read_bytes()).digest()

    first, second = ([repr(model) for model in read_registry(uri)] for _ in range(2))

    assert first == second
    assert hashlib.sha256(file.read_bytes()).digest() == before
    assert list(tmp_path.iterdir()) == []


def test_many_versions_are_read_over_pages(tmp_path: Path) -> None:
    # given
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    make_many(uri, tmp_path / "artifacts", 5_000)

    # when
    (model,) = read_registry(uri)

    # then
    assert [version.number for version in model.versions] == list(range(1, 5_001))
    assert all(version.metrics == {"auc": float(version.number)} for version in model.versions[1:])
    assert {version.run for version in model.versions} == {RunPresence.PRESENT}
    assert model.versions[4_999].artifact_uri == "s3://models/many/5000"


def test_registry_in_postgres_is_read(empty_database_url: str, tmp_path: Path) -> None:
    # given
    make_registry(of_psycopg2(empty_database_url), tmp_path / "artifacts")
    assert empty_database_url.startswith("postgresql://")

    # when
    models = {model.name: model for model in read_registry(empty_database_url)}

    # then
    assert [version.number for version in models["churn"].versions] == [1, 2, 3, 5, 6]
    assert models["churn"].versions[0].metrics["auc"] == 0.85
    assert models["churn"].aliases == {"champion": 1, "challenger": 6}


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_database_is_opened_so_that_it_cannot_be_written_to(kind: str, tmp_path: Path, empty_database_url: str) -> None:
    # given
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}" if kind == "sqlite" else of_psycopg2(empty_database_url)
    make_many(uri, tmp_path / "artifacts", 2)

    # when
    client = open_client(uri)
    with pytest.raises(mlflow_exception(), match=r"read-?only"):
        client.create_registered_model("mine")

    # then
    assert [model.name for model in read_registry(uri)] == ["many"]


def test_registry_behind_a_server_is_read(sqlite: tuple[str, Made, Path], models: dict[str, ImportedModel]) -> None:
    with tracking_server(sqlite[0]) as address:
        served = {model.name: model for model in read_registry(address)}

    assert {name: repr(model) for name, model in served.items()} == {
        name: repr(model) for name, model in models.items()
    }


# --- what is no registry


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "mlflow.db",
        "/data/mlflow.db",
        "mysql://host/db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///nowhere/x.db",
        "http://",
        "databricks",
    ],
)
def test_uri_of_no_registry_is_refused(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InvalidArgumentError) as caught:
        list(read_registry(uri))

    assert caught.value.fields["argument"] == "uri"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_database_without_a_registry_is_told_and_gets_no_tables(
    kind: str, tmp_path: Path, empty_database_url: str
) -> None:
    uri = f"sqlite:///{tmp_path / 'other.db'}" if kind == "sqlite" else empty_database_url
    engine = sqlalchemy.create_engine(of_psycopg2(uri))
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE mine (id INT)"))

    with pytest.raises(UnsupportedSourceError, match="no registry"):
        list(read_registry(uri))

    assert sqlalchemy.inspect(engine).get_table_names() == ["mine"]
    engine.dispose()


def test_registry_of_another_version_is_told_and_not_migrated(tmp_path: Path) -> None:
    # given a registry as an older MLflow left it
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    make_many(uri, tmp_path / "artifacts", 2)
    engine = sqlalchemy.create_engine(uri)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = '0584bdc529eb'"))
        connection.execute(sqlalchemy.text("DROP TABLE registered_model_aliases"))
    engine.dispose()
    before = (tmp_path / "mlflow.db").read_bytes()

    # when
    with pytest.raises(UnsupportedSourceError, match="0584bdc529eb"):
        list(read_registry(uri))

    # then
    assert (tmp_path / "mlflow.db").read_bytes() == before


def test_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("no database " * 100)

    with pytest.raises(BackendUnavailableError):
        list(read_registry(f"sqlite:///{tmp_path / 'x.db'}"))


@pytest.mark.parametrize("scheme", ["http", "postgresql"])
def test_server_that_does_not_answer_is_told_without_its_password(scheme: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listening
        uri = f"{scheme}://ada:se%40cret@127.0.0.1:{taken.getsockname()[1]}/x"
        with pytest.raises(BackendUnavailableError) as caught:
            list(read_registry(uri))

    assert "se%40cret" not in caught.value.message
    assert "se@cret" not in caught.value.message


def test_wrong_password_of_postgres_is_told_without_it(empty_database_url: str) -> None:
    parts = urlsplit(empty_database_url)
    wrong = urlunsplit(parts._replace(netloc=f"{parts.username}:wr0ng@{parts.hostname}:{parts.port}"))

    with pytest.raises(BackendUnavailableError) as caught:
        list(read_registry(wrong))

    assert "wr0ng" not in caught.value.message


def test_missing_mlflow_is_told_with_the_extra(sqlite: tuple[str, Made, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)

    with pytest.raises(MissingExtraError, match=r"pip install 'stratigraph\[mlflow\]'"):
        list(read_registry(sqlite[0]))


def test_mlflow_is_not_imported_before_it_is_needed() -> None:
    program = "import sys, app.mlflow.registry; sys.exit('mlflow' in sys.modules)"

    subprocess.run([sys.executable, "-c", program], check=True)


LONELY = """
import socket, sys
def tell(*arguments, **_):
    print("asked for", arguments[0] if isinstance(arguments[0], str) else arguments[1:], flush=True)
    raise OSError("there is no network")
socket.getaddrinfo = tell
socket.socket.connect = tell
from app.mlflow.registry import read_registry
print(len(list(read_registry(sys.argv[1]))), "models")
from mlflow.telemetry import get_telemetry_client
print("reports", get_telemetry_client())
"""


def test_nothing_else_is_contacted(sqlite: tuple[str, Made, Path]) -> None:
    # given an environment in which MLflow would report its use
    telling = ("CI", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "PYTEST_CURRENT_TEST")
    environment = {name: value for name, value in os.environ.items() if name not in telling}

    # when
    command = [sys.executable, "-c", LONELY, sqlite[0]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)

    # then
    assert done.stdout == "3 models\nreports None\n"


SERVER = """
import os, sys
from werkzeug.serving import make_server
os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", _MLFLOW_SERVER_FILE_STORE=sys.argv[1],
    _MLFLOW_SERVER_REGISTRY_STORE=sys.argv[1], _MLFLOW_SERVER_ARTIFACT_ROOT="/nowhere")
from mlflow.server import app
server = make_server("127.0.0.1", 0, app, threaded=True)
print(server.server_port, flush=True)
server.serve_forever()
"""


@contextmanager
def tracking_server(uri: str) -> Iterator[str]:
    """MLflow's own server over that registry, at an address of its own."""
    with subprocess.Popen([sys.executable, "-c", SERVER, uri], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def of_psycopg2(url: str) -> str:
    """The URL as SQLAlchemy takes it with the driver that is installed."""
    return url.replace("postgresql://", "postgresql+psycopg2://")


def mlflow_exception() -> type[Exception]:
    # Imported late: by then this project has told MLflow not to report its use.
    from mlflow.exceptions import MlflowException

    return MlflowException
