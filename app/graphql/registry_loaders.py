"""What one operation loads of models, pipelines and runs, each thing once, however many fields ask for it.

A page is the same page of many lists: `models { versions(first: 5) }` asks once for the first five of each model.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from strawberry.dataloader import DataLoader

from app.domain.changes import RegistrySubject
from app.domain.lineage import Vertex
from app.domain.models import Model, ModelVersion
from app.domain.numbered import NumberedHistory
from app.domain.pages import Page, PageRequest
from app.domain.pipelines import Pipeline, PipelineRun, PipelineVersion
from app.domain.run_state import RunStatus
from app.errors import AppError
from app.registry.version_tags import VersionTag, VersionTags
from app.services.models import Models
from app.services.pipelines import Pipelines
from app.services.runs import Runs

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")
Owner = TypeVar("Owner", bound=Hashable)
Options = TypeVar("Options", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsRequest:
    """Which runs of a pipeline are asked for."""

    page: PageRequest
    status: RunStatus | None = None
    started_from: datetime | None = None
    started_to: datetime | None = None


class RegistryLoaders:
    """The dataloaders of what is registered. What is not there is None, or an empty list."""

    def __init__(self, models: Models, pipelines: Pipelines, runs: Runs, tags: VersionTags) -> None:
        self.models: DataLoader[str, Model | None] = _finding(models.find)
        self.model_versions: DataLoader[tuple[str, int], ModelVersion | None] = _finding(models.find_versions)
        self.latest_models: DataLoader[str, ModelVersion | None] = _finding(models.find_latest)
        self.model_histories: DataLoader[str, NumberedHistory | None] = _finding(models.histories)
        self.pages_of_models: DataLoader[tuple[str, PageRequest], Page[ModelVersion]] = _paging(
            models.pages_of_versions
        )
        self.trained_models: DataLoader[tuple[UUID, int], list[ModelVersion] | None] = _finding(models.trained_on)
        self.models_of_runs: DataLoader[UUID, list[ModelVersion] | None] = _finding(models.made_by_runs)

        self.pipelines: DataLoader[str, Pipeline | None] = _finding(pipelines.find)
        self.pipeline_versions: DataLoader[tuple[str, int], PipelineVersion | None] = _finding(pipelines.find_versions)
        self.latest_pipelines: DataLoader[str, PipelineVersion | None] = _finding(pipelines.find_latest)
        self.pipeline_histories: DataLoader[str, NumberedHistory | None] = _finding(pipelines.histories)
        self.pages_of_pipelines: DataLoader[tuple[str, PageRequest], Page[PipelineVersion]] = _paging(
            pipelines.pages_of_versions
        )

        self.runs: DataLoader[UUID, PipelineRun | None] = _finding(runs.find)
        self.producers: DataLoader[Vertex, PipelineRun | None] = _finding(
            runs.producers, lambda vertex: vertex.vertex_id
        )
        self.pages_of_runs: DataLoader[tuple[str, RunsRequest], Page[PipelineRun]] = _paging(
            lambda pipeline_ids, asked: runs.pages_of_pipelines(
                pipeline_ids,
                asked.page,
                status=asked.status,
                started_from=asked.started_from,
                started_to=asked.started_to,
            )
        )
        self.pages_of_consumers: DataLoader[tuple[Vertex, PageRequest], Page[PipelineRun]] = _paging(
            runs.pages_of_consumers, lambda vertex: vertex.vertex_id
        )

        self.tags: DataLoader[RegistrySubject, list[VersionTag] | None] = _finding(tags.of_subjects)
        self.pages_of_tags: DataLoader[tuple[RegistrySubject, PageRequest], Page[VersionTag]] = _paging(tags.pages)

    def clear(self) -> None:
        """Let later fields load everything again: something was changed."""
        for loader in vars(self).values():
            loader.clear_all()


def _same(key: Any) -> Any:
    return key


def _finding(
    find: Callable[[list[Key]], Awaitable[Mapping[Any, Found]]], name_of: Callable[[Key], Any] = _same
) -> DataLoader[Key, Found | None]:
    """A loader of what `find` answers by key, or by what `name_of` says of a key."""

    async def load(keys: list[Key]) -> Sequence[Found | None]:
        found = await find(keys)
        return [found.get(name_of(key)) for key in keys]

    return DataLoader(load)


def _paging(
    find: Callable[[list[Owner], Options], Awaitable[Mapping[Any, Page[Found]]]],
    name_of: Callable[[Owner], Any] = _same,
) -> DataLoader[tuple[Owner, Options], Page[Found]]:
    """A loader of pages by owner and request: asks once for each request."""

    async def load(keys: list[tuple[Owner, Options]]) -> Sequence[Page[Found] | BaseException]:
        pages: dict[tuple[Owner, Options], Page[Found] | BaseException] = {}
        for asked in dict.fromkeys(request for _, request in keys):
            owners = [owner for owner, request in keys if request == asked]
            pages |= await _pages_of(find, owners, asked, name_of)
        return [pages[key] for key in keys]

    return DataLoader(load)


async def _pages_of(
    find: Callable[[list[Owner], Options], Awaitable[Mapping[Any, Page[Found]]]],
    owners: list[Owner],
    asked: Options,
    name_of: Callable[[Owner], Any],
) -> dict[tuple[Owner, Options], Page[Found] | BaseException]:
    try:
        pages = await find(owners, asked)
    except AppError as error:  # such as a cursor of another list: it must not cost those who asked for another page
        return dict.fromkeys(_with(owners, asked), error)
    return {(owner, asked): pages[name_of(owner)] for owner in owners}


def _with(owners: Iterable[Owner], asked: Options) -> list[tuple[Owner, Options]]:
    return [(owner, asked) for owner in owners]
