"""What random tables look like: histories with branches, tags, a log, expired parents and clocks that run back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from app.domain.datasets import TableState
from app.domain.history import MAIN, History, LogEntry, Ref, RefKind, Snapshot, SnapshotOperation
from app.domain.names import DatasetName
from app.domain.ref_plans import RefPlan, RefUpdate, SchemaUpdate
from app.domain.schemas import SchemaField, SchemaVersion
from app.domain.versions import INT64_MAX, INT64_MIN, LATEST

DATASET = "bronze.orders"
TABLE_UUID = UUID("6f1a2b3c-0000-4000-8000-000000000001")
NOW = datetime(2026, 2, 15, 10, tzinfo=UTC)
START_MS = 1_771_149_600_000

int64s = st.integers(INT64_MIN, INT64_MAX)
# 0 and -1 are Iceberg's marks for "no snapshot".
snapshot_ids = st.one_of(st.integers(1, 50), int64s).filter(lambda number: number not in (0, -1))
ref_names = st.from_regex(r"[a-z][a-z0-9_.\-/]{0,11}", fullmatch=True).filter(lambda name: name not in (MAIN, LATEST))
# Iceberg takes any text as the name of a ref; other engines write such.
foreign_ref_names = st.text(min_size=1, max_size=12)
retention_settings = st.one_of(st.none(), st.integers(1, INT64_MAX))


def make_snapshot(
    snapshot_id: int,
    parent_id: int | None = None,
    *,
    timestamp_ms: int = START_MS,
    sequence_number: int | None = None,
    schema_id: int | None = 0,
) -> Snapshot:
    return Snapshot(
        snapshot_id=snapshot_id,
        parent_id=parent_id,
        sequence_number=sequence_number,
        timestamp_ms=timestamp_ms,
        operation=SnapshotOperation.APPEND,
        summary={},
        schema_id=schema_id,
    )


def make_ref(name: str, snapshot_id: int, kind: RefKind = RefKind.TAG, **retention: int | None) -> Ref:
    return Ref(name=name, kind=kind, snapshot_id=snapshot_id, **retention)


def make_history(
    *chain: int,
    tags: dict[str, int] | None = None,
    branches: dict[str, int] | None = None,
    step_ms: int = 1000,
    log: tuple[LogEntry, ...] | None = None,
) -> History:
    """A straight line of snapshots, oldest first, with main at its end; the log tells one step a second."""
    snapshots = {
        snapshot_id: make_snapshot(
            snapshot_id,
            chain[place - 1] if place else None,
            timestamp_ms=START_MS + place * step_ms,
            sequence_number=place + 1,
        )
        for place, snapshot_id in enumerate(chain)
    }
    refs = {name: make_ref(name, target) for name, target in (tags or {}).items()}
    refs |= {name: make_ref(name, target, RefKind.BRANCH) for name, target in (branches or {}).items()}
    if chain:
        refs.setdefault(MAIN, make_ref(MAIN, chain[-1], RefKind.BRANCH))
    if log is None:
        log = tuple(LogEntry(timestamp_ms=s.timestamp_ms, snapshot_id=s.snapshot_id) for s in snapshots.values())
    return History(snapshots=snapshots, refs=refs, log=log)


def make_field(
    field_id: int, path: str, type_: str = "long", *children: SchemaField, required: bool = False, **more: Any
) -> SchemaField:
    return SchemaField(field_id=field_id, path=path, type=type_, is_required=required, children=children, **more)


def make_schema(schema_id: int, *fields: SchemaField, identifiers: tuple[str, ...] = ()) -> SchemaVersion:
    return SchemaVersion(schema_id=schema_id, fields=fields, identifier_fields=identifiers)


def make_state(
    history: History,
    *,
    schemas: tuple[SchemaVersion, ...] = (),
    current_schema_id: int = 0,
    required_field_ids: frozenset[int] = frozenset(),
    **more: Any,
) -> TableState:
    schemas = schemas or (make_schema(0, make_field(1, "id")),)
    return TableState(
        name=DatasetName.parse(DATASET),
        table_uuid=TABLE_UUID,
        location="file:///warehouse/orders",
        metadata_location="file:///warehouse/orders/metadata/1.json",
        format_version=2,
        properties={},
        history=history,
        schemas={schema.schema_id: schema for schema in schemas},
        current_schema_id=current_schema_id,
        required_field_ids=required_field_ids,
        **more,
    )


def apply_plan(state: TableState, plan: RefPlan) -> TableState:
    """The table after the plan was committed, as a catalog would leave it: assertions change nothing."""
    refs = dict(state.history.refs)
    for update in plan.updates:
        if update.after is None:
            del refs[update.name]
        elif not update.is_assertion:
            refs[update.name] = update.after
    return make_state(
        History(snapshots=state.history.snapshots, refs=refs, log=state.history.log),
        schemas=tuple(state.schemas.values()),
        current_schema_id=plan.schema.after if plan.schema else state.current_schema_id,
        required_field_ids=state.required_field_ids,
    )


def named_ids(history: History) -> frozenset[int]:
    """Ids that some ref keeps from expiring."""
    return frozenset(s.snapshot_id for ref in history.refs.values() for s in history.ancestors(ref.snapshot_id))


@st.composite
def histories(draw: st.DrawFn, *, min_snapshots: int = 1, names: st.SearchStrategy[str] = ref_names) -> History:
    """A graph of snapshots whose main exists where there is any snapshot.

    Some parents are expired, timestamps tie or run backwards, some snapshots are on no ref, and the log may have
    entries of snapshots that are gone.
    """
    ids = draw(st.lists(snapshot_ids, unique=True, min_size=min_snapshots, max_size=12))
    gone = draw(st.lists(snapshot_ids.filter(lambda number: number not in ids), unique=True, max_size=2))
    snapshots: dict[int, Snapshot] = {}
    clock_ms = START_MS
    for place, snapshot_id in enumerate(ids):
        parents = st.sampled_from([*ids[:place], *gone]) if place or gone else st.nothing()
        clock_ms += draw(st.sampled_from([0, 1, 1000, -500]))
        snapshots[snapshot_id] = make_snapshot(
            snapshot_id,
            draw(st.none() | parents),
            timestamp_ms=clock_ms,
            sequence_number=draw(st.none() | st.just(place + 1)),
        )
    if not ids:
        return History(snapshots={}, refs={})
    targets = st.sampled_from(ids)
    refs = {MAIN: draw(refs_named(MAIN, RefKind.BRANCH, targets))}
    for name in draw(st.lists(names.filter(lambda name: name != MAIN), unique=True, max_size=5)):
        refs[name] = draw(refs_named(name, draw(st.sampled_from(RefKind)), targets))
    entries: list[LogEntry] = []
    clock_ms = START_MS
    for snapshot_id in draw(st.lists(st.sampled_from([*ids, *gone]), max_size=6)):
        entries.append(LogEntry(timestamp_ms=clock_ms, snapshot_id=snapshot_id))
        clock_ms += draw(st.sampled_from([0, 1, 1000, -500]))
    return History(snapshots=snapshots, refs=refs, log=tuple(entries))


@st.composite
def refs_named(draw: st.DrawFn, name: str, kind: RefKind, targets: st.SearchStrategy[int]) -> Ref:
    is_branch = kind is RefKind.BRANCH
    return Ref(
        name=name,
        kind=kind,
        snapshot_id=draw(targets),
        min_snapshots_to_keep=draw(retention_settings) if is_branch else None,
        max_snapshot_age_ms=draw(retention_settings) if is_branch else None,
        max_ref_age_ms=draw(retention_settings) if name != MAIN else None,
    )


@st.composite
def table_states(draw: st.DrawFn, *, min_snapshots: int = 1) -> TableState:
    """A table with such a history, and two schemas of which some snapshots have the older."""
    history = draw(histories(min_snapshots=min_snapshots))
    older = make_schema(0, make_field(1, "id", "int"))
    newer = make_schema(1, make_field(1, "id", "long"), make_field(2, "amount", "decimal(9, 2)"))
    snapshots = {
        snapshot.snapshot_id: make_snapshot(
            snapshot.snapshot_id,
            snapshot.parent_id,
            timestamp_ms=snapshot.timestamp_ms,
            sequence_number=snapshot.sequence_number,
            schema_id=draw(st.sampled_from([0, 1, None])),
        )
        for snapshot in history.snapshots.values()
    }
    return make_state(
        History(snapshots=snapshots, refs=history.refs, log=history.log),
        schemas=(older, newer),
        current_schema_id=draw(st.sampled_from([0, 1])),
    )


@st.composite
def ref_plans(draw: st.DrawFn) -> RefPlan:
    """Any plan at all, over the whole range of 64-bit integers and of names."""
    updates: list[RefUpdate] = []
    for name in draw(st.lists(foreign_ref_names, unique=True, min_size=1, max_size=4)):
        after = draw(st.none() | refs_named(name, draw(st.sampled_from(RefKind)), int64s))
        sets_age = after is not None and draw(st.booleans())
        updates.append(RefUpdate(name=name, before=draw(st.none() | int64s), after=after, sets_age=sets_age))
    schema_ids = st.integers(0, 2**31 - 1)
    schemas = st.builds(SchemaUpdate, before=schema_ids, after=schema_ids)
    return RefPlan(updates=tuple(updates), schema=draw(st.none() | schemas))
