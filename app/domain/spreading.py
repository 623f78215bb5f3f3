"""How a change spreads through the lineage graph, hop by hop, and by which columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from app.domain.history import History
from app.domain.impact import Reach
from app.domain.lineage import DOWNSTREAM_IN, ROWS, Edge, EdgeKind, EntityKind, Vertex
from app.domain.schemas import SchemaField, SchemaVersion
from app.domain.versions import closest
from app.errors import InvalidArgumentError, UnknownColumnError

MAX_COLUMNS = 1_000

# Something affected, and by which of its columns; None for all of them, or where none are told.
_State = tuple[str, str | None]
_Path = tuple[str, ...]


class Spread:
    """What a change has reached so far.

    It goes from version to version, or with `by_entity` from entity to entity, whatever their versions: a change of a
    dataset is one of the versions to come, which will be read by whoever read the ones before. Of several shortest
    paths the one with the least ids counts, so that the order of edges does not matter. Pipelines lead nowhere: what
    they make is derived from what they read, and is reached so.

    With `columns` it follows what is told of columns. An edge that tells some leads on by those alone that depend on
    columns that are affected; one that tells none may depend on any.
    """

    def __init__(self, roots: Iterable[Vertex], *, by_entity: bool, columns: Collection[str] | None = None) -> None:
        self._by_entity = by_entity
        self._asks_columns = columns is not None
        self._vertices = {self._key(vertex): self._counted(vertex) for vertex in roots}
        self._roots = frozenset(self._vertices)
        started: Collection[str | None] = (None,) if columns is None else columns
        self._frontier: dict[_State, _Path] = {(key, column): (key,) for key in self._roots for column in started}
        self._met: set[_State] = set(self._frontier)
        self._hops = 0
        self.reached: dict[str, Reach] = {}
        # What was met of each, at whatever depth: of a model's versions one may be live and the nearest archived.
        self.versions: defaultdict[str, set[Vertex]] = defaultdict(set)

    @property
    def frontier(self) -> tuple[str, ...]:
        """Ids of what to ask about next, in order; none where it is at its end."""
        return tuple(sorted({key for key, _ in self._frontier}))

    def advance(self, edges: Iterable[Edge], vertices: Mapping[str, Vertex]) -> None:
        """One hop, from the frontier along all edges that leave it downstream, with the vertices at their ends."""
        edges = list(edges)
        found = self._found(edges, vertices)
        self._hops += 1
        by_key: defaultdict[str, dict[str | None, _Path]] = defaultdict(dict)
        for (key, column), path in found.items():
            by_key[key][column] = path
        ends = {self._key(vertex): self._counted(vertex) for vertex in vertices.values()}
        self._vertices |= {key: ends[key] for key in by_key if key not in self._vertices}
        for key, by_column in by_key.items():
            if key not in self.reached and key not in self._roots:
                self.reached[key] = self._reach(key, by_column)
        for edge in edges:
            end = vertices[edge.from_id]
            if self._key(end) in self.reached:
                self.versions[self._key(end)].add(end)
        self._met |= found.keys()
        self._frontier = {
            (key, column): path
            for (key, column), path in found.items()
            if self._vertices[key].kind is not EntityKind.PIPELINE and (column is None or (key, None) not in self._met)
        }

    def leads_on(self, edges: Iterable[Edge], vertices: Mapping[str, Vertex]) -> bool:
        """Whether the next hop along these edges would reach more."""
        return bool(self._found(list(edges), vertices))

    def _found(self, edges: Collection[Edge], vertices: Mapping[str, Vertex]) -> dict[_State, _Path]:
        columns: defaultdict[str, dict[str | None, _Path]] = defaultdict(dict)
        for (key, column), path in self._frontier.items():
            columns[key][column] = path
        told = _told_by_runs(edges) if self._asks_columns else {}
        found: dict[_State, _Path] = {}
        for edge in edges:
            near, far = self._key(vertices[edge.to_id]), self._key(vertices[edge.from_id])
            if edge.kind not in DOWNSTREAM_IN or (near == far and not self._asks_columns):
                continue
            for column, path in columns[near].items():
                for carried in self._carried(edge, column, told):
                    state = (far, carried)
                    if state in self._met or (far, None) in self._met:
                        continue
                    longer = path if path[-1] == far else (*path, far)
                    found[state] = min(longer, found.get(state, longer))
        return found

    def _carried(
        self, edge: Edge, column: str | None, told: Mapping[tuple[str, str], set[str] | None]
    ) -> Collection[str | None]:
        """By which columns the change goes on along an edge."""
        if not self._asks_columns or column is None:
            return (None,)
        if edge.kind is EdgeKind.CONSUMES:
            read = told.get((edge.owner, edge.to_id))
            return (None,) if read is None else (column,) if column in read else ()
        if edge.kind is not EdgeKind.DERIVED_FROM or not edge.columns:
            return (None,)
        made = {link.from_column for link in edge.columns if link.to_column == column}
        # What decides which rows there are is in every column of them.
        return (None,) if ROWS in made else made

    def _reach(self, key: str, by_column: Mapping[str | None, _Path]) -> Reach:
        columns = tuple(sorted(column for column in by_column if column is not None))
        paths = [by_column[column] for column in columns] or list(by_column.values())
        return Reach(
            vertex=self._vertices[key],
            depth=self._hops,
            path=tuple(self._vertices[step] for step in min(paths)),
            columns=columns,
            is_certain=bool(columns) or not self._asks_columns,
        )

    def _key(self, vertex: Vertex) -> str:
        return vertex.entity if self._by_entity else vertex.vertex_id

    def _counted(self, vertex: Vertex) -> Vertex:
        return vertex.as_entity if self._by_entity else vertex


def _told_by_runs(edges: Iterable[Edge]) -> dict[tuple[str, str], set[str] | None]:
    """Which columns of what it read a run uses, None where it does not tell that of all that it made."""
    found: dict[tuple[str, str], set[str] | None] = {}
    for edge in edges:
        if edge.kind is EdgeKind.DERIVED_FROM:
            place = (edge.owner, edge.to_id)
            before = found.get(place, set())
            used = {link.to_column for link in edge.columns}
            found[place] = before | used if before is not None and used else None
    return found


def abandoned_by(history: History, from_id: int, to_id: int) -> frozenset[int]:
    """The snapshots that a branch no longer leads to when it goes from one snapshot to another.

    A parent that has expired counts too, where the history still names it.
    """
    return _line(history, from_id) - _line(history, to_id)


def column_spellings(
    schema: SchemaVersion, earlier: Iterable[SchemaVersion], asked: Collection[str], dataset: str
) -> frozenset[str]:
    """The paths under which lineage may know the columns of a schema.

    A column that was renamed has its earlier names too. What is nested in it, and what it is nested in, change with it.

    Raises:
        InvalidArgumentError: no column, or too many.
        UnknownColumnError: the first one that the schema lacks, with the closest names.
    """
    if not 1 <= len(asked) <= MAX_COLUMNS:
        raise InvalidArgumentError("columns", f"name 1 to {MAX_COLUMNS} columns, or leave it out for all of them")
    known = {field.path: field for field in schema.walk()}
    holders = {child.field_id: field for field in known.values() for child in field.children}
    ids: set[int] = set()
    for column in asked:
        if column not in known:
            raise UnknownColumnError(dataset, column[:120], closest(column, sorted(known)))
        ids.update(field.field_id for field in known[column].walk())
        holder: SchemaField | None = known[column]
        while holder is not None:
            ids.add(holder.field_id)
            holder = holders.get(holder.field_id)
    return frozenset(field.path for each in (schema, *earlier) for field in each.walk() if field.field_id in ids)


def _line(history: History, snapshot_id: int) -> frozenset[int]:
    found = {snapshot_id}
    for snapshot in history.ancestors(snapshot_id):
        found.add(snapshot.snapshot_id)
        if snapshot.parent_id is not None:
            found.add(snapshot.parent_id)
    return frozenset(found)
