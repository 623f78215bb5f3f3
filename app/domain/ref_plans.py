"""Plans of ref changes: what is to be set or removed in one commit, decided on which state.

A plan is a value. The lake turns it into one Iceberg commit whose requirements are the plan's expectations; the change
log keeps it, so that after a crash anyone can tell from the table's metadata files whether it took place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.datasets import TableState
from app.domain.history import History, Ref, RefKind
from app.errors import HeadMovedError, JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class RefUpdate:
    """One ref as it is expected to be, and as it shall be; None means absent.

    Where both are the same snapshot the ref is only asserted to be there, unless `sets_age`: then it stays, and gets
    the max-ref-age-ms of `after`, which it is expected not to have.
    """

    name: str
    before: int | None
    after: Ref | None
    sets_age: bool = False

    @property
    def is_assertion(self) -> bool:
        """Whether the ref is to stay as it is."""
        return self.before == (None if self.after is None else self.after.snapshot_id) and not self.sets_age

    def is_expected_in(self, history: History) -> bool:
        """Whether the ref is there as it was expected to be."""
        return _target(history, self.name) == self.before and not (self.sets_age and self._has_age(history))

    def is_done_in(self, history: History) -> bool:
        """Whether the ref is there as it was to be, through this update or another."""
        wanted = None if self.after is None else self.after.snapshot_id
        return _target(history, self.name) == wanted and (not self.sets_age or self._has_age(history))

    def _has_age(self, history: History) -> bool:
        ref = history.refs.get(self.name)
        return ref is not None and self.after is not None and ref.max_ref_age_ms == self.after.max_ref_age_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaUpdate:
    """The current schema as it is expected to be, and as it shall be."""

    before: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RefPlan:
    """Updates of one table that are committed together or not at all."""

    updates: tuple[RefUpdate, ...]
    schema: SchemaUpdate | None = None

    @classmethod
    def as_it_is(cls, ref: Ref) -> RefPlan:
        """A plan that changes nothing: the ref shall be as it is."""
        return cls(updates=(RefUpdate(name=ref.name, before=ref.snapshot_id, after=ref),))

    def is_visible_in(self, earlier: TableState, later: TableState) -> bool:
        """Whether the step from one metadata file to the next made exactly this plan's updates.

        The step must do what the plan says to each of its refs, from the expected state: a step by someone else that
        happens to end in the same refs differs in what it began with.
        """
        for update in self.updates:
            if not update.is_expected_in(earlier.history) or not update.is_done_in(later.history):
                return False
        return self.schema is None or (
            earlier.current_schema_id == self.schema.before and later.current_schema_id == self.schema.after
        )

    def to_json(self) -> dict[str, JsonValue]:
        """The plan as JSON; 64-bit ids as strings."""
        return {
            "updates": [
                {
                    "name": update.name,
                    "before": None if update.before is None else str(update.before),
                    "after": _ref_to_json(update.after),
                    **({"setsAge": True} if update.sets_age else {}),
                }
                for update in self.updates
            ],
            "schema": None if self.schema is None else {"before": self.schema.before, "after": self.schema.after},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JsonValue]) -> RefPlan:
        """The plan that `to_json` wrote."""
        updates, schema = data["updates"], data.get("schema")
        if not isinstance(updates, list):
            raise TypeError("a plan's updates are a list")
        return cls(
            updates=tuple(_update_from_json(update) for update in updates),
            schema=SchemaUpdate(before=_int(schema["before"]), after=_int(schema["after"]))
            if isinstance(schema, dict)
            else None,
        )


def check_plan_is_current(state: TableState, plan: RefPlan) -> None:
    """That every ref is still where the plan expects it.

    Raises:
        HeadMovedError: the first one that is not.
    """
    for update in plan.updates:
        actual = _target(state.history, update.name)
        if actual != update.before:
            raise HeadMovedError(str(state.name), update.name, update.before, actual)


def _target(history: History, name: str) -> int | None:
    ref = history.refs.get(name)
    return ref.snapshot_id if ref else None


def _ref_to_json(ref: Ref | None) -> JsonValue:
    if ref is None:
        return None
    return {
        "kind": ref.kind.value,
        "snapshotId": str(ref.snapshot_id),
        "minSnapshotsToKeep": ref.min_snapshots_to_keep,
        "maxSnapshotAgeMs": ref.max_snapshot_age_ms,
        "maxRefAgeMs": ref.max_ref_age_ms,
    }


def _update_from_json(data: JsonValue) -> RefUpdate:
    if not isinstance(data, dict):
        raise TypeError("a plan's update is an object")
    after, name = data["after"], str(data["name"])
    ref = None
    if isinstance(after, dict):
        ref = Ref(
            name=name,
            kind=RefKind(str(after["kind"])),
            snapshot_id=_int(after["snapshotId"]),
            min_snapshots_to_keep=_optional_int(after["minSnapshotsToKeep"]),
            max_snapshot_age_ms=_optional_int(after["maxSnapshotAgeMs"]),
            max_ref_age_ms=_optional_int(after["maxRefAgeMs"]),
        )
    sets_age = data.get("setsAge") is True
    return RefUpdate(name=name, before=_optional_int(data["before"]), after=ref, sets_age=sets_age)


def _int(value: JsonValue) -> int:
    if not isinstance(value, (int, str)):
        raise TypeError(f"a plan's number is an integer or its digits, not {value!r}")
    return int(value)


def _optional_int(value: JsonValue) -> int | None:
    return None if value is None else _int(value)
