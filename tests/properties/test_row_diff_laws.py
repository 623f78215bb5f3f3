"""Laws of row diffs, on tables that real commits made: what is answered is what plain Python finds of the same rows."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyiceberg.types import NestedField

from app.domain.row_diff_json import row_diff_from_json, row_diff_to_json
from app.domain.row_diffs import KeyFault, Method, RowDiff
from app.domain.version_relation import DiffSide
from app.lake.row_diff import batching, long_values, wide_joining
from tests.properties.made_tables import MadeTable, MadeVersion, compared_fields, counted, shown
from tests.properties.raw_values import canonical_row
from tests.properties.table_steps import Drawn
from tests.unit.lake.local_tables import open_catalog
from tests.unit.lake.row_diff.comparing import compare, version

# `make test-long` sets more; a minute on two cores is what every run may take.
EXAMPLES = int(os.environ.get("STRATIGRAPH_TEST_ROW_DIFF_EXAMPLES", "25"))
SLOW = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[Phase.explicit, Phase.reuse, Phase.generate] if os.environ.get("NOSHRINK") else tuple(Phase),
)

Keys = Sequence[str] | None


@contextmanager
def drawn_table(draw: st.DrawFn, *, plain: bool) -> Iterator[Drawn]:
    with tempfile.TemporaryDirectory() as folder:
        catalog = open_catalog(Path(folder))
        try:
            drawn = Drawn(draw, catalog, plain=plain)
            for _ in range(draw(st.integers(2, 7))):
                drawn.step()
            drawn.append()
            yield drawn
        finally:
            catalog.close()


@contextmanager
def otherwise(draw: st.DrawFn) -> Iterator[None]:
    """As rows that are many, long or wide are compared: streamed, by stand-ins, by digests."""
    with (
        patch.object(batching, "BATCH_ROWS", draw(st.sampled_from([1, 3, 8]))),
        patch.object(batching, "HELD_ROWS", draw(st.sampled_from([1, 8]))),
        patch.object(long_values, "_LONGEST_BYTES", draw(st.sampled_from([0, 8, 128]))),
        patch.object(wide_joining, "MANY_COLUMNS", draw(st.sampled_from([0, 100]))),
    ):
        yield


def fields_to_compare(before: MadeVersion, after: MadeVersion) -> list[NestedField]:
    older, newer = sorted((before, after), key=lambda side: (len(side.seen), side.schema.schema_id))
    return compared_fields(older.schema.fields, newer.schema.fields, older.seen, newer.seen)


def run(made: MadeTable, before: MadeVersion, after: MadeVersion, keys: Keys, sample_size: int = 1000) -> RowDiff:
    return compare(version(made.table, before.snapshot_id), version(made.table, after.snapshot_id), keys, sample_size)


def check(found: RowDiff, before: MadeVersion, after: MadeVersion, fields: list[NestedField]) -> None:
    """That applying what was found to the rows of one gives those of the other, and that it is no more than that."""
    ours, theirs = counted(before.rows, fields), counted(after.rows, fields)
    assert (found.rows_from, found.rows_to) == (len(before.rows), len(after.rows))
    assert not found.sample.is_truncated
    sample = found.sample
    gone = Counter(canonical_row(dict(row), fields) for row in (*sample.removed, *(c.before for c in sample.changed)))
    new = Counter(canonical_row(dict(row), fields) for row in (*sample.added, *(c.after for c in sample.changed)))
    assert gone == ours - theirs
    assert new == theirs - ours
    assert (len(sample.added), len(sample.removed), len(sample.changed)) == (
        found.rows_added,
        found.rows_removed,
        found.rows_changed or 0,
    )
    assert row_diff_from_json(row_diff_to_json(found)) == found


def check_keys(found: RowDiff, before: MadeVersion, after: MadeVersion, fields: list[NestedField]) -> None:
    """Of a keyed answer: rows of one key on both sides are changed, with the cells that differ; others are not."""
    places = [place for name in found.keys for place, field in enumerate(fields) if field.name == name]
    sides = [[tuple(row[place] for place in places) for row in shown(side.rows, fields)] for side in (before, after)]
    if found.key_problem is not None:
        assert found.rows_changed is None
        told = sides[0 if found.key_problem.side is DiffSide.FROM else 1]
        example = canonical_row(dict(found.key_problem.example), [fields[place] for place in places])
        is_double = found.key_problem.fault is KeyFault.NOT_UNIQUE
        assert told.count(example) > 1 if is_double else example in told and "null" in example
        return
    for change in found.sample.changed:
        differing = [
            field.name
            for field in fields
            if canonical_row(dict(change.before), [field]) != canonical_row(dict(change.after), [field])
        ]
        assert sorted(change.columns) == sorted(differing)
        assert differing
        assert not set(differing) & set(found.keys)
        assert change.key == {name: change.after[name] for name in found.keys}
    if all(len(set(some)) == len(some) and not any("null" in key for key in some) for some in sides):
        ours, theirs = (
            dict(zip(some, shown(side.rows, fields), strict=True))
            for some, side in zip(sides, (before, after), strict=True)
        )
        both = ours.keys() & theirs.keys()
        assert found.rows_changed == sum(ours[key] != theirs[key] for key in both)
        assert (found.rows_removed, found.rows_added) == (len(ours) - len(both), len(theirs) - len(both))


def check_mirror(found: RowDiff, mirrored: RowDiff, fields: list[NestedField]) -> None:
    def rows(some: Sequence[object]) -> Counter[tuple[str, ...]]:
        return Counter(canonical_row(dict(row), fields) for row in some)  # type: ignore[call-overload]

    assert (found.rows_added, found.rows_removed, found.rows_changed) == (
        mirrored.rows_removed,
        mirrored.rows_added,
        mirrored.rows_changed,
    )
    assert (found.keys, found.method, found.keys_checked) == (mirrored.keys, mirrored.method, mirrored.keys_checked)
    assert sorted(found.not_compared) == sorted(mirrored.not_compared)
    assert (found.key_problem is None) == (mirrored.key_problem is None)
    assert rows(found.sample.added) == rows(mirrored.sample.removed)
    assert rows(found.sample.removed) == rows(mirrored.sample.added)
    assert rows([c.before for c in found.sample.changed]) == rows([c.after for c in mirrored.sample.changed])


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "nested"])
@given(data=st.data())
@SLOW
def test_a_row_diff_is_what_plain_python_finds(plain: bool, data: st.DataObject) -> None:
    with drawn_table(data.draw, plain=plain) as drawn:
        made = drawn.made
        versions = [*made.versions.values(), made.latest]
        for _ in range(3):
            before, after = data.draw(st.sampled_from(versions)), data.draw(st.sampled_from(versions))
            fields = fields_to_compare(before, after)
            key = next(field.name for field in fields if field.field_id == 1)
            both = before.schema.field_ids & after.schema.field_ids
            names = [field.name for field in fields if field.field_type.is_primitive and field.field_id in both]
            keys = data.draw(st.none() | st.just(()) | st.just((key,)) | st.lists(st.sampled_from(names), unique=True))
            try:
                found = run(made, before, after, keys)
            except Exception as error:
                raise AssertionError(f"{type(error).__name__}: {error}") from error
            check(found, before, after, fields)
            if (found.method is not Method.MULTISET and found.keys) or found.key_problem:
                check_keys(found, before, after, fields)
            check_mirror(found, run(made, after, before, keys), fields)
            size = data.draw(st.integers(0, 5))
            assert found.with_sample(size).sample == run(made, before, after, keys, size).sample
            with otherwise(data.draw):
                streamed = run(made, before, after, keys)
            check(streamed, before, after, fields)
            assert (streamed.rows_changed, streamed.method) == (found.rows_changed, found.method)
