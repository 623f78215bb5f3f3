"""The DAG of a pipeline version: its tasks, which of them follow which, and when two of them are the same.

Given as JSON, `{"tasks": [{"id": "load", …}], "edges": [["load", "clean"]]}`; whatever else a task says is kept.
Two documents are the same DAG where they have the same tasks and edges: the order of tasks, of edges and of the members
of objects says nothing, the order within any other list does. JSON has one kind of number, so `1`, `1.0` and `1e0` are
the same, and so are `0` and `-0.0`; `true` is no number. Text is compared by code points, without normalisation.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from app.domain.dag_cycles import find_cycle
from app.domain.names import MAX_NAME_CHARS, is_storable
from app.errors import InvalidArgumentError, InvalidDagError
from app.errors.base import JsonValue

MAX_TASKS = 5_000
MAX_EDGES = 20_000
MAX_NESTING = 32
MAX_CANONICAL_BYTES = 4 * 1024 * 1024
# What is kept and shown is the document as it was given, and the JSON of the database's driver has 64 bits.
_INTEGERS = range(-(2**63), 2**63)
# What is compared with a slip of the pen: looking for what is close takes time with the square of the lengths.
_MAX_COMPARED_TASKS, _MAX_COMPARED_CHARS = 1_000, 64
_SHOWN_TASKS = 10


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class DagTask:
    """One task: its id, and all that it says (the id too) as canonical JSON."""

    id: str
    canonical: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dag:
    """Tasks by id and edges by (from, to), both in order; equal where the DAGs are the same.

    Made by `parse_dag`, which checks.
    """

    tasks: tuple[DagTask, ...]
    edges: tuple[tuple[str, str], ...]

    @property
    def canonical(self) -> str:
        """The JSON text that every document of this DAG comes down to; parsing it gives this DAG."""
        edges = ",".join(_text(list(edge)) for edge in self.edges)
        return f'{{"edges":[{edges}],"tasks":[{",".join(task.canonical for task in self.tasks)}]}}'

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical text in UTF-8, in hexadecimal."""
        return _sha256(self.canonical)


def code_hash(code: str) -> str:
    """SHA-256 of the text in UTF-8, in hexadecimal; line endings count as they are, as `sha256sum` counts them.

    Raises:
        InvalidArgumentError: the text has a lone surrogate, which UTF-8 cannot carry, or a NUL, which Postgres cannot.
    """
    if not is_storable(code):
        raise InvalidArgumentError("code", "it has a NUL or a lone surrogate, which no database can keep")
    return _sha256(code)


def parse_dag_text(text: str) -> Dag:
    """The DAG of a JSON text; a member that is named twice in one object is refused, as `parse_dag` cannot see it.

    Raises:
        InvalidDagError: the text is no JSON, or what `parse_dag` refuses.
    """
    try:
        document = json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise InvalidDagError("", f"it is nested deeper than {MAX_NESTING} levels") from None
    except json.JSONDecodeError as error:
        raise InvalidDagError("", f"it is no JSON: {error}") from None
    except ValueError:
        # Python reads no integers of more than some thousand digits.
        raise InvalidDagError("", "a number in it has too many digits") from None
    return parse_dag(document)


def parse_dag(document: JsonValue) -> Dag:
    """The DAG of a parsed JSON document; time is linear in its size, but for a longer look where there is a cycle.

    Raises:
        InvalidDagError: it is none, with the JSON pointer (RFC 6901) of what is wrong.
    """
    if not isinstance(document, dict):
        raise InvalidDagError("", 'write {"tasks": [{"id": …}], "edges": [["from", "to"]]}')
    for key in document:
        if key not in ("tasks", "edges"):
            close = difflib.get_close_matches(key[:_MAX_COMPARED_CHARS], ("tasks", "edges"), n=1)
            raise InvalidDagError(_step(key), "a DAG has tasks and edges, and nothing else", suggestions=close)
    if "tasks" not in document:
        raise InvalidDagError("", "tasks are missing")
    places, tasks = _read_tasks(_list(document["tasks"], "/tasks", MAX_TASKS))
    edges = _read_edges(_list(document.get("edges", []), "/edges", MAX_EDGES), places)
    if cycle := find_cycle(edges):
        closing = edges[cycle[-1], cycle[0]]
        shown = [*cycle[:_SHOWN_TASKS], "…"] if len(cycle) > _SHOWN_TASKS else [*cycle, cycle[0]]
        raise InvalidDagError(f"/edges/{closing}", f"it closes a cycle: {' -> '.join(shown)}", cycle=cycle)
    dag = Dag(tasks=tuple(sorted(tasks)), edges=tuple(sorted(edges)))
    if len(dag.canonical.encode()) > MAX_CANONICAL_BYTES:
        raise InvalidDagError("", f"it takes more than {MAX_CANONICAL_BYTES} bytes")
    return dag


