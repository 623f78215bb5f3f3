"""What Spark finds that two versions differ in, judged by the engine that is here."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from pyiceberg.schema import Schema
from pyiceberg.types import DoubleType, LongType, NestedField, StringType

from app.domain.row_diffs import Engine, KeyFault, Method, Row, RowDiff
from app.domain.version_relation import DiffSide
from app.errors import BackendUnavailableError
from app.lake.row_diff.planning import TableVersion
from app.lake.row_diff.spark.joining import SparkJoiner
from app.lake.row_diff.spark.running import SparkRowDiffRun
from app.lake.row_diff.stopping import RowDiffStoppedError
from app.lake.spark.session import SparkAddress, SparkStoppedError, spark_session
from tests.integration.spark_connect.awkward_tables import NAN, create, evolve, head
from tests.integration.spark_connect.conftest import SparkLake
from tests.unit.lake.local_tables import append
from tests.unit.lake.row_diff.comparing import compare, plan, version

pytestmark = pytest.mark.spark

PAIRS = Schema(NestedField(1, "k", DoubleType()), NestedField(2, "v", StringType()))


def compare_in_spark(
    lake: SparkLake,
    before: TableVersion,
    after: TableVersion,
    keys: Sequence[str] | None = None,
    sample_size: int = 1000,
) -> RowDiff:
    return SparkRowDiffRun(plan(before, after, keys, sample_size), before, after, lake.address).run()


def texts(rows: Sequence[Row]) -> list[str]:
    """Rows in an order of their own; texts, because NaN is not equal to itself, and -0.0 to 0.0."""
    return sorted(json.dumps(dict(row), sort_keys=True) for row in rows)


def assert_same(found: RowDiff, expected: RowDiff) -> None:
    assert found.engine is Engine.SPARK
    for name in ("rows_from", "rows_to", "rows_added", "rows_removed", "rows_changed", "keys", "not_compared"):
        assert getattr(found, name) == getattr(expected, name), name
    assert texts(found.sample.added) == texts(expected.sample.added)
    assert texts(found.sample.removed) == texts(expected.sample.removed)
    changes = [
        sorted(
            json.dumps([dict(c.key), dict(c.before), dict(c.after), c.columns], sort_keys=True)
            for c in diff.sample.changed
        )
        for diff in (found, expected)
    ]
    assert changes[0] == changes[1]
    assert not found.sample.is_truncated


@pytest.mark.parametrize("keys", [None, ()], ids=["keys", "multiset"])
def test_both_engines_take_the_same_values_for_equal(
    lake: SparkLake, tmp_path: Path, keys: tuple[str, ...] | None
) -> None:
    table, first = create(lake.catalog, lake.name("awkward"), 1)
    before, after = version(table, first), version(table)

    expected = compare(before, after, keys, scratch=tmp_path)
    found = compare_in_spark(lake, before, after, keys)

    assert expected.rows_added >= 8
    assert expected.rows_removed >= 5
    assert (expected.rows_changed is None) == (keys == ())
    assert_same(found, expected)


@pytest.mark.parametrize("keys", [None, ()], ids=["keys", "multiset"])
def test_columns_are_matched_by_field_id_whatever_the_schema_was(
    lake: SparkLake, tmp_path: Path, keys: tuple[str, ...] | None
) -> None:
    table, first = create(lake.catalog, lake.name("evolving"), 3)
    evolve(table, 4)
    before, after = version(table, first), version(table)

    expected = compare(after, before, keys, scratch=tmp_path)
    assert_same(compare_in_spark(lake, after, before, keys), expected)
    assert "flag" in expected.not_compared


def test_zeros_with_a_sign_and_nan_are_keys_of_their_own(lake: SparkLake, tmp_path: Path) -> None:
    table = lake.catalog.create_table(lake.name("pairs"), PAIRS)
    append(table, [{"k": key, "v": "old"} for key in (0.0, -0.0, NAN, 1.5)])
    other = lake.catalog.create_table(lake.name("others"), PAIRS)
    append(other, [{"k": key, "v": "new" if key == 0 else "old"} for key in (0.0, -0.0, NAN)])

    found = compare_in_spark(lake, version(table), version(other), ("k",))

    assert_same(found, compare(version(table), version(other), ("k",), scratch=tmp_path))
    assert (found.method, found.rows_changed, found.rows_removed) == (Method.KEYS, 2, 1)
    assert found.keys_checked == 7
    assert found.files_read == 2
    assert found.bytes_read > 0


def test_the_sample_is_the_first_rows_by_key(lake: SparkLake) -> None:
    table = lake.catalog.create_table(lake.name("sampled"), PAIRS)
    append(table, [{"k": float(key), "v": "old"} for key in (5, 3, 4)])
    other = lake.catalog.create_table(lake.name("sampled_others"), PAIRS)
    append(other, [{"k": key, "v": "new"} for key in (9.0, 7.0, 8.0, -float("inf"), NAN)])

    found = compare_in_spark(lake, version(table), version(other), ("k",), sample_size=2)

    assert [row["k"] for row in found.sample.added] == ["-Infinity", 7.0]
    assert [row["k"] for row in found.sample.removed] == [3.0, 4.0]
    assert found.sample.is_truncated


def test_keys_that_identify_no_rows_are_told_among_all_rows(lake: SparkLake, tmp_path: Path) -> None:
    table = lake.catalog.create_table(lake.name("doubles"), PAIRS)
    append(table, [{"k": 2.0, "v": "b"}, {"k": 1.0, "v": "a"}, {"k": 1.0, "v": "b"}])
    first = head(table)
    # In a file that the other engine reads nothing of.
    append(table, [{"k": 3.0, "v": "c"}])
    second = head(table)
    append(table, [{"k": None, "v": "d"}])

    double = compare_in_spark(lake, version(table, first), version(table, second), ("k",))
    null = compare_in_spark(lake, version(table, second), version(table), ("k",))

    assert double.key_problem is not None
    assert (double.key_problem.fault, double.key_problem.side) == (KeyFault.NOT_UNIQUE, DiffSide.TO)
    assert double.key_problem.example == {"k": 1.0}
    assert (double.method, double.rows_added, double.rows_changed) == (Method.MULTISET, 1, None)
    assert null.key_problem is not None
    assert (null.key_problem.fault, null.key_problem.example) == (KeyFault.HAS_NULL, {"k": None})
    assert [dict(row) for row in null.sample.added] == [{"k": None, "v": "d"}]


def test_duplicates_are_counted(lake: SparkLake, tmp_path: Path) -> None:
    table = lake.catalog.create_table(lake.name("counted"), PAIRS)
    append(table, [{"k": 1.0, "v": "a"}] * 2)
    other = lake.catalog.create_table(lake.name("counted_others"), PAIRS)
    append(other, [{"k": 1.0, "v": "a"}] * 5 + [{"k": None, "v": None}])

    found = compare_in_spark(lake, version(table), version(other))

    assert_same(found, compare(version(table), version(other), scratch=tmp_path))
    assert (found.rows_added, len(found.sample.added)) == (4, 4)


def test_a_comparison_is_stopped(lake: SparkLake) -> None:
    table, first = create(lake.catalog, lake.name("stopped"), 6)
    before, after = version(table, first), version(table)
    run: SparkRowDiffRun
    run = SparkRowDiffRun(plan(before, after), before, after, lake.address, lambda _: run.stop())

    with pytest.raises(RowDiffStoppedError):
        run.run()


def test_what_runs_in_spark_ends_when_it_is_stopped(lake: SparkLake) -> None:
    # Hours of work.
    many = "SELECT id AS c0 FROM range(100000000000)"
    stopped = threading.Event()
    threading.Timer(2, stopped.set).start()
    begun = time.monotonic()

    with pytest.raises(SparkStoppedError), spark_session(lake.url, stopped) as session:
        SparkJoiner(session, Schema(NestedField(1, "id", LongType())), many, many).compare_multisets(1)

    assert time.monotonic() - begun < 30
    with spark_session(lake.url, threading.Event()) as session:
        assert session.sql("SELECT 1").collect()[0][0] == 1


def test_a_spark_without_our_catalog_is_told(lake: SparkLake) -> None:
    table, first = create(lake.catalog, lake.name("lost"), 7)
    before, after = version(table, first), version(table)
    address = SparkAddress(remote=lake.url, catalog="elsewhere")

    with pytest.raises(BackendUnavailableError, match=r"^spark is not available: .*(elsewhere|NOT_FOUND)"):
        SparkRowDiffRun(plan(before, after), before, after, address).run()


def test_a_spark_that_does_not_answer_is_told_soon(lake: SparkLake) -> None:
    table, first = create(lake.catalog, lake.name("away"), 8)
    before, after = version(table, first), version(table)
    address = SparkAddress(remote="sc://127.0.0.1:1/;token=secret", catalog="stratigraph")
    begun = time.monotonic()

    with pytest.raises(BackendUnavailableError) as caught:
        SparkRowDiffRun(plan(before, after), before, after, address).run()

    assert caught.value.fields["backend"] == "spark"
    assert "secret" not in str(caught.value)
    assert time.monotonic() - begun < 20
