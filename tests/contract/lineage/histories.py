"""Random histories of the tables that a random lineage graph speaks of, and the graph with their parents in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from hypothesis import strategies as st

from app.domain.datasets import TableState
from app.domain.history import History, SnapshotOperation, to_instant
from app.domain.lineage import Edge, EdgeKind, Projection, Vertex
from tests.contract.lineage.graphs import v
from tests.contract.lineage.model import Model
from tests.strategies import make_snapshot, make_state

A, B = UUID(int=0xA), UUID(int=0xB)
TABLES = (A, B)
SNAPSHOTS = range(1, 9)
PARENTS_OWNER = "iceberg"


def key(table: UUID, snapshot_id: int) -> str:
    """The id of a snapshot's vertex."""
    return f"dataset:{table}@{snapshot_id}"


@st.composite
def tables(draw: st.DrawFn) -> dict[UUID, TableState]:
    """One or two tables: parents in any shape, some of them expired, some snapshots compactions."""
    found = {}
    for table in draw(st.lists(st.sampled_from(TABLES), max_size=2, unique=True)):
        held = draw(st.sets(st.sampled_from(SNAPSHOTS)))
        parents = {number: draw(st.none() | st.sampled_from(range(max(1, number - 3), number + 1))) for number in held}
        snapshots = {
            number: replace(
                make_snapshot(number, None if parent == number else parent),
                operation=draw(st.sampled_from([SnapshotOperation.APPEND, SnapshotOperation.REPLACE])),
            )
            for number, parent in parents.items()
        }
        found[table] = table_state(table, History(snapshots=snapshots, refs={}))
    return found


def table_state(table: UUID, history: History) -> TableState:
    return replace(make_state(history), table_uuid=table)


class KnownTables:
    """The tables as a walk finds them."""

    def __init__(self, states: Mapping[UUID, TableState]) -> None:
        self.states = states
        self.asked: list[UUID] = []

    async def find(self, hints: Mapping[UUID, str]) -> Mapping[UUID, TableState]:
        self.asked += hints
        return {uuid: self.states[uuid] for uuid in hints if uuid in self.states}


class WithParents(Model):
    """The model of a graph in which every snapshot is derived from its parent."""

    def __init__(self, model: Model, states: Mapping[UUID, TableState]) -> None:
        super().__init__()
        self.said = dict(model.said)
        self.alone: dict[str, Vertex] = {}
        edges = []
        for table, state in states.items():
            for number, snapshot in state.history.snapshots.items():
                if _origin(state.history, number) != number:
                    continue
                self.alone[key(table, number)] = _vertex(table, number)
                if snapshot.parent_id is not None:
                    edges.append(
                        Edge(
                            kind=EdgeKind.DERIVED_FROM,
                            from_id=key(table, number),
                            to_id=key(table, _origin(state.history, snapshot.parent_id)),
                            owner=PARENTS_OWNER,
                            source="iceberg",
                            recorded_at=to_instant(snapshot.timestamp_ms),
                        )
                    )
        ends = {end for edge in edges for end in (edge.from_id, edge.to_id)}
        vertices = {end: _vertex(UUID(end[8:44]), int(end[45:])) for end in ends}
        self.apply([Projection(owner=PARENTS_OWNER, vertices=vertices, edges=tuple(edges))])

    @property
    def vertices(self) -> dict[str, Vertex]:
        return super().vertices | self.alone


def _origin(history: History, number: int) -> int:
    snapshot = history.snapshots.get(number)
    if snapshot is None or snapshot.operation is not SnapshotOperation.REPLACE:
        return number
    if snapshot.parent_id is None or snapshot.parent_id not in history.snapshots:
        return number
    return _origin(history, snapshot.parent_id)


def _vertex(table: UUID, number: int) -> Vertex:
    return v(key(table, number))
