"""What random row filters look like, each with the SQL that says the same, and rows to try them on."""

from __future__ import annotations

import datetime as dt
import math
import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

POOLS: dict[str, list[Any]] = {
    "n": [None, 0, 1, -1, 7, 2**31 - 1, -(2**31)],
    "x": [None, math.nan, math.inf, -math.inf, 0.0, -0.0, 0.1, 1.5, -2.25, 2.0**53],
    # Bounds in manifests are cut to 16 characters.
    "s": [None, "", "a", "ab", "abc", "b", "it's", "a%b", "ü", "x" * 20, "x" * 20 + "y"],
    "price": [None, Decimal("0.00"), Decimal("1.50"), Decimal("-1.50"), Decimal("99999.99")],
    "day": [None, dt.date(2026, 2, 15), dt.date(2026, 2, 16), dt.date(1969, 12, 31)],
}
# As people write them, and the type that DuckDB is to take them for: some are in no row, some in no row's type.
LITERALS: dict[str, tuple[str, list[str]]] = {
    "n": ("HUGEINT", ["0", "1", "-1", "7", "2147483647", "-2147483648", "3000000000", "-3000000000", str(2**63)]),
    "x": ("DOUBLE", ["0", "-0.0", "0.1", "1.5", "-2.25", "2", "9007199254740993", "1e300", "-1e300", "5e-324"]),
    "s": ("VARCHAR", ["", "a", "ab", "abc", "b", "it's", "a%b", "ü", "z", "x" * 16, "x" * 20]),
    "price": ("DECIMAL(9, 2)", ["0", "1.5", "1.50", "-1.500", "99999.99", "100000"]),
    "day": ("DATE", ["2026-02-15", "2026-02-16", "1969-12-31", "1970-01-01"]),
}
NEGATED = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A filter, the same in DuckDB's SQL and its negation; `is_total` where NaN or null make it true or false too."""

    text: str
    sql: str
    negated: str
    columns: frozenset[str]
    is_total: bool = False


def quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def comparison(column: str, operator: str, literal: str) -> Filter:
    kind = LITERALS[column][0]

    def sql(operator: str) -> str:
        compared = f"{column} {operator} CAST({quoted(literal)} AS {kind})"
        # To DuckDB NaN is the greatest number; to us it compares with none, negated or not, but is unequal to all.
        return f"({compared} AND NOT isnan(x))" if column == "x" and operator in (">", ">=") else compared

    is_bare = column in ("n", "x", "price") and "e" not in literal
    return Filter(
        text=f"{column} {operator} {literal if is_bare else quoted(literal)}",
        sql=sql(operator),
        negated=sql(NEGATED[operator]),
        columns=frozenset({column}),
    )


def membership(column: str, literals: list[str], is_in: bool) -> Filter:
    kind = LITERALS[column][0]
    cast = ", ".join(f"CAST({quoted(literal)} AS {kind})" for literal in literals)
    found, missed = f"{column} IN ({cast})", f"{column} NOT IN ({cast})"
    return Filter(
        text=f"{column} {'in' if is_in else 'not in'} ({', '.join(map(quoted, literals))})",
        sql=found if is_in else missed,
        negated=missed if is_in else found,
        columns=frozenset({column}),
    )


def prefix(text: str, is_like: bool) -> Filter:
    found = f"starts_with(s, {quoted(text)})"
    pattern = quoted(text.replace("%", "\\%") + "%")
    return Filter(
        text=f"s {'like' if is_like else 'not like'} {pattern}",
        sql=found if is_like else f"NOT {found}",
        negated=f"NOT {found}" if is_like else found,
        columns=frozenset({"s"}),
    )


def is_null(column: str, is_so: bool) -> Filter:
    null, valid = f"{column} IS NULL", f"{column} IS NOT NULL"
    return Filter(
        text=null if is_so else valid,
        sql=null if is_so else valid,
        negated=valid if is_so else null,
        columns=frozenset({column}),
        is_total=True,
    )


def is_nan(is_so: bool) -> Filter:
    return Filter(
        text="x is nan" if is_so else "x is not nan",
        sql="isnan(x)" if is_so else "NOT isnan(x)",
        negated="NOT isnan(x)" if is_so else "isnan(x)",
        columns=frozenset({"x"}),
    )


def negation(inner: Filter) -> Filter:
    return Filter(text=f"not ({inner.text})", sql=inner.negated, negated=inner.sql, columns=inner.columns)


def combination(left: Filter, right: Filter, word: str) -> Filter:
    other = "or" if word == "and" else "and"
    return Filter(
        text=f"({left.text}) {word} ({right.text})",
        sql=f"(({left.sql}) {word} ({right.sql}))",
        negated=f"(({left.negated}) {other} ({right.negated}))",
        columns=left.columns | right.columns,
    )


columns = st.sampled_from(sorted(LITERALS))
predicates = st.one_of(
    columns.flatmap(
        lambda column: st.builds(
            comparison, st.just(column), st.sampled_from(sorted(NEGATED)), st.sampled_from(LITERALS[column][1])
        )
    ),
    columns.flatmap(
        lambda column: st.builds(
            membership,
            st.just(column),
            st.lists(st.sampled_from(LITERALS[column][1]), min_size=1, max_size=4),
            st.booleans(),
        )
    ),
    st.builds(prefix, st.sampled_from(LITERALS["s"][1]), st.booleans()),
    st.builds(is_null, columns, st.booleans()),
    st.builds(is_nan, st.booleans()),
)
filters = st.recursive(
    predicates,
    lambda inner: st.one_of(
        st.builds(negation, inner), st.builds(combination, inner, inner, st.sampled_from(["and", "or"]))
    ),
    max_leaves=6,
)


def random_rows(count: int, seed: int) -> list[dict[str, Any]]:
    dice = random.Random(seed)
    rows = [{column: dice.choice(pool) for column, pool in POOLS.items()} for _ in range(count)]
    return [{"id": number, **row} for number, row in enumerate(rows, seed * 1_000)]
