"""What differs between two DAGs, compared as graphs: the order of tasks and edges says nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass

from app.domain.dag_renames import find_renames
from app.domain.dags import Dag
from app.domain.json_diff import KeyDelta, diff_objects

Edge = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDelta:
    """What became of a task that is in both under the same id."""

    task: str
    changes: tuple[KeyDelta, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRename:
    """A task that got another id, and nothing else."""

    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DagDiff:
    """Tasks by id and edges as (from, to) that only one side has, tasks that say something else; all in order.

    What is added and removed is told by ids alone, and is the whole difference. `tasks_renamed` says beside that which
    of the removed and added tasks are the same one under another id; its edges are among the removed and added ones.
    """

    tasks_added: tuple[str, ...] = ()
    tasks_removed: tuple[str, ...] = ()
    tasks_changed: tuple[TaskDelta, ...] = ()
    tasks_renamed: tuple[TaskRename, ...] = ()
    edges_added: tuple[Edge, ...] = ()
    edges_removed: tuple[Edge, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether both are the same DAG."""
        return not (
            self.tasks_added or self.tasks_removed or self.tasks_changed or self.edges_added or self.edges_removed
        )

    def without_renames(self) -> DagDiff:
        """The same with a rename told as such alone: neither as a task that comes and goes, nor by its edges."""
        names = {rename.before: rename.after for rename in self.tasks_renamed}
        renamed, added = set(names.values()), set(self.edges_added)
        called_now = {edge: (names.get(edge[0], edge[0]), names.get(edge[1], edge[1])) for edge in self.edges_removed}
        kept = added & set(called_now.values())
        return DagDiff(
            tasks_added=tuple(task for task in self.tasks_added if task not in renamed),
            tasks_removed=tuple(task for task in self.tasks_removed if task not in names),
            tasks_changed=self.tasks_changed,
            tasks_renamed=self.tasks_renamed,
            edges_added=tuple(edge for edge in self.edges_added if edge not in kept),
            edges_removed=tuple(edge for edge in self.edges_removed if called_now[edge] not in kept),
        )


def diff_dags(before: Dag, after: Dag) -> DagDiff:
    """What differs between two DAGs. Takes time with their size, whatever differs."""
    old, new = ({task.id: task.canonical for task in dag.tasks} for dag in (before, after))
    changed = sorted(task_id for task_id in old.keys() & new.keys() if old[task_id] != new[task_id])
    renames = find_renames(before, after)
    return DagDiff(
        tasks_added=tuple(sorted(new.keys() - old.keys())),
        tasks_removed=tuple(sorted(old.keys() - new.keys())),
        tasks_changed=tuple(
            TaskDelta(task=task_id, changes=diff_objects(json.loads(old[task_id]), json.loads(new[task_id])))
            for task_id in changed
        ),
        tasks_renamed=tuple(TaskRename(before=old_id, after=renames[old_id]) for old_id in sorted(renames)),
        edges_added=tuple(sorted(set(after.edges) - set(before.edges))),
        edges_removed=tuple(sorted(set(before.edges) - set(after.edges))),
    )
