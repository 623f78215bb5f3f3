"""Spark leaves out files by what manifests say of their columns: of rewritten ones it must leave out no row."""

from __future__ import annotations

import pytest
from pyiceberg.table import FileScanTask

from app.domain.live_files import LiveFile
from app.lake.compact.commit import RewrittenBin
from tests.integration.spark.conftest import SharedLake
from tests.integration.spark.test_spark_compact_commit import commit, load, look
from tests.unit.lake.compact.rewriting import rewrite

# What manifests say does not depend on the catalog.
pytestmark = [pytest.mark.spark, pytest.mark.parametrize("lake", ["sql"], indirect=True)]

COLUMNS = (
    "id BIGINT, small INT, x DOUBLE, y FLOAT, amount DECIMAL(20, 3), text STRING, bytes BINARY, day DATE, "
    "at TIMESTAMP, local_at TIMESTAMP_NTZ, flag BOOLEAN, pair STRUCT<a: INT, b: STRING>"
)
# Each is one file; `id` is that of its row.
ROWS = (
    (
        "0, 0, double('NaN'), float('NaN'), 0, '', X'', DATE'1970-01-01', TIMESTAMP'1970-01-01 00:00:00Z', "
        "TIMESTAMP_NTZ'1970-01-01 00:00:00', false, named_struct('a', 0, 'b', 'x')"
    ),
    (
        "1, 2147483647, double('Infinity'), float('1.5'), 99999999999999999.999, concat(repeat('x', 15), 'ÿz'), "
        "X'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF', DATE'9999-12-31', TIMESTAMP'9999-12-31 23:59:59.999999Z', "
        "TIMESTAMP_NTZ'9999-12-31 23:59:59.999999', true, named_struct('a', 7, 'b', cast(null as string))"
    ),
    (
        "2, -2147483648, double('-Infinity'), float('-0.0'), -99999999999999999.999, repeat('z', 40), X'00', "
        "DATE'0001-01-01', TIMESTAMP'0001-01-01 00:00:00Z', TIMESTAMP_NTZ'0001-01-01 00:00:00', null, null"
    ),
    "3, null, double('-0.0'), float('Infinity'), null, null, null, null, null, null, null, null",
    (
        "4, 7, double('1e308'), null, 0.001, repeat('\U0010ffff', 17), X'FE', DATE'2026-01-01', "
        "TIMESTAMP'2026-01-01 00:00:00Z', TIMESTAMP_NTZ'2026-01-01 00:00:00', true, named_struct('a', -7, 'b', 'y')"
    ),
    (
        "5, 7, null, float('NaN'), -0.001, repeat('a', 5000), X'FE00', DATE'2026-01-02', "
        "TIMESTAMP'2026-01-01 00:00:00.000001Z', TIMESTAMP_NTZ'2026-01-01 00:00:00.000001', false, "
        "named_struct('a', null, 'b', '')"
    ),
)
LITERALS = {
    "id": ("0", "3", "5", "6"),
    "small": ("0", "7", "2147483647", "-2147483648"),
    "x": ("double('NaN')", "double('Infinity')", "double('-Infinity')", "double('0.0')", "double('1e308')"),
    "y": ("float('NaN')", "float('Infinity')", "float('0.0')", "float('1.5')"),
    "amount": ("99999999999999999.999", "-99999999999999999.999", "0.001", "0"),
    "text": ("''", "concat(repeat('x', 15), 'ÿz')", "repeat('z', 40)", "repeat('\U0010ffff', 17)", "repeat('a', 5000)"),
    "bytes": ("X''", "X'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF'", "X'FE'", "X'FE00'"),
    "day": ("DATE'9999-12-31'", "DATE'0001-01-01'", "DATE'2026-01-01'"),
    "at": ("TIMESTAMP'9999-12-31 23:59:59.999999Z'", "TIMESTAMP'2026-01-01 00:00:00Z'"),
    "local_at": ("TIMESTAMP_NTZ'0001-01-01 00:00:00'", "TIMESTAMP_NTZ'2026-01-01 00:00:00.000001'"),
    "flag": ("true", "false"),
    "pair.a": ("0", "7", "-7"),
}
AT_ONCE = 40


def predicates() -> list[str]:
    equal = [f"{column} = {literal}" for column, literals in LITERALS.items() for literal in literals]
    compared = [
        # To Spark NaN is greater than all, of which Iceberg's library knows nothing.
        f"{column} {operator} {literal}" + (f" AND NOT isnan({column})" if column in "xy" else "")
        for column, literals in LITERALS.items()
        for literal in literals[:2]
        for operator in ("<", ">")
    ]
    nulls = [f"{column} IS NULL" for column in (*LITERALS, "pair.b")]
    return [*equal, *compared, *nulls, "text LIKE 'zzz%'", "isnan(x)", "NOT isnan(x)", "x IN (double('NaN'), 7)"]


def answers(lake: SharedLake, source: str, asked: list[str]) -> dict[str, list[int]]:
    """The rows of each answer, by their ids; each is planned by itself, and all are one statement."""
    parts = (f"SELECT {place} AS place, id FROM {source} WHERE {predicate}" for place, predicate in enumerate(asked))
    found: dict[str, list[int]] = {predicate: [] for predicate in asked}
    for place, row_id in lake.sql(" UNION ALL ".join(parts)):
        found[asked[place]].append(row_id)
    return {predicate: sorted(ids) for predicate, ids in found.items()}


def test_no_row_is_left_out_of_any_answer(lake: SharedLake) -> None:
    # Given a file for each row, which are rewritten to a few files of two rows
    lake.sql(f"CREATE TABLE {{t}} ({COLUMNS}) USING iceberg TBLPROPERTIES ('format-version'='2')")
    for row in ROWS:
        lake.sql(f"INSERT INTO {{t}} VALUES ({row})")
    # The same in memory, of which nothing is known beforehand.
    values = ", ".join(f"({row})" for row in ROWS)
    lake.spark.createDataFrame([], COLUMNS).createOrReplaceTempView("shape")
    lake.spark.sql(f"SELECT * FROM shape UNION ALL SELECT * FROM VALUES {values}").createOrReplaceTempView("plain")
    seen = look(lake)
    tasks = sorted(seen.files.items(), key=lambda pair: pair[1].file.lower_bounds[1])
    bins = []
    for number in range(0, len(tasks), 2):
        part: dict[LiveFile, FileScanTask] = dict(tasks[number : number + 2])
        bins.append(RewrittenBin(removed=part, added=rewrite(seen.table.handle, list(part.values()))))

    # When they are committed
    version = f"{{t}} VERSION AS OF {seen.base.snapshot_id}"
    assert commit(lake, seen, bins).overtaken == ()
    lake.sql("REFRESH TABLE {t}")

    # Then every question has the answer that rows in memory have
    asked = predicates()
    differing: list[str] = []
    for first in range(0, len(asked), AT_ONCE):
        some = asked[first : first + AT_ONCE]
        found, plain = answers(lake, "{t}", some), answers(lake, "plain", some)
        differing += [each for each in some if found[each] != plain[each]]
    # But for zeros of the other sign: Iceberg's library leaves out such files, also of those that Spark has written.
    assert differing == ["x = double('0.0')", "y = float('0.0')"]
    assert answers(lake, version, differing) == answers(lake, "{t}", differing)
    # And files are left out at all
    handle = load(lake).handle
    assert len(list(handle.scan().plan_files())) == 3
    assert len(list(handle.scan("small = 2147483647").plan_files())) == 1
    assert len(list(handle.scan("text = ''").plan_files())) == 1
