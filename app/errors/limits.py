"""What cannot be done here, or not now."""

from __future__ import annotations

from app.errors.base import Conflict, StateUnknown, TooLarge, Unavailable, Unsupported


class UnsupportedTableError(Unsupported):
    """The table uses a feature that this operation cannot handle without risk."""

    code = "UNSUPPORTED_TABLE"

    def __init__(self, dataset: str, feature: str, reason: str) -> None:
        super().__init__(f"{dataset}: {feature}: {reason}.", dataset=dataset, feature=feature, reason=reason)


class InvalidTablePropertyError(Unsupported):
    """A property of the table has a value that it cannot have: what was asked for is right, the table is not."""

    code = "INVALID_TABLE_PROPERTY"

    def __init__(self, name: str, value: str, reason: str) -> None:
        # Both are the table's, and so of any length.
        shown_name, shown_value = name[:100], value[:60]
        super().__init__(
            f"The table property {shown_name} is {shown_value!r}: {reason}",
            property=shown_name,
            value=shown_value,
            reason=reason,
        )


class MissingFileError(Unsupported):
    """A file that the table's metadata names is not in its storage any more; to try again does not bring it back."""

    code = "MISSING_FILE"

    def __init__(self, dataset: str, file: str) -> None:
        super().__init__(
            f"{dataset} cannot be read: {file} is missing. Its storage answers that there is no such file.",
            dataset=dataset,
            file=file,
        )


class NoSnapshotError(Unsupported):
    """The table has no snapshot yet, so there is nothing to name or read."""

    code = "NO_SNAPSHOT"

    def __init__(self, dataset: str) -> None:
        super().__init__(f"{dataset} has no snapshot yet.", dataset=dataset)


class ReadBudgetError(TooLarge):
    """The rows asked for would take more memory or bytes than is allowed at once."""

    code = "READ_BUDGET"

    def __init__(self, dataset: str, limit_bytes: int) -> None:
        super().__init__(
            f"Reading this of {dataset} would go over the limit of {limit_bytes} bytes; ask for fewer columns or rows.",
            dataset=dataset,
            limitBytes=str(limit_bytes),
        )


class DiffTooLargeError(TooLarge):
    """Comparing the rows of two versions would read more than is read while somebody waits."""

    code = "DIFF_TOO_LARGE"

    def __init__(self, dataset: str, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"Comparing the rows of {dataset} would read {size_bytes} bytes, more than the {limit_bytes} that are read "
            "while somebody waits; start it as an operation.",
            dataset=dataset,
            bytes=str(size_bytes),
            limitBytes=str(limit_bytes),
        )


class TooManyRowDiffsError(TooLarge):
    """One GraphQL operation asks for more comparisons of rows than are made for it."""

    code = "TOO_MANY_ROW_DIFFS"

    def __init__(self, limit: int) -> None:
        super().__init__(f"One operation compares the rows of at most {limit} pairs of versions.", limit=limit)


class TooManyMeasuresError(TooLarge):
    """One GraphQL operation asks for the bytes of more plans of retention than are measured for it."""

    code = "TOO_MANY_MEASURES"

    def __init__(self, limit: int) -> None:
        super().__init__(f"One operation measures at most {limit} plans of retention.", limit=limit)


class TooManyCompactionPlansError(TooLarge):
    """One GraphQL operation asks for more plans of compaction than are made for it."""

    code = "TOO_MANY_COMPACTION_PLANS"

    def __init__(self, limit: int) -> None:
        super().__init__(f"One operation makes at most {limit} plans of compaction.", limit=limit)


class RowDiffMemoryError(TooLarge):
    """Comparing rows needs more memory than is allowed, also with what can be put on disk."""

    code = "ROW_DIFF_MEMORY"

    def __init__(self) -> None:
        super().__init__(
            "Comparing these rows needs more memory than STRATIGRAPH_DIFF_MEMORY_BYTES allows, although what can be is "
            "put on disk."
        )


class BodyTooLargeError(TooLarge):
    """The body of a request has more bytes than are taken at once."""

    code = "BODY_TOO_LARGE"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"The body has more than {limit_bytes} bytes, the most that is taken here in one request.",
            limitBytes=str(limit_bytes),
        )


class BackendUnavailableError(Unavailable):
    """Postgres, the catalog or the object store does not answer."""

    code = "BACKEND_UNAVAILABLE"

    def __init__(self, backend: str, reason: str) -> None:
        super().__init__(f"{backend} is not available: {reason}", backend=backend, reason=reason)


class LineageUnavailableError(Unavailable):
    """The store of the lineage graph does not answer."""

    code = "LINEAGE_UNAVAILABLE"

    def __init__(self, reason: str) -> None:
        super().__init__(f"Lineage is not available: {reason}", reason=reason)


class UnreadableTableError(Unavailable):
    """The catalog knows the table, but a file of it cannot be read: `file`, where it is known which one."""

    code = "UNREADABLE_TABLE"

    def __init__(self, dataset: str, reason: str, file: str | None = None) -> None:
        told = reason if file is None else f"{file}: {reason}"
        known = {} if file is None else {"file": file}
        super().__init__(f"{dataset} cannot be read: {told}", dataset=dataset, reason=reason, **known)


class MetadataNotWrittenError(Unavailable):
    """A table's new metadata file could not be written; nothing was changed, and no part of it counts."""

    code = "METADATA_NOT_WRITTEN"
    # Unlike others of its family: the catalog is told of a metadata file only once that is there.
    leaves_open = False

    def __init__(self, dataset: str, file: str, reason: str) -> None:
        super().__init__(
            f"{dataset}: nothing was changed, because its new metadata file {file} could not be written: {reason}",
            dataset=dataset,
            file=file,
            reason=reason,
        )


class OperationAbandonedError(Unavailable):
    """Every worker that ran an operation has died, and it is not tried again."""

    code = "OPERATION_ABANDONED"

    def __init__(self, attempts: int) -> None:
        super().__init__(
            f"{attempts} workers, one after the other, died while they ran it, and it is not tried again. Their logs "
            "or the machine's tell of what: often of too little memory.",
            attempts=attempts,
        )


class HomeInUseError(Conflict):
    """Another server runs on the same STRATIGRAPH_HOME."""

    code = "HOME_IN_USE"

    def __init__(self, home: str, pid: int | None, url: str | None) -> None:
        who = f"process {pid}" if pid else "another process"
        where = f", at {url}" if url else ""
        super().__init__(
            f"A server runs on {home} already ({who}{where}). "
            "Stop it, or give this one another STRATIGRAPH_HOME and STRATIGRAPH_PORT.",
            home=home,
            pid=pid,
            url=url,
        )


class MigrationError(Unavailable):
    """The database's schema does not fit this program."""

    code = "MIGRATION_FAILED"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The database schema does not fit this program: {reason}", reason=reason)


class CommitStateUnknownError(StateUnknown):
    """The catalog did not say whether the change was made, and it could not be found out."""

    code = "COMMIT_STATE_UNKNOWN"

    def __init__(self, dataset: str, change_id: str, reason: str) -> None:
        super().__init__(
            f"It is not known whether the change of {dataset} took place ({reason}). It is recorded as {change_id} "
            "and will be settled; look at the dataset's changes before trying again.",
            dataset=dataset,
            changeId=change_id,
            reason=reason,
        )
