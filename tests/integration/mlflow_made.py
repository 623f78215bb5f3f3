"""An MLflow registry made by MLflow itself, with what people and accidents leave in one."""

from __future__ import annotations

import os

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import sqlalchemy
from mlflow import MlflowClient
from mlflow.data.dataset_source import DatasetSource
from mlflow.data.delta_dataset_source import DeltaDatasetSource
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.types.schema import ColSpec, Schema

SNAPSHOT_ID = 9007199254740993


class IcebergSource(DatasetSource):
    """What somebody would write who wants MLflow to know the snapshot."""

    def __init__(self, table: str, snapshot_id: int) -> None:
        self._facts = {"table": table, "snapshot_id": snapshot_id}

    @staticmethod
    def _get_source_type() -> str:
        return "iceberg"

    def load(self, **_: Any) -> Any:
        raise NotImplementedError

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return False

    @classmethod
    def _resolve(cls, raw_source: Any) -> IcebergSource:
        raise NotImplementedError

    def to_dict(self) -> dict[Any, Any]:
        return self._facts

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> IcebergSource:
        return cls(**source_dict)


@dataclass
class Made:
    """Ids of what was made."""

    runs: dict[str, str] = field(default_factory=dict)


def make_registry(uri: str, folder: Path) -> Made:
    """Models `churn` (five versions, one of them deleted), `empty` (none) and `it's a "model"` (one)."""
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.create_experiment("training", artifact_location=folder.as_uri())
    made = Made()
    client.create_registered_model("churn", tags={"team": "growth"}, description="Who leaves")
    for name in ("full", "bare", "deleted", "removed", "gone"):
        made.runs[name] = _log_run(experiment, name)
        client.create_model_version(
            "churn",
            f"{folder.as_uri()}/{name}",
            made.runs[name],
            tags={"stage": name},
            description=f"The {name} one" if name == "full" else None,
        )
    client.create_model_version("churn", "s3://models/churn/6")
    client.set_registered_model_alias("churn", "champion", "1")
    client.set_registered_model_alias("churn", "challenger", "6")
    client.delete_model_version("churn", "4")
    client.delete_run(made.runs["deleted"])
    # What `mlflow gc` does with a deleted run.
    client.delete_run(made.runs["gone"])
    SqlAlchemyStore(uri, folder.as_uri())._hard_delete_run(made.runs["gone"])
    client.create_registered_model("empty")
    client.create_registered_model('it\'s a "model" %_\\ 東')
    client.create_model_version('it\'s a "model" %_\\ 東', "runs:/" + made.runs["full"] + "/model", made.runs["full"])
    return made


def _log_run(experiment: str, name: str) -> str:
    with mlflow.start_run(experiment_id=experiment, run_name=name) as run:
        if name != "full":
            return str(run.info.run_id)
        mlflow.set_tag("mlflow.user", "ada")
        for step, value in enumerate((0.7, 0.9, 0.85)):
            mlflow.log_metric("auc", value, step=step)
        mlflow.log_metric("test/f1 score", 0.5)
        mlflow.log_metric("loss", float("nan"))
        mlflow.log_metric("worst", float("inf"))
        mlflow.log_metric("best", float("-inf"))
        mlflow.log_params({"depth": 3, "lr/decay rate": "0.1", "long": "x" * 6000})
        frame = pd.DataFrame({"id": [1, 2], "churned": [True, False]})
        schema = Schema([ColSpec("long", "id"), ColSpec("boolean", "churned")])
        iceberg = IcebergSource("gold.customers", SNAPSHOT_ID)
        mlflow.log_input(MetaDataset(iceberg, name="customers", schema=schema), context="training")
        mlflow.log_input(
            mlflow.data.from_pandas(frame, source="/data/holdout.csv", name="holdout"), context="Validation"
        )
        delta = DeltaDatasetSource(delta_table_name="silver.sales", delta_table_version=3)
        mlflow.log_input(MetaDataset(delta, name="sales"), context="test", tags={"iceberg.snapshot_id": "77"})
        mlflow.log_input(MetaDataset(HTTPDatasetSource("https://example.org/iris.csv"), name="iris"))
    return str(run.info.run_id)


def make_many(uri: str, folder: Path, count: int) -> None:
    """A model with so many versions, each of a run of its own, written as MLflow would, by SQL so that it ends."""
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.create_experiment("many", artifact_location=folder.as_uri())
    run_id = client.create_run(experiment).info.run_id
    client.log_metric(run_id, "auc", 0.5)
    client.create_registered_model("many")
    client.create_model_version("many", "s3://models/many/1", run_id)
    engine = sqlalchemy.create_engine(uri)
    with engine.begin() as connection:
        metadata = sqlalchemy.MetaData()
        metadata.reflect(connection)
        for table, key in (("runs", "run_uuid"), ("latest_metrics", "run_uuid"), ("model_versions", "version")):
            one = metadata.tables[table]
            row = dict(connection.execute(sqlalchemy.select(one).where(_of(one, run_id))).mappings().one())
            rows = []
            for number in range(2, count + 1):
                new = {**row, key: number if key == "version" else f"{number:032x}"}
                if table == "model_versions":
                    new |= {"run_id": f"{number:032x}", "source": f"s3://models/many/{number}"}
                if table == "latest_metrics":
                    new["value"] = float(number)
                rows.append(new)
            connection.execute(one.insert(), rows)
    engine.dispose()


def _of(table: sqlalchemy.Table, run_id: str) -> sqlalchemy.ColumnElement[bool]:
    column = table.c["run_id"] if "run_id" in table.c else table.c["run_uuid"]
    return column == run_id
