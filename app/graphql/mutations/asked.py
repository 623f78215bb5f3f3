"""Versions as mutations ask for them."""

from __future__ import annotations

from app.domain.changes import ModelSubject, RegistrySubject
from app.graphql.context import Info
from app.graphql.types.inputs import VersionSelector
from app.services.version_tagging import AskedVersion


def asked_version(info: Info, subject: RegistrySubject, selector: VersionSelector | None) -> AskedVersion:
    """The version of a model or pipeline that is asked for, the latest one where none is; found by whoever needs it.

    Raises:
        AmbiguousReferenceError, InvalidArgumentError, VersionNotFoundError: as `VersionSelector.to_number`.
    """
    at = None if selector is None else selector.to_number(subject)

    async def find() -> int:
        if isinstance(subject, ModelSubject):
            return await info.context.models.resolve(subject.name, at)
        return await info.context.pipelines.resolve(subject.pipeline_id, at)

    return AskedVersion(text=repr(at), find=find)


async def check_registered(info: Info, subject: RegistrySubject) -> None:
    """That the model or pipeline is there. Raises ModelNotFoundError, PipelineNotFoundError."""
    if isinstance(subject, ModelSubject):
        await info.context.models.get(subject.name)
    else:
        await info.context.pipelines.get(subject.pipeline_id)
