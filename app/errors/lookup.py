"""What was looked up and is not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.errors.base import Expired, JsonValue, NotFound, did_you_mean


class NamespaceNotFoundError(NotFound):
    """No namespace of this name in the catalog."""

    code = "NAMESPACE_NOT_FOUND"

    def __init__(self, namespace: str, suggestions: Sequence[str] = ()) -> None:
        super().__init__(
            f"There is no namespace {namespace!r}.{did_you_mean(suggestions)}",
            namespace=namespace,
            suggestions=list(suggestions),
        )


class DatasetNotFoundError(NotFound):
    """No Iceberg table of this name in the catalog."""

    code = "DATASET_NOT_FOUND"

    def __init__(self, dataset: str, suggestions: Sequence[str] = ()) -> None:
        super().__init__(
            f"There is no dataset {dataset!r}.{did_you_mean(suggestions)}",
            dataset=dataset,
            suggestions=list(suggestions),
        )


class VersionNotFoundError(NotFound):
    """A well-formed version reference that this dataset has no snapshot for, or this model or pipeline no version.

    `owner_field` is the field that tells whose version it would be: `dataset`, `model` or `pipelineId`.
    """

    code = "VERSION_NOT_FOUND"

    def __init__(
        self, owner: str, ref: str, reason: str, suggestions: Sequence[str] = (), *, owner_field: str = "dataset"
    ) -> None:
        super().__init__(
            f"{owner} has no version {ref!r}: {reason}.{did_you_mean(suggestions)}",
            **{owner_field: owner},
            ref=ref,
            suggestions=list(suggestions),
        )


class TagNotFoundError(NotFound):
    """The dataset, model or pipeline has no tag of this name; `owner_field` as for VersionNotFoundError."""

    code = "TAG_NOT_FOUND"

    def __init__(self, owner: str, tag: str, suggestions: Sequence[str] = (), *, owner_field: str = "dataset") -> None:
        super().__init__(
            f"{owner} has no tag {tag!r}.{did_you_mean(suggestions)}",
            **{owner_field: owner},
            ref=tag,
            suggestions=list(suggestions),
        )


class BranchNotFoundError(NotFound):
    """The dataset has no branch of this name."""

    code = "BRANCH_NOT_FOUND"

    def __init__(self, dataset: str, branch: str, suggestions: Sequence[str] = ()) -> None:
        super().__init__(
            f"{dataset} has no branch {branch!r}.{did_you_mean(suggestions)}",
            dataset=dataset,
            ref=branch,
            suggestions=list(suggestions),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownExpiry:
    """Who had a snapshot expired, when and why, where a run of ours did it; `at` is RFC 3339 in UTC."""

    at: str
    by: str
    reason: str | None
    run_id: str


class SnapshotExpiredError(Expired):
    """The snapshot was part of the table and has been expired."""

    code = "SNAPSHOT_EXPIRED"

    def __init__(self, dataset: str, snapshot_id: int, expiry: KnownExpiry | None = None) -> None:
        message = f"Snapshot {snapshot_id} of {dataset} has been expired; its data can no longer be reached."
        facts: dict[str, JsonValue] = {}
        if expiry is not None:
            why = "" if expiry.reason is None else f", because: {expiry.reason.rstrip('.')}"
            message += f" That was done at {expiry.at} by {expiry.by}, in run {expiry.run_id}{why}."
            facts = {
                "expiredAt": expiry.at,
                "expiredBy": expiry.by,
                "expiryReason": expiry.reason,
                "runId": expiry.run_id,
            }
        super().__init__(message, dataset=dataset, ref=str(snapshot_id), **facts)


class ChangeNotFoundError(NotFound):
    """No recorded change has this id."""

    code = "CHANGE_NOT_FOUND"

    def __init__(self, change_id: str) -> None:
        super().__init__(f"There is no recorded change {change_id}.", changeId=change_id)


class LineageRunNotFoundError(NotFound):
    """No event of this run was ever taken."""

    code = "LINEAGE_RUN_NOT_FOUND"

    def __init__(self, run_id: str) -> None:
        super().__init__(f"There is no event of a run {run_id}.", runId=run_id)


class OperationNotFoundError(NotFound):
    """No operation has this id."""

    code = "OPERATION_NOT_FOUND"

    def __init__(self, operation_id: str) -> None:
        super().__init__(f"There is no operation {operation_id}.", operationId=operation_id)


class HoldNotFoundError(NotFound):
    """No hold has this id."""

    code = "HOLD_NOT_FOUND"

    def __init__(self, hold_id: str) -> None:
        super().__init__(f"There is no hold {hold_id!r}.", holdId=hold_id)


class ModelNotFoundError(NotFound):
    """No model of this name is registered."""

    code = "MODEL_NOT_FOUND"

    def __init__(self, model: str, suggestions: Sequence[str] = ()) -> None:
        super().__init__(
            f"There is no model {model!r}.{did_you_mean(suggestions)}", model=model, suggestions=list(suggestions)
        )


class PipelineNotFoundError(NotFound):
    """No pipeline of this id is registered, and no run of one was reported."""

    code = "PIPELINE_NOT_FOUND"

    def __init__(self, pipeline_id: str, suggestions: Sequence[str] = ()) -> None:
        super().__init__(
            f"There is no pipeline {pipeline_id!r}.{did_you_mean(suggestions)}",
            pipelineId=pipeline_id,
            suggestions=list(suggestions),
        )


class ArtifactNotFoundError(NotFound):
    """Nothing is at the URI of an artifact, or a folder without a file."""

    code = "ARTIFACT_NOT_FOUND"

    def __init__(self, uri: str, reason: str) -> None:
        super().__init__(f"There is no artifact at {uri!r}: {reason}.", uri=uri, reason=reason)
