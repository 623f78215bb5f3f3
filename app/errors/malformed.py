"""Requests that are wrong in themselves."""

from __future__ import annotations

from collections.abc import Sequence

from app.errors.base import Invalid, did_you_mean

_SHOWN_TASKS = 100


class InvalidReferenceError(Invalid):
    """A version reference that no grammar rule accepts, or whose number is out of range."""

    code = "INVALID_REFERENCE"

    def __init__(self, ref: str, reason: str) -> None:
        shown = ref if len(ref) <= 120 else ref[:117] + "..."
        super().__init__(f"{shown!r} is not a version reference: {reason}.", ref=shown, reason=reason)


class AmbiguousReferenceError(Invalid):
    """A version selector that names more than one thing, or none."""

    code = "AMBIGUOUS_REFERENCE"

    def __init__(self, given: Sequence[str]) -> None:
        what = f"gives {' and '.join(given)}" if given else "gives nothing"
        super().__init__(f"A version selector takes exactly one field; this one {what}.", given=list(given))


class InvalidNameError(Invalid):
    """A tag, branch, namespace or dataset name that is not allowed."""

    code = "INVALID_NAME"

    def __init__(self, kind: str, name: str, reason: str) -> None:
        shown = name if len(name) <= 120 else name[:117] + "..."
        super().__init__(f"{shown!r} cannot be a {kind} name: {reason}.", kind=kind, name=shown, reason=reason)


class InvalidFilterError(Invalid):
    """A row filter that does not parse or does not fit the schema."""

    code = "INVALID_FILTER"

    def __init__(self, row_filter: str, reason: str) -> None:
        shown = row_filter if len(row_filter) <= 500 else row_filter[:497] + "..."
        super().__init__(f"The filter {shown!r} cannot be used: {reason}.", filter=shown, reason=reason)


class UnknownColumnError(Invalid):
    """A column that this version's schema does not have."""

    code = "UNKNOWN_COLUMN"

    def __init__(self, dataset: str, column: str, suggestions: Sequence[str] = ()) -> None:
        super().__init__(
            f"This version of {dataset} has no column {column!r}.{did_you_mean(suggestions)}",
            dataset=dataset,
            column=column,
            suggestions=list(suggestions),
        )


class InvalidPageError(Invalid):
    """`first`, `last`, `after` or `before` that do not make a page."""

    code = "INVALID_PAGE"

    def __init__(self, argument: str, reason: str) -> None:
        end = "" if reason.endswith("?") else "."
        super().__init__(f"{argument}: {reason}{end}", argument=argument, reason=reason)


class InvalidArgumentError(Invalid):
    """Any other argument that is out of range or of the wrong form."""

    code = "INVALID_ARGUMENT"

    def __init__(self, argument: str, reason: str) -> None:
        end = "" if reason.endswith("?") else "."
        super().__init__(f"{argument}: {reason}{end}", argument=argument, reason=reason)


class InvalidSettingError(Invalid):
    """A setting that is unknown or has a wrong value."""

    code = "INVALID_SETTING"

    def __init__(self, setting: str, reason: str) -> None:
        super().__init__(f"Setting {setting}: {reason}", setting=setting, reason=reason)


class AlreadyUndoneError(Invalid):
    """A rollback that was undone before, on a branch that has moved on since."""

    code = "ALREADY_UNDONE"

    def __init__(self, dataset: str, undo_tag: str, head_id: int) -> None:
        super().__init__(
            f"The rollback of {dataset} that left {undo_tag!r} was undone before, and the branch is at snapshot "
            f"{head_id} since then. Where it is meant to go back once more, say so by expecting that head.",
            dataset=dataset,
            ref=undo_tag,
            headId=str(head_id),
        )


class AlreadyCurrentError(Invalid):
    """A rollback to the snapshot that the branch points to already."""

    code = "ALREADY_CURRENT"

    def __init__(self, dataset: str, branch: str, snapshot_id: int) -> None:
        super().__init__(
            f"Branch {branch!r} of {dataset} is at snapshot {snapshot_id} already; nothing to roll back.",
            dataset=dataset,
            branch=branch,
            snapshotId=str(snapshot_id),
        )


class InvalidEventError(Invalid):
    """A lineage event that cannot be taken; nothing of its request was."""

    code = "INVALID_EVENT"

    def __init__(self, pointer: str, reason: str, index: int | None = None) -> None:
        # The pointer (RFC 6901) leads from the event, not from the batch, to what is wrong; "" is the whole of it.
        where = ("" if index is None else f"event {index} of the batch, ") + (_shown(pointer) or "the whole document")
        super().__init__(f"Not a lineage event: {where}: {reason}.", pointer=pointer, reason=reason, index=index)


class InvalidBodyError(Invalid):
    """The body of a request is no JSON, or not the JSON that the path takes."""

    code = "INVALID_BODY"

    def __init__(self, pointer: str, reason: str, *, suggestions: Sequence[str] = ()) -> None:
        super().__init__(
            f"The body: {_shown(pointer) or 'the whole document'}: {reason}.{did_you_mean(suggestions)}",
            pointer=pointer[:1000],
            reason=reason,
            suggestions=list(suggestions),
        )


class InvalidDagError(Invalid):
    """A pipeline's DAG that cannot be one."""

    code = "INVALID_DAG"

    def __init__(
        self,
        pointer: str,
        reason: str,
        *,
        other_pointer: str | None = None,
        cycle: Sequence[str] = (),
        suggestions: Sequence[str] = (),
    ) -> None:
        # Of a long cycle the beginning: an answer is for people.
        super().__init__(
            f"Not a DAG: {_shown(pointer) or 'the whole document'}: {reason}.{did_you_mean(suggestions)}",
            pointer=pointer,
            reason=reason,
            otherPointer=other_pointer,
            cycle=list(cycle[:_SHOWN_TASKS]),
            cycleLength=len(cycle),
            suggestions=list(suggestions),
        )


def _shown(pointer: str) -> str:
    return pointer if len(pointer) <= 300 else pointer[:297] + "..."
