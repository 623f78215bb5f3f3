"""Laws of checks: the same passes, and whoever allows more lets more through."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from app.domain.checks.models import check_model
from app.domain.checks.results import CheckKind, CheckSubject
from app.domain.checks.rows import RowRules, check_rows
from app.domain.checks.schemas import SchemaRules, check_schema
from app.domain.metrics_diff import Thresholds
from app.domain.model_diff import diff_models
from app.domain.models import Metric
from app.domain.schema_diff import VersionSchema, diff_schemas
from tests.properties.schema_strategies import schemas
from tests.unit.domain.test_check_rows import difference
from tests.unit.domain.test_model_diff import MODEL

SUBJECT = CheckSubject(kind=CheckKind.SCHEMA, name="gold.t", before="a", after="b")
shares = st.decimals(min_value=0, max_value=1, allow_nan=False)


@st.composite
def row_differences(draw):
    before = draw(st.integers(0, 10_000))
    return difference(before=before, removed=draw(st.integers(0, before)), added=draw(st.integers(0, 10_000)))


@given(row_differences(), shares, shares)
def test_who_lets_more_rows_go_passes_more(diff, one, other):
    low, high = sorted((one, other))

    strict, lenient = (check_rows(diff, SUBJECT, RowRules(max_removed=share)).passed for share in (low, high))

    assert lenient or not strict
    assert check_rows(diff, SUBJECT, RowRules(max_removed=Decimal(1))).passed


@given(row_differences(), shares)
def test_rows_pass_up_to_the_very_share(diff, share):
    passed = check_rows(diff, SUBJECT, RowRules(max_removed=share)).passed

    assert passed == (diff.rows_from == 0 or Fraction(diff.rows_removed, diff.rows_from) <= Fraction(share))


@given(row_differences(), st.integers(0, 20_000), st.integers(0, 20_000))
def test_who_asks_for_fewer_rows_passes_more(diff, one, other):
    low, high = sorted((one, other))

    lenient, strict = (
        check_rows(diff, SUBJECT, RowRules(max_removed=Decimal(1), min_rows=number)).passed for number in (low, high)
    )

    assert lenient or not strict


@given(schemas(), schemas(), st.booleans(), st.data())
def test_who_allows_more_of_a_schema_passes_more(before, after, by_id, data):
    diff = diff_schemas(VersionSchema(schema=before), VersionSchema(schema=after), by_id=by_id)
    known = sorted({field.path for side in (before, after) for field in side.walk()})
    more = data.draw(st.lists(st.sampled_from(known), unique=True) if known else st.just([]))
    fewer = more[: len(more) // 2]

    def failures(allowed, *, strict):
        rules = SchemaRules(allowed=tuple(allowed), fails_on_breaking=strict)
        return {(found.subject, found.message) for found in check_schema(diff, SUBJECT, rules).failures}

    for strict in (False, True):
        assert failures(more, strict=strict) <= failures(fewer, strict=strict)
    assert failures(fewer, strict=False) <= failures(fewer, strict=True)


@given(schemas(), schemas(), st.booleans())
def test_a_strict_check_of_a_schema_passes_what_breaks_nobody_and_nothing_else(before, after, by_id):
    diff = diff_schemas(VersionSchema(schema=before), VersionSchema(schema=after), by_id=by_id)

    assert check_schema(diff, SUBJECT, SchemaRules(fails_on_breaking=True)).passed is not diff.is_breaking


@given(schemas(), st.booleans())
def test_a_schema_passes_against_itself(schema, by_id):
    side = VersionSchema(schema=schema)

    assert check_schema(diff_schemas(side, side, by_id=by_id), SUBJECT, SchemaRules(fails_on_breaking=True)).passed


@given(
    st.dictionaries(st.sampled_from(["auc", "rmse"]), st.tuples(st.floats(), st.floats()), min_size=1), shares, shares
)
def test_who_allows_a_metric_to_lose_more_passes_more(metrics, one, other):
    low, high = sorted((one, other))
    old, new = (
        replace(MODEL, number=side + 1, metrics=tuple(Metric(name=n, value=v[side]) for n, v in metrics.items()))
        for side in (0, 1)
    )

    strict, lenient = (check_model(diff_models(old, new, Thresholds(overall=share))).passed for share in (low, high))

    assert lenient or not strict
