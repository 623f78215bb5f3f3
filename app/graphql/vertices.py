"""What a vertex of the lineage graph is in this API."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import strawberry

from app.domain.changes import ModelSubject, PipelineSubject, RegistrySubject
from app.domain.lineage import Vertex
from app.domain.names import DatasetName, unescape_key
from app.domain.numbered import MAX_NUMBER
from app.errors import AppError, NotFound
from app.graphql import ids
from app.graphql.context import Info

if TYPE_CHECKING:
    from app.graphql.types.dataset import Dataset
    from app.graphql.types.interfaces import Entity, Version


def registry_subject(vertex: Vertex) -> RegistrySubject | None:
    """The model or pipeline that it is of, None where it is of neither."""
    kind, _, key = vertex.entity.partition(":")
    if kind == "model":
        return ModelSubject(name=unescape_key(key))
    return PipelineSubject(pipeline_id=unescape_key(key)) if kind == "pipeline" else None


def version_number(vertex: Vertex) -> int | None:
    """The number of the version of a model or pipeline that it is, None where that is not known."""
    text = vertex.version or ""
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    return int(text) if 1 <= int(text) <= MAX_NUMBER else None


def registry_id(vertex: Vertex) -> strawberry.ID | None:
    """The node id of a model, a pipeline, or a version of one; None where it is none of these."""
    subject = registry_subject(vertex)
    if subject is None:
        return None
    number = version_number(vertex)
    if number is not None:
        return ids.version_id(subject, number)
    return ids.entity_id(subject) if vertex.version is None else None


async def find_registered(info: Info, subject: RegistrySubject) -> Entity | None:
    """The model or pipeline, None where it is not registered."""
    from app.graphql.types.models import find_model
    from app.graphql.types.pipelines import find_pipeline

    find = find_model if isinstance(subject, ModelSubject) else find_pipeline
    found: Entity | None = await find(info, str(subject))
    return found


async def find_registered_version(info: Info, subject: RegistrySubject, number: int) -> Version | None:
    """The version of a model or pipeline, None where there is none."""
    from app.graphql.types.models import find_model_version
    from app.graphql.types.pipelines import find_pipeline_version

    find = find_model_version if isinstance(subject, ModelSubject) else find_pipeline_version
    found: Version | None = await find(info, str(subject), number)
    return found


async def find_renamed(info: Info, table_uuid: UUID, seen_as: DatasetName) -> Dataset:
    """The dataset of this id under the name that it has now; under the one that it had, where it cannot be found."""
    from app.graphql.types.dataset import Dataset

    try:
        is_there = (await info.context.loaders.tables.load(seen_as)).state.table_uuid == table_uuid
    except NotFound:
        is_there = False
    except AppError:
        is_there = True  # and cannot be read: the dataset's own fields say so
    # The search is dear where the table was dropped; so it is only made where the name does not lead there.
    now = seen_as if is_there else await info.context.loaders.names.load(table_uuid)
    return Dataset(dataset_name=now or seen_as, known_uuid=table_uuid)
