"""What differs between two versions of a pipeline."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import strawberry

from app.domain import dag_diff, pipeline_diff
from app.domain.code_diff import CodeDiff
from app.domain.version_relation import VersionRelation
from app.graphql.fields import field
from app.graphql.types.interfaces import Diff
from app.graphql.types.key_delta import KeyDelta, show_key_delta
from app.services.comparing_pipelines import code_difference, dag_difference

if TYPE_CHECKING:
    from app.graphql.types.pipelines import PipelineVersion

LazyVersion = Annotated["PipelineVersion", strawberry.lazy("app.graphql.types.pipelines")]


@strawberry.type(description="What became of a task that both DAGs have under the same id.")
class TaskDelta:
    """What became of a task."""

    task: str = strawberry.field(description="Id of the task.")
    changes: list[KeyDelta] = strawberry.field(description="What differs of what it says, by key.")


@strawberry.type(
    description="A task that got another id, and nothing else: it says the same, and its neighbours are the same or "
    "renamed too. Where several pairings would do, none is guessed."
)
class TaskRename:
    """A task that got another id."""

    from_: str = strawberry.field(name="from", description="Its id in `from`.")
    to: str = strawberry.field(description="Its id in `to`.")


@strawberry.type(
    description="What differs between two DAGs, compared as graphs: the order in which tasks or edges are listed "
    "changes nothing. Tasks and edges that were added and removed are told by ids alone, and are the whole difference; "
    "`tasksRenamed` says beside that which of them are the same task under another id. An edge is written `load -> "
    "clean`."
)
class DagDiff:
    """What differs between two DAGs."""

    tasks_added: list[str] = strawberry.field(description="Ids of the tasks that `to` has and `from` has not.")
    tasks_removed: list[str] = strawberry.field(description="Ids of the tasks that `from` has and `to` has not.")
    tasks_changed: list[str] = strawberry.field(
        description="Ids of the tasks that both have, and that say other things."
    )
    edges_added: list[str] = strawberry.field(description="Edges that `to` has and `from` has not.")
    edges_removed: list[str] = strawberry.field(description="Edges that `from` has and `to` has not.")
    tasks_renamed: list[TaskRename] = strawberry.field(
        description="Which of the removed and added tasks are one under another id."
    )
    task_changes: list[TaskDelta] = strawberry.field(description="What became of each task that changed.")


@strawberry.type(description="What differs between two versions of a pipeline; `from` may be the later one.")
class PipelineDiff(Diff):
    """What differs between two versions of a pipeline."""

    diff: strawberry.Private[pipeline_diff.PipelineDiff]
    working: strawberry.Private[asyncio.Future[CodeDiff | None] | None] = None

    @field(name="from", description="The version that the other is compared with.")
    def from_(self) -> LazyVersion:
        """The version that the other is compared with."""
        from app.graphql.types.pipelines import PipelineVersion

        return PipelineVersion(version=self.diff.before)

    @field(description="The version that is compared with it.")
    def to(self) -> LazyVersion:
        """The version that is compared with it."""
        from app.graphql.types.pipelines import PipelineVersion

        return PipelineVersion(version=self.diff.after)

    @field(description="Whether DAG, code and git commit are the same.")
    def identical(self) -> bool:
        """Whether nothing differs."""
        return self.diff.is_identical

    @field(description="What `from` is to `to`: ANCESTOR is the one with the lower number.")
    def relation(self) -> VersionRelation:
        """What the one is to the other."""
        return self.diff.relation

    @field(description="Whether the DAGs differ, as graphs.")
    def dag_changed(self) -> bool:
        """Whether the DAGs differ."""
        return self.diff.is_dag_changed

    @field(description="Whether the code differs, by its hash; code that only one of them has does.")
    def code_changed(self) -> bool:
        """Whether the code differs."""
        return self.diff.is_code_changed

    @field(description="What differs between the DAGs.")
    async def dag(self) -> DagDiff:
        """What differs between the DAGs."""
        return _show_dag(await dag_difference(self.diff))

    @field(
        description="The difference of the code as a unified diff, empty where there is none; null where one of them "
        "has no code stored."
    )
    async def code(self) -> str | None:
        """The difference of the code."""
        found = await self._code()
        return None if found is None else found.text

    @field(description="Whether the end of `code` is missing: more than 1,000,000 characters are not written.")
    async def code_cut(self) -> bool:
        """Whether the end of the diff is missing."""
        found = await self._code()
        return found is not None and found.is_cut

    async def _code(self) -> CodeDiff | None:
        # Several fields ask for it, and it is worked out once.
        if self.working is None:
            self.working = asyncio.ensure_future(code_difference(self.diff))
        return await self.working


def _show_dag(diff: dag_diff.DagDiff) -> DagDiff:
    return DagDiff(
        tasks_added=list(diff.tasks_added),
        tasks_removed=list(diff.tasks_removed),
        tasks_changed=[delta.task for delta in diff.tasks_changed],
        edges_added=[" -> ".join(edge) for edge in diff.edges_added],
        edges_removed=[" -> ".join(edge) for edge in diff.edges_removed],
        tasks_renamed=[TaskRename(from_=rename.before, to=rename.after) for rename in diff.tasks_renamed],
        task_changes=[
            TaskDelta(task=delta.task, changes=[show_key_delta(each) for each in delta.changes])
            for delta in diff.tasks_changed
        ],
    )
