"""What models and pipelines have in common: tags on versions that are counted."""

from __future__ import annotations

from app.domain.changes import RegistrySubject
from app.domain.pages import PageRequest
from app.errors import AppError, Invalid
from app.graphql.context import Info
from app.graphql.pages import Connection, connect, connect_nothing
from app.graphql.types.tag import Tag


async def tags_of_subject(info: Info, subject: RegistrySubject, request: PageRequest) -> Connection[Tag]:
    """The tags of all versions, by name; none, and an error beside the answer, while they cannot be read."""
    try:
        page = await info.context.loaders.registry.pages_of_tags.load((subject, request))
    except Invalid:
        raise
    except AppError as error:
        info.context.report(error, info.path)
        return connect_nothing()
    return connect(page, lambda tag: Tag(of=tag))


async def tags_of_version(info: Info, subject: RegistrySubject, number: int) -> list[Tag]:
    """The tags of one version, by name; none, and an error beside the answer, while they cannot be read."""
    try:
        tags = await info.context.loaders.registry.tags.load(subject)
    except AppError as error:
        info.context.report(error, info.path)
        return []
    return [Tag(of=tag) for tag in tags or () if tag.number == number]
