"""Laws of differences between model versions: exact, mirrored, and enough to make the one of the other."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.json_diff import DeltaKind, KeyDelta, diff_objects, is_same_json
from app.domain.metrics_diff import Thresholds, diff_metrics, to_float
from app.domain.models import Metric
from app.domain.names import DatasetName
from app.domain.roles import InputRole
from app.domain.training_diff import diff_training_data
from app.domain.uses import VersionUse

MODERATE = settings(max_examples=200, deadline=None)
MIRRORED = {
    DeltaKind.ADDED: DeltaKind.REMOVED,
    DeltaKind.REMOVED: DeltaKind.ADDED,
    DeltaKind.CHANGED: DeltaKind.CHANGED,
    DeltaKind.UNCHANGED: DeltaKind.UNCHANGED,
}

values = st.one_of(
    st.none(),
    st.floats(),
    st.decimals(min_value=-100, max_value=100, places=3).map(float),
)
metrics = st.dictionaries(
    st.sampled_from(["accuracy", "loss", "latency_ms", "f1", "ü"]),
    st.tuples(values, st.sampled_from([None, True, False])),
).map(
    lambda found: [Metric(name=name, value=value, higher_is_better=higher) for name, (value, higher) in found.items()]
)
thresholds = st.decimals(min_value=0, max_value=1, places=3)

names = st.sampled_from(["a", "b", "a.b", 'q"', "", "ü"])
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(max_size=3)
)
json_values = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=8,
)
objects = st.dictionaries(names, json_values, max_size=4)

TABLES = [UUID(int=1), UUID(int=2)]
uses = st.lists(
    st.builds(
        lambda table, snapshot_id, role: VersionUse(
            dataset=DatasetName(namespace="silver", name=f"t{table.int}"),
            table_uuid=table,
            snapshot_id=snapshot_id,
            role=role,
        ),
        st.sampled_from(TABLES),
        st.integers(1, 9),
        st.sampled_from([InputRole.TRAINING, InputRole.TEST]),
    ),
    unique_by=lambda use: (use.table_uuid, use.snapshot_id, use.role),
    max_size=8,
)
# Which snapshots are compactions of which.
origins = st.dictionaries(st.integers(5, 9), st.integers(1, 4))


@MODERATE
@given(metrics, metrics, thresholds)
def test_metrics_are_exact_and_json(before: list[Metric], after: list[Metric], threshold: Decimal) -> None:
    for delta in diff_metrics(before, after, Thresholds(overall=threshold)):
        shown = {"from": delta.before, "to": delta.after, "delta": delta.delta, "percent": delta.percent_change}
        json.dumps({name: to_float(value) for name, value in shown.items()}, allow_nan=False)
        if delta.before is None or delta.after is None:
            assert delta.delta is None and delta.percent_change is None and not delta.regressed
            continue
        old, new = Fraction(delta.before), Fraction(delta.after)
        assert delta.delta is not None
        assert Fraction(delta.delta) == new - old
        assert (delta.percent_change is None) is (old == 0)
        worse_by = old - new if delta.higher_is_better else new - old
        assert delta.regressed is (worse_by > Fraction(threshold) * abs(old))


@MODERATE
@given(metrics, metrics)
def test_metrics_mirror(before: list[Metric], after: list[Metric]) -> None:
    there, back = diff_metrics(before, after), diff_metrics(after, before)

    assert [delta.name for delta in there] == [delta.name for delta in back]
    for one, other in zip(there, back, strict=True):
        assert (one.before, one.after, MIRRORED[one.kind]) == (other.after, other.before, other.kind)
        assert one.delta is None if other.delta is None else one.delta == other.delta.copy_negate()
    assert all(
        delta.kind is DeltaKind.UNCHANGED and not delta.regressed and not delta.delta
        for delta in diff_metrics(before, before)
    )


def applied(value: dict[str, Any], deltas: tuple[KeyDelta, ...]) -> dict[str, Any]:
    made = json.loads(json.dumps(value))
    for delta in deltas:
        place = made
        for name in delta.path[:-1]:
            place = place[name]
        if delta.kind is DeltaKind.REMOVED:
            del place[delta.path[-1]]
        else:
            place[delta.path[-1]] = delta.after
    return made


@MODERATE
@given(objects, objects)
def test_parameters_are_made_of_their_differences(before: dict[str, Any], after: dict[str, Any]) -> None:
    there, back = diff_objects(before, after), diff_objects(after, before)

    assert is_same_json(applied(before, there), after)
    assert [(delta.key, delta.before, delta.after, MIRRORED[delta.kind]) for delta in there] == [
        (delta.key, delta.after, delta.before, delta.kind) for delta in back
    ]
    assert len({delta.key for delta in there}) == len(there)
    assert diff_objects(before, before) == ()


@MODERATE
@given(uses, uses, origins)
def test_training_data_is_accounted_for_and_mirrors(
    before: list[VersionUse], after: list[VersionUse], rows: dict[int, int]
) -> None:
    def rows_of(_: UUID, snapshot_id: int) -> int:
        return rows.get(snapshot_id, snapshot_id)

    there, back = diff_training_data(before, after, rows_of), diff_training_data(after, before, rows_of)

    for side, told in (("before", before), ("after", after)):
        found = [(delta.table_uuid, getattr(delta, side), delta.role) for delta in there if getattr(delta, side)]
        assert sorted(found) == sorted((use.table_uuid, use.snapshot_id, use.role) for use in told)
    assert {(delta.table_uuid, delta.role, delta.before, delta.after, delta.is_changed) for delta in there} == {
        (delta.table_uuid, delta.role, delta.after, delta.before, delta.is_changed) for delta in back
    }
    for delta in there:
        same = delta.before and delta.after and rows_of(TABLES[0], delta.before) == rows_of(TABLES[0], delta.after)
        assert delta.is_changed is not bool(same)
    assert not any(delta.is_changed for delta in diff_training_data(before, before, rows_of))
