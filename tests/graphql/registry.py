"""What the tests of models, pipelines and runs ask of the API."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tests.graphql.api import Api

ORDERS = {"namespace": "sales", "name": "orders"}
RUN = UUID("33333333-3333-4333-8333-333333333333")
ERRORS = """userErrors { __typename message path code errorCode docs details
  ... on NotFoundError { ref suggestions }
  ... on HeadMovedError { expected actual }
  ... on TagExistsError { existing { name target { label } } }
  ... on ProtectedTagError { why tag { name protected target { label } } } }"""
USE = "name versionLabel role isInferred dataset { namespace name } version { snapshotId }"
MODEL_VERSION = f"""id number label createdAt createdBy {{ subject }} reason framework artifactUri archivedAt parameters
  availability metrics {{ name value higherIsBetter }} trainingData {{ {USE} }} tags {{ name }} isReproducible runId
  producedBy {{ runId }} model {{ id name description }}"""
RUN_FIELDS = f"""id runId status startedAt isStartInferred endedAt durationMs error parentRunId sql sourceUrl gitCommit
  owners {{ name type }} producer recordedBy {{ subject }} inputs {{ {USE} }} outputs {{ {USE} }}
  pipeline {{ pipelineId name }} version {{ number }} trainedModels {{ label model {{ name }} }}"""
REGISTER_MODEL = f"""mutation($input: RegisterModelVersionInput!) {{ registerModelVersion(input: $input) {{
  modelVersion {{ {MODEL_VERSION} }} unchanged warnings {ERRORS} }} }}"""
ARCHIVE_MODEL = f"""mutation($input: ArchiveModelVersionInput!) {{ archiveModelVersion(input: $input) {{
  modelVersion {{ {MODEL_VERSION} }} unchanged warnings {ERRORS} }} }}"""
PIPELINE_VERSION = """id number label createdAt createdBy { subject } reason gitCommit codeHash code dag availability
  tags { name } pipeline { id pipelineId name description }"""
REGISTER_PIPELINE = f"""mutation($input: RegisterPipelineVersionInput!) {{ registerPipelineVersion(input: $input) {{
  pipelineVersion {{ {PIPELINE_VERSION} }} unchanged {ERRORS} }} }}"""
RECORD_RUN = f"""mutation($input: RecordPipelineRunInput!) {{ recordPipelineRun(input: $input) {{
  run {{ {RUN_FIELDS} }} {ERRORS} }} }}"""
PROMOTE = f"""mutation($input: RecordDatasetPromotionInput!) {{ recordDatasetPromotion(input: $input) {{
  dataset {{ name }} source {{ snapshotId }} target {{ snapshotId }} unchanged {ERRORS} }} }}"""
DAG = {"tasks": [{"id": "load"}, {"id": "clean", "retries": 3}], "edges": [["load", "clean"]]}


def a_model(*snapshots: int, model: str = "churn", **changes: Any) -> dict[str, Any]:
    """The input of a registration, trained on these snapshots of `sales.orders`."""
    uses = [{"dataset": ORDERS, "at": {"snapshotId": str(each)}, "role": "TRAINING"} for each in snapshots]
    return {"model": model, "metrics": [{"name": "auc", "value": 0.85}], "trainingData": uses, **changes}


def a_run(status: str = "SUCCESS", **changes: Any) -> dict[str, Any]:
    """The input of a run of `refresh`."""
    told = {"startedAt": "2026-02-15T10:00:00Z"}
    if status != "RUNNING":
        told["endedAt"] = "2026-02-15T10:00:02.5Z"
    return {"runId": str(RUN), "pipelineId": "refresh", "status": status, **told, **changes}


async def register_model(api: Api, *snapshots: int, **changes: Any) -> dict[str, Any]:
    """The version that was registered."""
    data = await api.data(REGISTER_MODEL, input=a_model(*snapshots, **changes))
    assert data["registerModelVersion"]["userErrors"] == []
    version: dict[str, Any] = data["registerModelVersion"]["modelVersion"]
    return version


async def register_pipeline(api: Api, pipeline_id: str = "refresh", **changes: Any) -> dict[str, Any]:
    """The version that was registered."""
    data = await api.data(REGISTER_PIPELINE, input={"pipelineId": pipeline_id, "dag": DAG, **changes})
    assert data["registerPipelineVersion"]["userErrors"] == []
    version: dict[str, Any] = data["registerPipelineVersion"]["pipelineVersion"]
    return version


async def record_run(api: Api, **changes: Any) -> dict[str, Any]:
    """The run that was recorded."""
    data = await api.data(RECORD_RUN, input=a_run(**changes))
    assert data["recordPipelineRun"]["userErrors"] == []
    run: dict[str, Any] = data["recordPipelineRun"]["run"]
    return run
