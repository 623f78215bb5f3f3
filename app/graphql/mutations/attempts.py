"""What all mutations share: an expected error becomes a `userErrors` entry that names the input field at fault."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from app.domain import versions
from app.domain.changes import Command, RegistrySubject
from app.domain.datasets import TableState
from app.domain.names import DatasetName
from app.errors import (
    AlreadyCurrentError,
    AlreadyUndoneError,
    AmbiguousReferenceError,
    AppError,
    ArtifactChangedError,
    ArtifactExistsError,
    ArtifactForbiddenError,
    ArtifactNotFoundError,
    BranchExistsError,
    BranchNotFoundError,
    DatasetForbiddenError,
    DatasetNotFoundError,
    HeadMovedError,
    HoldNotFoundError,
    IdempotencyKeyInUseError,
    IdempotencyKeyReusedError,
    InvalidArgumentError,
    InvalidDagError,
    InvalidNameError,
    InvalidReferenceError,
    MissingFileError,
    ModelNotFoundError,
    NamespaceNotFoundError,
    NoSnapshotError,
    OperationEndedError,
    OperationNotFoundError,
    PipelineNotFoundError,
    ProtectedBranchError,
    ProtectedTagError,
    SnapshotExpiredError,
    TagExistsError,
    TagNotFoundError,
    UnknownColumnError,
    UnreadableTableError,
    UnsupportedTableError,
    VersionNotFoundError,
)
from app.graphql.context import Info
from app.graphql.types.inputs import DatasetRef, VersionSelector, VersionUseInput
from app.graphql.types.user_errors import Owner, UserError, user_error

Payload = TypeVar("Payload")

_OF_DATASET = (
    DatasetForbiddenError,
    DatasetNotFoundError,
    MissingFileError,
    NamespaceNotFoundError,
    UnreadableTableError,
    UnsupportedTableError,
)
_OF_NAME = (TagExistsError, BranchExistsError, ProtectedTagError, ProtectedBranchError)
_OF_VERSION = (
    AlreadyCurrentError,
    AlreadyUndoneError,
    AmbiguousReferenceError,
    InvalidReferenceError,
    NoSnapshotError,
    SnapshotExpiredError,
    VersionNotFoundError,
)
_OF_KEY = (IdempotencyKeyInUseError, IdempotencyKeyReusedError)
_OF_SUBJECT = (ModelNotFoundError, PipelineNotFoundError)
_OF_ARTIFACT = (ArtifactChangedError, ArtifactExistsError, ArtifactForbiddenError, ArtifactNotFoundError)
# Of one field, whatever the input.
_OF_FIELDS = (
    (InvalidDagError, "dag"),
    (_OF_KEY, "idempotencyKey"),
    (HoldNotFoundError, "holdId"),
    ((OperationEndedError, OperationNotFoundError), "id"),
    (UnknownColumnError, "keys"),
)
_DATASET_PARTS = {"namespace": "namespace", "dataset": "name"}
# What the store of artifacts calls what it is given.
_ARTIFACT_ARGUMENTS = ("key", "sourceUri", "targetFolder", "uri")
_SUBJECT_KINDS = ("model", "pipeline")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFields:
    """Which field of an input says what, so that an error can be traced to it.

    `subject` is the model or pipeline that has the tag which the mutation is about. `parts` are the fields of what the
    input has several of, by the `place` of the errors that come of them. `root` is where all of them are: empty for a
    mutation that takes arguments and no input.
    """

    dataset: DatasetRef | None = None
    dataset_path: tuple[str, ...] = ("dataset",)
    refs: tuple[tuple[str, str], ...] = ()
    version: str | None = None
    selector: VersionSelector | None = None
    expected: str = "expectedHead"
    subject: RegistrySubject | None = None
    subject_path: tuple[str, ...] = ()
    artifact_path: tuple[str, ...] = ()
    parts: Mapping[tuple[str, ...], InputFields] = dataclasses.field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    root: tuple[str, ...] = ("input",)

    @property
    def on(self) -> Owner | None:
        """What has the tag in question, None where its name is not a good one."""
        return self.subject or self.dataset_name

    @property
    def dataset_name(self) -> DatasetName | None:
        """The dataset, None where its name is not a good one."""
        try:
            return self.dataset.to_name() if self.dataset else None
        except InvalidNameError:
            return None

    def path_of(self, error: AppError) -> list[str]:
        """Path of the field at fault, from the argument on; empty where none is."""
        part = self.parts.get(error.place)
        found = (part.prefix + part.locate(error)) if part else error.place or self.locate(error)
        return [*self.root, *found] if found else []

    def dataset_names(self) -> Iterator[DatasetName]:
        """The datasets that the input names."""
        for part in (self, *self.parts.values()):
            if (name := part.dataset_name) is not None:
                yield name

    def locate(self, error: AppError) -> tuple[str, ...]:
        """The field at fault, as far as this input or part of an input goes; empty where none is."""
        if isinstance(error, InvalidArgumentError):
            return self._argument(str(error.fields["argument"]))
        if isinstance(error, InvalidNameError):
            part = _DATASET_PARTS.get(str(error.fields["kind"]))
            if error.fields["kind"] in _SUBJECT_KINDS:
                return self.subject_path
            return (*self.dataset_path, part) if part else self._ref(None)
        if isinstance(error, HeadMovedError):
            return (self.expected,)
        if isinstance(error, _OF_DATASET):
            return self.dataset_path
        if isinstance(error, _OF_SUBJECT):
            return self.subject_path
        if isinstance(error, _OF_ARTIFACT):
            return self.artifact_path
        if isinstance(error, _OF_NAME):
            return self._ref(error)
        if isinstance(error, (TagNotFoundError, BranchNotFoundError)):
            return self._ref(error) or self._version()
        if isinstance(error, _OF_VERSION):
            return self._version()
        return next(((field,) for errors, field in _OF_FIELDS if isinstance(error, errors)), ())

    def _argument(self, argument: str) -> tuple[str, ...]:
        if argument == "actor":  # it comes in a header
            return ()
        if self.artifact_path and argument in _ARTIFACT_ARGUMENTS:
            return self.artifact_path
        if self.selector and argument in self.selector.given:
            return (*self._version(),)
        return (argument,)

    def _ref(self, error: AppError | None) -> tuple[str, ...]:
        """The field that gave the ref of an error; without one, the field that gives the ref at all."""
        for field, value in self.refs:
            if error is None or error.fields.get("ref") == value:
                return (field,)
        return ()

    def _version(self) -> tuple[str, ...]:
        if self.version is None:
            return ()
        given = self.selector.given if self.selector else ()
        return (self.version, *given) if len(given) == 1 else (self.version,)


def use_fields(argument: str, uses: Sequence[VersionUseInput]) -> dict[tuple[str, ...], InputFields]:
    """The parts of an input that names several versions of datasets."""
    places = [(argument, str(place)) for place in range(len(uses))]
    return {
        place: InputFields(dataset=use.dataset, version="at", selector=use.at, prefix=place)
        for place, use in zip(places, uses, strict=True)
    }


async def attempt(
    info: Info,
    act: Callable[[], Awaitable[Payload]],
    fields: InputFields,
    refused: Callable[[list[UserError]], Payload],
) -> Payload:
    """The payload of a mutation, or the one that says why it did nothing. Unknown errors pass through."""
    try:
        return await act()
    except AppError as error:
        # Whoever reads on in this operation must see what stood in the way, not what was loaded ahead of it.
        info.context.loaders.registry.clear()
        for name in fields.dataset_names():
            info.context.loaders.forget(name)
        return refused([user_error(error, fields.path_of(error), fields.on)])


def command_of(info: Info, reason: str | None, idempotency_key: str | None) -> Command:
    """Who does it, why, and under which key. Raises InvalidArgumentError."""
    if reason is not None and not reason.strip():
        raise InvalidArgumentError("reason", "it is blank; say why, or leave it out where that is allowed")
    return Command(actor=info.context.actor, reason=reason, idempotency_key=idempotency_key)


async def domain_selector(
    info: Info, name: DatasetName, selector: VersionSelector | None
) -> versions.VersionSelector | None:
    """The selector as the services take it; loads the table only to tell whose snapshot a node id is.

    Raises:
        AmbiguousReferenceError, InvalidArgumentError, VersionNotFoundError: as `VersionSelector.to_domain`.
        DatasetNotFoundError, UnreadableTableError: the table cannot be read.
    """
    if selector is None:
        return None
    return selector.to_domain(await table_state(info, name) if selector.id is not None else None)


async def table_state(info: Info, name: DatasetName) -> TableState:
    """State of a table as this operation sees it."""
    return (await info.context.loaders.tables.load(name)).state
