"""Every error that a user can meet.

Each has a heading of its code in ``docs/errors.md``; `concrete_errors` lists them all.
"""

from __future__ import annotations

from app.errors.base import (
    DOCS_PAGE,
    HANDLING,
    AlreadyExists,
    AppError,
    Category,
    Conflict,
    Expired,
    Forbidden,
    Handling,
    Invalid,
    JsonValue,
    NotFound,
    Protected,
    StateUnknown,
    TooLarge,
    Unavailable,
    Unsupported,
    placed,
)
from app.errors.conflicts import (
    ArtifactChangedError,
    ArtifactExistsError,
    ArtifactForbiddenError,
    BranchExistsError,
    CommitConflictError,
    HeadMovedError,
    IdempotencyKeyInUseError,
    IdempotencyKeyReusedError,
    LockTimeoutError,
    ProtectedBranchError,
    ProtectedTagError,
    RegistrationGivenUpError,
    TagExistsError,
)
from app.errors.imports import MissingExtraError, UnsupportedSourceError
from app.errors.limits import (
    BackendUnavailableError,
    BodyTooLargeError,
    CommitStateUnknownError,
    HomeInUseError,
    LineageUnavailableError,
    MigrationError,
    NoSnapshotError,
    ReadBudgetError,
    UnreadableTableError,
    UnsupportedTableError,
)
from app.errors.lookup import (
    ArtifactNotFoundError,
    BranchNotFoundError,
    ChangeNotFoundError,
    DatasetNotFoundError,
    LineageRunNotFoundError,
    ModelNotFoundError,
    NamespaceNotFoundError,
    PipelineNotFoundError,
    SnapshotExpiredError,
    TagNotFoundError,
    VersionNotFoundError,
)
from app.errors.malformed import (
    AlreadyCurrentError,
    AlreadyUndoneError,
    AmbiguousReferenceError,
    InvalidArgumentError,
    InvalidBodyError,
    InvalidDagError,
    InvalidEventError,
    InvalidFilterError,
    InvalidNameError,
    InvalidPageError,
    InvalidReferenceError,
    InvalidSettingError,
    UnknownColumnError,
)

__all__ = [
    "DOCS_PAGE",
    "HANDLING",
    "AlreadyCurrentError",
    "AlreadyExists",
    "AlreadyUndoneError",
    "AmbiguousReferenceError",
    "AppError",
    "ArtifactChangedError",
    "ArtifactExistsError",
    "ArtifactForbiddenError",
    "ArtifactNotFoundError",
    "BackendUnavailableError",
    "BodyTooLargeError",
    "BranchExistsError",
    "BranchNotFoundError",
    "Category",
    "ChangeNotFoundError",
    "CommitConflictError",
    "CommitStateUnknownError",
    "Conflict",
    "DatasetNotFoundError",
    "Expired",
    "Forbidden",
    "Handling",
    "HeadMovedError",
    "HomeInUseError",
    "IdempotencyKeyInUseError",
    "IdempotencyKeyReusedError",
    "Invalid",
    "InvalidArgumentError",
    "InvalidBodyError",
    "InvalidDagError",
    "InvalidEventError",
    "InvalidFilterError",
    "InvalidNameError",
    "InvalidPageError",
    "InvalidReferenceError",
    "InvalidSettingError",
    "JsonValue",
    "LineageRunNotFoundError",
    "LineageUnavailableError",
    "LockTimeoutError",
    "MigrationError",
    "MissingExtraError",
    "ModelNotFoundError",
    "NamespaceNotFoundError",
    "NoSnapshotError",
    "NotFound",
    "PipelineNotFoundError",
    "Protected",
    "ProtectedBranchError",
    "ProtectedTagError",
    "ReadBudgetError",
    "RegistrationGivenUpError",
    "SnapshotExpiredError",
    "StateUnknown",
    "TagExistsError",
    "TagNotFoundError",
    "TooLarge",
    "Unavailable",
    "UnknownColumnError",
    "UnreadableTableError",
    "Unsupported",
    "UnsupportedSourceError",
    "UnsupportedTableError",
    "VersionNotFoundError",
    "concrete_errors",
    "placed",
]


def concrete_errors() -> dict[str, type[AppError]]:
    """All errors with a code of their own, by code."""
    found: dict[str, type[AppError]] = {}
    families = list(AppError.__subclasses__())
    while families:
        cls = families.pop()
        families.extend(cls.__subclasses__())
        if "code" in cls.__dict__:
            found[cls.code] = cls
    return dict(sorted(found.items()))
