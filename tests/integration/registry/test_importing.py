"""Models from a real MLflow registry: imported once, however often, with what they were trained on where it is told."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.data.meta_dataset import MetaDataset

from app.bootstrap import Services
from app.domain.pages import PageRequest
from tests.integration.mlflow_made import IcebergSource, make_registry
from tests.integration.registry.lake import CUSTOMERS, SALES, by_ada, refs_of
from tests.lake_tables import Orders

pytestmark = pytest.mark.anyio


def quiet(model: str, done: int) -> None:
    del model, done


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


async def counts(services: Services, uri: str, **options: bool) -> tuple[int, int, int, int]:
    report = await services.importing.import_mlflow(uri, by_ada(), progress=quiet, **options)
    return (report.models, report.imported, report.unchanged, report.tags)


async def test_a_registry_is_imported_once(services: Services, uri: str, tmp_path: Path) -> None:
    make_registry(uri, tmp_path / "artifacts")

    assert await counts(services, uri, dry_run=True) == (3, 6, 0, 2)
    assert (await services.models.page(PageRequest(first=5))).total == 0
    assert await counts(services, uri) == (3, 6, 0, 2)
    assert await counts(services, uri) == (3, 0, 6, 0)

    names = [model.name for model in (await services.models.page(PageRequest(first=5))).items]
    assert names == ["churn", 'it\'s a "model" %_\\ 東']
    page = await services.models.page_versions("churn", PageRequest(first=10))
    assert [version.number for version in page.items] == [5, 4, 3, 2, 1]
    first = page.items[-1]
    metrics = {metric.name: metric.value for metric in first.metrics}
    assert metrics == {"auc": 0.85, "best": None, "loss": None, "test/f1 score": 0.5, "worst": None}
    assert first.parameters["depth"] == "3"
    assert first.reason is not None and first.reason.startswith("MLflow version 1 of ")
    assert await services.models.resolve("churn", "champion") == 1
    # Version 4 of theirs was deleted, so that their 6 is our 5.
    assert await services.models.resolve("churn", "challenger") == 5


async def test_aliases_move_and_go(services: Services, uri: str, tmp_path: Path) -> None:
    make_registry(uri, tmp_path / "artifacts")
    await counts(services, uri)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    client.set_registered_model_alias("churn", "champion", "2")
    client.delete_registered_model_alias("churn", "challenger")
    client.create_model_version("churn", "s3://models/churn/7")

    assert await counts(services, uri) == (3, 1, 6, 2)

    assert await services.models.resolve("churn", "champion") == 2
    assert await services.models.resolve("churn", None) == 6


async def test_what_a_version_was_trained_on_is_found_and_pinned(
    services: Services, uri: str, tmp_path: Path, sales: Orders, customers: Orders
) -> None:
    # given a run that tells one snapshot, and names another table
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.create_experiment("training", artifact_location=tmp_path.as_uri())
    with mlflow.start_run(experiment_id=experiment) as run:
        mlflow.log_input(MetaDataset(IcebergSource(CUSTOMERS, customers.second), name="c"), context="training")
        mlflow.log_input(MetaDataset(IcebergSource(SALES, 4711), name="s"), context="test")
        mlflow.log_input(
            mlflow.data.from_pandas(pd.DataFrame({"x": [1]}), source="/x.csv", name=SALES),
            context="eval",
        )
    client.create_registered_model("value")
    client.create_model_version("value", "s3://models/value/1", run.info.run_id)

    report = await services.importing.import_mlflow(uri, by_ada(), progress=quiet)

    version = await services.models.get_version("value", "1")
    assert [(str(use.dataset), use.snapshot_id, use.role.value, use.is_inferred) for use in version.training_data] == [
        (CUSTOMERS, customers.second, "TRAINING", False),
        (SALES, sales.third, "VALIDATION", True),
    ]
    assert (await refs_of(services, CUSTOMERS))["model_training_value_v1"] == customers.second
    assert [model for model, _ in report.notes] == ["value", "value"]
    assert any("4711" in note for _, note in report.notes)
    assert str(version.run_id).replace("-", "") == run.info.run_id


async def test_a_revised_version_is_told_and_stays(services: Services, uri: str, tmp_path: Path) -> None:
    made = make_registry(uri, tmp_path / "artifacts")
    await counts(services, uri)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    client.log_metric(made.runs["bare"], "auc", 0.99)

    report = await services.importing.import_mlflow(uri, by_ada(), progress=quiet)

    assert (report.imported, report.changed) == (0, 1)
    assert report.notes == [("churn", "version 2 says something else than when it was imported")]
    assert (await services.models.get_version("churn", "2")).metrics == ()
