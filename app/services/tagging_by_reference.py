"""Tags on versions of models and pipelines that are named by references, as users name them."""

from __future__ import annotations

from app.domain.changes import Command, ModelSubject, RegistrySubject
from app.domain.numbered import MAX_NUMBER
from app.domain.versions import LATEST
from app.errors import InvalidArgumentError
from app.services.models import Models
from app.services.pipelines import Pipelines
from app.services.version_tagging import AskedVersion, VersionTagging, VersionTagOutcome, VersionTagRemoval


class TaggingByReference:
    """Sets, moves and removes tags of models and pipelines that exist."""

    def __init__(self, models: Models, pipelines: Pipelines, tagging: VersionTagging) -> None:
        self._models = models
        self._pipelines = pipelines
        self._tagging = tagging

    async def put(
        self,
        subject: RegistrySubject,
        tag: str,
        at: str | None,
        command: Command,
        *,
        move: bool = False,
        expected: int | None = None,
        force: bool = False,
        protected: bool = False,
    ) -> VersionTagOutcome:
        """Set a new tag, or with `move` point one that exists to another version. `at` None means the latest.

        Raises:
            InvalidArgumentError: `expected` or `force` without `move`, or `protected` with it.
            ModelNotFoundError, PipelineNotFoundError, VersionNotFoundError, InvalidReferenceError: no such version.
            As `VersionTagging.create` and `move`.
        """
        _check_number(expected)
        if not move and (force or expected is not None):
            raise InvalidArgumentError("force" if force else "expected", "it is for a tag that is moved")
        if move and protected:
            raise InvalidArgumentError(
                "protected", "it is for a new tag; a tag that is moved stays as protected as it is"
            )
        version = AskedVersion(text=at or LATEST, find=lambda: self._resolve(subject, at))
        if move:
            return await self._tagging.move(subject, tag, version, command, expected=expected, force=force)
        return await self._tagging.create(subject, tag, version, command, protected=protected)

    async def remove(
        self, subject: RegistrySubject, tag: str, command: Command, *, expected: int | None = None, force: bool = False
    ) -> VersionTagRemoval:
        """Remove a tag.

        Raises:
            ModelNotFoundError, PipelineNotFoundError: there is no such thing.
            As `VersionTagging.delete`.
        """
        _check_number(expected)
        if isinstance(subject, ModelSubject):
            await self._models.get(subject.name)
        else:
            await self._pipelines.get(subject.pipeline_id)
        return await self._tagging.delete(subject, tag, command, expected=expected, force=force)

    async def _resolve(self, subject: RegistrySubject, at: str | None) -> int:
        if isinstance(subject, ModelSubject):
            return await self._models.resolve(subject.name, at)
        return await self._pipelines.resolve(subject.pipeline_id, at)


def _check_number(expected: int | None) -> None:
    if expected is not None and not 1 <= expected <= MAX_NUMBER:
        raise InvalidArgumentError("expected", "versions are counted from 1")
