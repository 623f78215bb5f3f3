"""Errors of mutations as data: what a client can act on is a field."""

from __future__ import annotations

from typing import Any

import strawberry

from app.domain.changes import ModelSubject, PipelineSubject, RegistrySubject
from app.domain.names import DatasetName
from app.errors import (
    AppError,
    HeadMovedError,
    JsonValue,
    NotFound,
    ProtectedTagError,
    TagExistsError,
    UnsupportedTableError,
)
from app.graphql.context import Info
from app.graphql.fields import field
from app.graphql.scalars import JSON, SnapshotId
from app.graphql.types.enums import UserErrorCode
from app.graphql.types.tag import Tag, tag_of

Owner = DatasetName | RegistrySubject


@strawberry.interface(description="Why a mutation did nothing.")
class UserError:
    """Why a mutation did nothing."""

    message: str = strawberry.field(description="The reason, for people.")
    path: list[str] = strawberry.field(
        description="The input field at fault, from the argument on: `input`, `name`; places in lists are "
        "numbers: `input`, `trainingData`, `0`, `at`. Empty where none is."
    )
    code: UserErrorCode = strawberry.field(description="What kind of trouble it is.")
    error_code: str = strawberry.field(description="The very error, as docs/errors.md lists them: `HEAD_MOVED`.")
    docs: str = strawberry.field(description="Where the error is explained.")
    details: JSON = strawberry.field(description="What was looked up, expected and found, as an object.")


@strawberry.type(name="GeneralError", description="An error without fields of its own.")
class GeneralUserError(UserError):
    """An error without fields of its own."""


@strawberry.type(name="NotFoundError", description="Something that the input names does not exist.")
class NotFoundUserError(UserError):
    """Something that the input names does not exist."""

    ref: str | None = strawberry.field(description="What was looked up.")
    suggestions: list[str] = strawberry.field(description="The closest names that exist.")


@strawberry.type(name="HeadMovedError", description="A ref is not where it was expected.")
class HeadMovedUserError(UserError):
    """A ref is not where it was expected."""

    expected: SnapshotId | None = strawberry.field(
        description="Snapshot id, or number of the version of a model or pipeline, at which it was expected; null "
        "for nowhere."
    )
    actual: SnapshotId | None = strawberry.field(description="Snapshot id or number at which it is; null for nowhere.")


@strawberry.type(name="TagExistsError", description="The name is taken by a tag of another version.")
class TagExistsUserError(UserError):
    """The name is taken by a tag of another version."""

    on: strawberry.Private[Owner]
    tag_name: strawberry.Private[str]

    @field(description="The tag that has the name; null where it is gone meanwhile.")
    async def existing(self, info: Info) -> Tag | None:
        """The tag that has the name."""
        return await _find_tag(info, self.on, self.tag_name)


@strawberry.type(name="ProtectedTagError", description="The tag is protected, and `force` was not given.")
class ProtectedTagUserError(UserError):
    """The tag is protected."""

    on: strawberry.Private[Owner]
    tag_name: strawberry.Private[str]
    why: str = strawberry.field(description="What protects it.")

    @field(description="The tag.")
    async def tag(self, info: Info) -> Tag | None:
        """The tag."""
        return await _find_tag(info, self.on, self.tag_name)


@strawberry.type(name="UnsupportedTableError", description="The table uses a feature that stands in the way.")
class UnsupportedTableUserError(UserError):
    """The table uses a feature that stands in the way."""

    feature: str = strawberry.field(description="The feature.")


USER_ERROR_TYPES = (
    GeneralUserError,
    NotFoundUserError,
    HeadMovedUserError,
    TagExistsUserError,
    ProtectedTagUserError,
    UnsupportedTableUserError,
)


def user_error(error: AppError, path: list[str], on: Owner | None) -> UserError:
    """The typed member for an error; `on` is what the mutation was about the tag of, where its name was good."""
    fields = error.fields
    base: dict[str, Any] = {
        "message": error.message,
        "path": path,
        "code": error.category,
        "error_code": error.code,
        "docs": error.docs,
        "details": JSON(fields),
    }
    if isinstance(error, HeadMovedError):
        return HeadMovedUserError(**base, expected=_id(fields["expected"]), actual=_id(fields["actual"]))
    if isinstance(error, TagExistsError) and on:
        return TagExistsUserError(**base, on=on, tag_name=str(fields["ref"]))
    if isinstance(error, ProtectedTagError) and on:
        return ProtectedTagUserError(**base, on=on, tag_name=str(fields["ref"]), why=str(fields["why"]))
    if isinstance(error, UnsupportedTableError):
        return UnsupportedTableUserError(**base, feature=str(fields["feature"]))
    if isinstance(error, NotFound):
        ref = next((fields[key] for key in _LOOKED_UP if fields.get(key) is not None), None)
        suggestions = fields.get("suggestions")
        return NotFoundUserError(
            **base,
            ref=None if ref is None else str(ref),
            suggestions=[str(name) for name in suggestions] if isinstance(suggestions, list) else [],
        )
    return GeneralUserError(**base)


# The fields of errors that say what was looked up, the most exact one first.
_LOOKED_UP = ("ref", "dataset", "namespace", "model", "pipelineId", "runId", "operationId", "holdId", "uri")


def _id(digits: JsonValue) -> SnapshotId | None:
    return None if digits is None else SnapshotId(int(str(digits)))


async def _find_tag(info: Info, on: Owner, name: str) -> Tag | None:
    if isinstance(on, (ModelSubject, PipelineSubject)):
        tags = await info.context.loaders.registry.tags.load(on)
        return next((Tag(of=tag) for tag in tags or () if tag.name == name), None)
    table = await info.context.loaders.tables.load(on)
    ref = next((ref for ref in table.state.history.tags if ref.name == name), None)
    return tag_of(table, ref) if ref else None
