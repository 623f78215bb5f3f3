"""The registered models of MLflow with their versions, runs and datasets, read by its own client."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from app.domain.imported_models import ImportedDataset, ImportedModel, ImportedVersion, RunPresence
from app.mlflow.source import open_client, translated_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Run
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

Item = TypeVar("Item")

PAGE_SIZE = 1_000
# A filter names each run; servers have limits on the length of a request.
_RUNS_AT_ONCE = 100
_EXPERIMENTS_AT_ONCE = 500
_CONTEXT_TAG = "mlflow.data.context"
# Databases have no infinity: MLflow writes the largest double instead.
_LARGEST = sys.float_info.max


def read_registry(uri: str) -> Iterator[ImportedModel]:
    """All registered models in order of name, each with all its versions; deleted versions are none.

    Blocks. What is read first is the list of all versions (about a kilobyte each is held in memory); then, model by
    model, their runs, 100 in a call. A version whose run is gone is read all the same.

    Nothing is written to the registry, and nothing else is contacted. The registry may change meanwhile: what came
    after the beginning may be missing, and is found by the next import.

    Raises:
        InvalidArgumentError, MissingExtraError, UnsupportedSourceError, BackendUnavailableError: see `open_client`.
    """
    client = open_client(uri)
    with translated_errors(uri):
        versions: dict[str, dict[int, ModelVersion]] = {}
        order = ["name ASC", "version_number ASC"]
        for version in _pages(
            lambda token: client.search_model_versions(max_results=PAGE_SIZE, order_by=order, page_token=token)
        ):
            # By number, for pages of a list that grows may overlap.
            versions.setdefault(version.name, {})[int(version.version)] = version
        models = {
            model.name: model
            for model in _pages(
                lambda token: client.search_registered_models(
                    max_results=PAGE_SIZE, order_by=["name ASC"], page_token=token
                )
            )
        }
        experiments = [one.experiment_id for one in _pages(lambda token: _experiments(client, token))]
    for name in sorted(models):
        with translated_errors(uri):
            model = _read_model(client, models[name], versions.get(name, {}), experiments)
        yield model


def _experiments(client: MlflowClient, token: str | None) -> Any:
    from mlflow.entities import ViewType

    return client.search_experiments(view_type=ViewType.ALL, max_results=PAGE_SIZE, page_token=token)


def _pages(fetch: Callable[[str | None], Any]) -> Iterator[Any]:
    token: str | None = None
    while True:
        page = fetch(token)
        yield from page
        token = page.token
        if not token:
            return


def _read_model(
    client: MlflowClient, model: RegisteredModel, versions: Mapping[int, ModelVersion], experiments: list[str]
) -> ImportedModel:
    runs = _read_runs(client, {version.run_id for version in versions.values() if version.run_id}, experiments)
    return ImportedModel(
        name=model.name,
        created_at=_moment(model.creation_timestamp),
        description=model.description or None,
        tags=dict(model.tags),
        aliases={alias: int(number) for alias, number in sorted(model.aliases.items())},
        versions=tuple(_version(client, versions[number], runs) for number in sorted(versions)),
    )


def _read_runs(client: MlflowClient, run_ids: set[str], experiments: list[str]) -> dict[str, Run]:
    """The runs that are still there, deleted ones included, by id."""
    from mlflow.entities import ViewType

    runs: dict[str, Run] = {}
    for ids in _batches(sorted(run_ids), _RUNS_AT_ONCE):
        listed = ", ".join(f"'{run_id}'" for run_id in ids if run_id.isalnum())
        for some in _batches(experiments, _EXPERIMENTS_AT_ONCE):
            if not listed or runs.keys() >= set(ids):
                break
            found = client.search_runs(
                some,
                filter_string=f"attributes.run_id IN ({listed})",
                run_view_type=ViewType.ALL,
                max_results=_RUNS_AT_ONCE,
            )
            runs.update((run.info.run_id, run) for run in found)
    return runs


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch


def _version(client: MlflowClient, version: ModelVersion, runs: Mapping[str, Run]) -> ImportedVersion:
    source = version.source or ""
    facts: dict[str, Any] = {}
    if run := runs.get(version.run_id or ""):
        is_deleted = run.info.lifecycle_stage == "deleted"
        facts = {
            "run": RunPresence.DELETED if is_deleted else RunPresence.PRESENT,
            "run_status": run.info.status,
            "started_at": _moment(run.info.start_time) if run.info.start_time else None,
            "ended_at": _moment(run.info.end_time) if run.info.end_time else None,
            "user": run.data.tags.get("mlflow.user") or run.info.user_id or None,
            "metrics": {name: _metric(value) for name, value in sorted(run.data.metrics.items())},
            "parameters": dict(sorted(run.data.params.items())),
            "datasets": tuple(_dataset(one) for one in (run.inputs.dataset_inputs if run.inputs else ())),
        }
    elif version.run_id:
        facts = {"run": RunPresence.GONE}
    return ImportedVersion(
        number=int(version.version),
        created_at=_moment(version.creation_timestamp),
        status=version.status,
        source=source,
        artifact_uri=_artifact_uri(client, version, source),
        description=version.description or None,
        tags=dict(version.tags),
        run_id=version.run_id or None,
        **{"user": version.user_id or None, **facts},
    )


def _artifact_uri(client: MlflowClient, version: ModelVersion, source: str) -> str:
    # A call for each version, so only where the source is a name within MLflow.
    if source.startswith(("models:", "runs:")):
        return client.get_model_version_download_uri(version.name, str(version.version)) or source
    return source


def _dataset(given: DatasetInput) -> ImportedDataset:
    tags = {tag.key: tag.value for tag in given.tags}
    context = tags.pop(_CONTEXT_TAG, "").strip().lower()
    dataset = given.dataset
    return ImportedDataset(
        name=dataset.name,
        source_type=dataset.source_type,
        source=dataset.source,
        digest=dataset.digest,
        schema=dataset.schema or None,
        context=context or None,
        tags=tags,
    )


def _metric(value: float) -> float:
    return math.copysign(math.inf, value) if abs(value) == _LARGEST else float(value)


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