def _read_tasks(values: Sequence[JsonValue]) -> tuple[dict[str, int], Iterator[DagTask]]:
    """Where each task is, by id, and the tasks; what is wrong with the list is found before what is wrong in a task."""
    places: dict[str, int] = {}
    for place, value in enumerate(values):
        pointer = f"/tasks/{place}"
        if not isinstance(value, dict):
            raise InvalidDagError(pointer, 'a task is an object, {"id": …}')
        if "id" not in value:
            raise InvalidDagError(pointer, "it has no id")
        task_id = _task_id(value["id"], pointer + "/id")
        if (first := places.setdefault(task_id, place)) != place:
            reason = f"there is a task {_short(task_id)!r} already, at /tasks/{first}"
            raise InvalidDagError(pointer, reason, other_pointer=f"/tasks/{first}")
    return places, (
        DagTask(id=task_id, canonical=_text(_normalised(values[place], f"/tasks/{place}", 1)))
        for task_id, place in places.items()
    )


def _read_edges(values: Sequence[JsonValue], tasks: Mapping[str, int]) -> dict[tuple[str, str], int]:
    """Where each edge is, by its two ends."""
    places: dict[tuple[str, str], int] = {}
    for place, value in enumerate(values):
        pointer = f"/edges/{place}"
        if not isinstance(value, list) or len(value) != 2:
            raise InvalidDagError(pointer, 'an edge is a list of two task ids, ["from", "to"]')
        source, target = (_end(end, f"{pointer}/{side}", tasks) for side, end in enumerate(value))
        if (first := places.setdefault((source, target), place)) != place:
            reason = f"this edge is there already, at /edges/{first}"
            raise InvalidDagError(pointer, reason, other_pointer=f"/edges/{first}")
    return places


def _end(value: JsonValue, pointer: str, tasks: Mapping[str, int]) -> str:
    task_id = _task_id(value, pointer)
    if task_id not in tasks:
        near = [name for name in tasks if abs(len(name) - len(task_id)) <= 8 and len(name) <= _MAX_COMPARED_CHARS]
        # Those that begin alike first, for there may be too many to look at all of them.
        near.sort(key=lambda name: name[:2] != task_id[:2])
        close = difflib.get_close_matches(task_id[:_MAX_COMPARED_CHARS], islice(near, _MAX_COMPARED_TASKS), n=3)
        raise InvalidDagError(pointer, f"there is no task {_short(task_id)!r}", suggestions=close)
    return task_id


def _task_id(value: JsonValue, pointer: str) -> str:
    if not isinstance(value, str):
        raise InvalidDagError(pointer, "the id of a task is a text")
    if not value:
        raise InvalidDagError(pointer, "the id of a task cannot be empty")
    if len(value) > MAX_NAME_CHARS:
        raise InvalidDagError(pointer, f"the id has {len(value)} characters, at most {MAX_NAME_CHARS} are allowed")
    return _storable(value, pointer)


def _list(value: JsonValue, pointer: str, limit: int) -> Sequence[JsonValue]:
    if not isinstance(value, list):
        raise InvalidDagError(pointer, "it is no list")
    if len(value) > limit:
        raise InvalidDagError(pointer, f"there are {len(value)} of them, at most {limit} are allowed")
    return value


def _normalised(value: JsonValue, pointer: str, depth: int) -> JsonValue:
    """The value with one form for each number. It calls itself, at most `MAX_NESTING` times."""
    if isinstance(value, str):
        return _storable(value, pointer)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value, pointer)
    if not isinstance(value, list | dict):
        return value
    if depth > MAX_NESTING:
        raise InvalidDagError(pointer, f"it is nested deeper than {MAX_NESTING} levels")
    if isinstance(value, list):
        return [_normalised(item, f"{pointer}/{place}", depth + 1) for place, item in enumerate(value)]
    return {_storable(key, pointer): _normalised(item, pointer + _step(key), depth + 1) for key, item in value.items()}


def _number(value: float, pointer: str) -> int | float:
    if isinstance(value, int):
        if value not in _INTEGERS:
            raise InvalidDagError(pointer, "the number has too many digits: more than 64 bits; write it as a text")
        return value
    if not math.isfinite(value):
        raise InvalidDagError(pointer, "NaN and infinity are no numbers of JSON")
    return int(value) if value.is_integer() and int(value) in _INTEGERS else value


def _storable(text: str, pointer: str) -> str:
    if not is_storable(text):
        raise InvalidDagError(pointer, "a text in it has a NUL or a lone surrogate, which no database can keep")
    return text


def _once(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidDagError("", f"a member is named {_short(twice)!r} twice in one object")
    return members


def _text(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _step(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")


def _short(text: str) -> str:
    return text if len(text) <= 120 else text[:117] + "..."
