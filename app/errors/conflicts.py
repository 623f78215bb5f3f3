"""What stands in the way: names taken, heads moved, things protected."""

from __future__ import annotations

from app.errors.base import AlreadyExists, Conflict, Forbidden, Invalid, Protected


class TagExistsError(AlreadyExists):
    """The tag name is taken, and points to another version; `owner_field` as for VersionNotFoundError."""

    code = "TAG_EXISTS"

    def __init__(
        self, owner: str, tag: str, snapshot_id: int, what: str = "snapshot", *, owner_field: str = "dataset"
    ) -> None:
        super().__init__(
            f"{owner} has a tag {tag!r} already, at {what} {snapshot_id}; move it with moveTag if that is meant.",
            **{owner_field: owner},
            ref=tag,
            existing=str(snapshot_id),
        )


class BranchExistsError(AlreadyExists):
    """The name is taken by a branch."""

    code = "BRANCH_EXISTS"

    def __init__(self, dataset: str, branch: str, snapshot_id: int) -> None:
        super().__init__(
            f"{dataset} has a branch {branch!r} already, at snapshot {snapshot_id}.",
            dataset=dataset,
            ref=branch,
            existing=str(snapshot_id),
        )


class HeadMovedError(Conflict):
    """A ref is not where the caller last saw it; nothing was changed. `owner_field` as for VersionNotFoundError."""

    code = "HEAD_MOVED"

    def __init__(
        self, owner: str, ref: str, expected: int | None, actual: int | None, *, owner_field: str = "dataset"
    ) -> None:
        def shown(snapshot_id: int | None) -> str:
            return "absent" if snapshot_id is None else f"at {snapshot_id}"

        super().__init__(
            f"{ref!r} of {owner} was expected {shown(expected)} but is {shown(actual)}; nothing was changed.",
            **{owner_field: owner},
            ref=ref,
            expected=None if expected is None else str(expected),
            actual=None if actual is None else str(actual),
        )


class CommitConflictError(Conflict):
    """Other writers kept winning the race for this table; nothing was changed."""

    code = "COMMIT_CONFLICT"

    def __init__(self, dataset: str, attempts: int) -> None:
        super().__init__(
            f"Other writers changed {dataset} during each of {attempts} attempts; nothing was changed.",
            dataset=dataset,
            attempts=attempts,
        )


class LockTimeoutError(Conflict):
    """Another change of the same table is still under way."""

    code = "LOCK_TIMEOUT"

    def __init__(self, key: str, timeout_s: float) -> None:
        super().__init__(
            f"Another change of {key} was still under way after {timeout_s:g} s; nothing was changed.",
            key=key,
            timeoutS=timeout_s,
        )


class OperationEndedError(Conflict):
    """The operation has ended already, and so cannot be cancelled."""

    code = "OPERATION_ENDED"

    def __init__(self, operation_id: str, status: str) -> None:
        super().__init__(
            f"Operation {operation_id} has ended already, and is {status}.",
            operationId=operation_id,
            operationStatus=status,
        )


class IdempotencyKeyInUseError(Conflict):
    """The request with this idempotency key is still under way."""

    code = "IDEMPOTENCY_KEY_IN_USE"

    def __init__(self, key: str) -> None:
        super().__init__(f"The request with idempotency key {key!r} is still under way.", idempotencyKey=key)


class IdempotencyKeyReusedError(Invalid):
    """The idempotency key was used before, with another request."""

    code = "IDEMPOTENCY_KEY_REUSED"

    def __init__(self, key: str) -> None:
        super().__init__(
            f"Idempotency key {key!r} was used before with a different request; use a new one.", idempotencyKey=key
        )


class ProtectedTagError(Protected):
    """The tag is protected by its convention or by request; `owner_field` as for VersionNotFoundError."""

    code = "PROTECTED_TAG"

    def __init__(self, owner: str, tag: str, why: str, *, owner_field: str = "dataset") -> None:
        super().__init__(
            f"Tag {tag!r} of {owner} is protected ({why}); use force to change it anyway.",
            **{owner_field: owner},
            ref=tag,
            why=why,
        )


class ProtectedBranchError(Protected):
    """The branch may not be deleted."""

    code = "PROTECTED_BRANCH"

    def __init__(self, dataset: str, branch: str) -> None:
        super().__init__(
            f"Branch {branch!r} of {dataset} cannot be deleted; a table always has it.", dataset=dataset, ref=branch
        )


class DatasetForbiddenError(Forbidden):
    """The catalog forbids us this table, or this change of it: what was asked of it changed nothing."""

    code = "DATASET_FORBIDDEN"

    def __init__(self, dataset: str, reason: str) -> None:
        super().__init__(f"The catalog forbids this of {dataset}: {reason}", dataset=dataset, reason=reason)


class NamespaceForbiddenError(Forbidden):
    """The catalog forbids us to list what is in this namespace."""

    code = "NAMESPACE_FORBIDDEN"

    def __init__(self, namespace: str, reason: str) -> None:
        super().__init__(
            f"The catalog forbids this of namespace {namespace}: {reason}", namespace=namespace, reason=reason
        )


class RegistrationGivenUpError(Conflict):
    """The registration of a model version took too long, and was given up; nothing was registered."""

    code = "REGISTRATION_GIVEN_UP"

    def __init__(self, model: str) -> None:
        super().__init__(
            f"The registration of a version of {model} took longer than its lease, and was given up; nothing was "
            "registered. Try again.",
            model=model,
        )


class ArtifactExistsError(AlreadyExists):
    """Where an artifact was to be copied to, there is something else."""

    code = "ARTIFACT_EXISTS"

    def __init__(self, uri: str, reason: str) -> None:
        super().__init__(f"{uri!r} is taken: {reason}. Nothing is ever overwritten.", uri=uri, reason=reason)


class ArtifactChangedError(Conflict):
    """An artifact or its copy is not what it was when it was copied."""

    code = "ARTIFACT_CHANGED"

    def __init__(self, uri: str, reason: str) -> None:
        super().__init__(f"{uri!r} has changed: {reason}. Nothing was removed.", uri=uri, reason=reason)


class ArtifactForbiddenError(Forbidden):
    """A URI outside the places where artifacts may be."""

    code = "ARTIFACT_FORBIDDEN"

    def __init__(self, uri: str) -> None:
        super().__init__(
            f"{uri!r} is outside the places that artifacts may be moved from and to. "
            "STRATIGRAPH_ARTIFACT_ROOTS sets them.",
            uri=uri,
            setting="STRATIGRAPH_ARTIFACT_ROOTS",
        )
