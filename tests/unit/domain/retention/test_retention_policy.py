"""The policy and what a table's properties make of it."""

from __future__ import annotations

import pytest

from app.domain.names import DatasetName
from app.domain.retention.iceberg import IcebergSettings
from app.domain.retention.overrides import OVERRIDES, rules_of_table
from app.domain.retention.policy import MAX_KEEP_DAYS, MAX_KEEP_LAST_N, RetentionPolicy
from app.errors import InvalidArgumentError, InvalidTablePropertyError
from tests.unit.domain.retention.tables import kept_of, make_table, plan_of


def test_policy_is_what_is_promised_where_nothing_is_said():
    policy = RetentionPolicy()

    assert (policy.keep_last_n, policy.keep_days, policy.keep_tagged, policy.production_keep_days) == (
        30,
        90,
        True,
        730,
    )
    assert policy.production_namespaces == ("gold", "platinum")


@pytest.mark.parametrize(
    ("case", "field", "argument", "value"),
    [
        ("negative count", "keep_last_n", "keepLastN", -1),
        ("absurd count", "keep_last_n", "keepLastN", MAX_KEEP_LAST_N + 1),
        ("count with a fraction", "keep_last_n", "keepLastN", 1.5),
        ("whole count as a float", "keep_last_n", "keepLastN", 30.0),
        ("count as a text", "keep_last_n", "keepLastN", "30"),
        ("count as a bool", "keep_last_n", "keepLastN", True),
        ("no count", "keep_last_n", "keepLastN", None),
        ("negative days", "keep_days", "keepDays", -90),
        ("0 days", "keep_days", "keepDays", 0),
        ("days that were meant as ms", "keep_days", "keepDays", 7_776_000_000),
        ("one day more than a hundred years", "keep_days", "keepDays", MAX_KEEP_DAYS + 1),
        ("days that are not a number", "keep_days", "keepDays", float("nan")),
        ("0 production days", "production_keep_days", "productionKeepDays", 0),
        ("negative production days", "production_keep_days", "productionKeepDays", -1),
        ("number for a bool", "keep_tagged", "keepTagged", 1),
        ("text for a bool", "keep_tagged", "keepTagged", "false"),
        ("text for a list", "production_namespaces", "productionNamespaces", "gold"),
        ("empty namespace", "production_namespaces", "productionNamespaces", ("gold", "")),
        ("number for a namespace", "production_namespaces", "productionNamespaces", (1,)),
    ],
)
def test_bad_policy_is_refused_by_the_name_of_the_field(case, field, argument, value):
    with pytest.raises(InvalidArgumentError) as caught:
        RetentionPolicy(**{field: value})

    assert caught.value.fields["argument"] == argument
    assert len(caught.value.message) < 200


def test_number_too_long_to_be_shown_is_refused_all_the_same():
    with pytest.raises(InvalidArgumentError, match="keepDays"):
        RetentionPolicy(keep_days=10**5000)


@pytest.mark.parametrize(
    ("case", "fields"),
    [
        ("least", {"keep_last_n": 0, "keep_days": 1, "production_keep_days": 1, "keep_tagged": False}),
        ("most", {"keep_last_n": MAX_KEEP_LAST_N, "keep_days": MAX_KEEP_DAYS, "production_keep_days": MAX_KEEP_DAYS}),
        ("0 days, asked for twice", {"keep_days": 0, "allow_zero_days": True}),
        ("no production namespaces", {"production_namespaces": ()}),
    ],
)
def test_policy_at_its_bounds_is_taken(case, fields):
    policy = RetentionPolicy(**fields)

    assert {name: getattr(policy, name) for name in fields} == fields


def test_0_days_keep_what_was_made_this_very_millisecond_and_heads():
    policy = RetentionPolicy(keep_last_n=0, keep_days=0, allow_zero_days=True)

    assert kept_of(plan_of(make_table({1: 2, 2: 1, 3: 0.5, 4: 0.1}), policy)) == {4}


def test_namespaces_given_as_a_list_are_kept_as_a_value():
    policy = RetentionPolicy(production_namespaces=["silver", "gold"])

    assert policy.production_namespaces == ("silver", "gold")
    assert hash(policy) == hash(RetentionPolicy(production_namespaces=("silver", "gold")))


@pytest.mark.parametrize(
    ("case", "name", "properties", "expected"),
    [
        ("namespace", "gold.orders", {}, True),
        ("level below it", "gold.eu.orders", {}, True),
        ("another one", "silver.orders", {}, False),
        ("property says so", "silver.orders", {"stratigraph.production": "true"}, True),
        ("property says not", "gold.orders", {"stratigraph.production": "false"}, False),
    ],
)
def test_dataset_is_production_by_namespace_or_property(case, name, properties, expected):
    assert RetentionPolicy().is_production(DatasetName.parse(name), properties) is expected


POLICY = RetentionPolicy(keep_last_n=10, keep_days=20, keep_tagged=False, production_keep_days=30)


@pytest.mark.parametrize(
    ("case", "name", "value", "field", "expected"),
    [
        ("more snapshots", "retention.keep-last-n", "11", "keep_last_n", 11),
        ("fewer snapshots", "retention.keep-last-n", "9", "keep_last_n", 10),
        ("more days", "retention.keep-days", " 365 ", "keep_days", 365),
        ("fewer days", "retention.keep-days", "7", "keep_days", 20),
        ("more production days", "retention.production-keep-days", "36500", "production_keep_days", 36_500),
        ("fewer production days", "retention.production-keep-days", "1", "production_keep_days", 30),
        ("keep what is tagged", "retention.keep-tagged", "TRUE", "keep_tagged", True),
        ("keep it not", "retention.keep-tagged", "false", "keep_tagged", False),
    ],
)
def test_of_policy_and_property_whichever_keeps_more_wins(case, name, value, field, expected):
    rules = rules_of_table(POLICY, {name: value}, is_production=False)

    assert getattr(rules.policy, field) == expected
    is_less = str(expected).lower() != value.strip().lower()
    assert rules.without_effect == ((f"{name}={value}",) if is_less else ())


@pytest.mark.parametrize(
    ("case", "value", "is_production", "expected", "without_effect"),
    [
        ("says so", "true", False, True, ()),
        ("says so, as is known", "true", True, True, ()),
        ("says not", "false", False, False, ()),
        ("says not, but it is", "False", True, True, ("retention.production=False",)),
    ],
)
def test_property_can_make_a_table_production_but_not_unmake_it(case, value, is_production, expected, without_effect):
    rules = rules_of_table(POLICY, {"retention.production": value}, is_production=is_production)

    assert rules.is_production is expected
    assert rules.without_effect == without_effect


@pytest.mark.parametrize(
    ("case", "name", "value"),
    [
        ("empty", "retention.keep-last-n", ""),
        ("text", "retention.keep-last-n", "all"),
        ("negative", "retention.keep-last-n", "-1"),
        ("fraction", "retention.keep-days", "1.5"),
        ("exponent", "retention.keep-days", "1e3"),
        ("with its unit", "retention.keep-days", "90 days"),
        ("0 days", "retention.keep-days", "0"),
        ("too many", "retention.keep-days", "36501"),
        ("digits that are not ASCII", "retention.keep-days", "９０"),
        ("underscore", "retention.keep-days", "1_000"),
        ("5,000 digits", "retention.production-keep-days", "9" * 5000),
        ("no bool", "retention.keep-tagged", "yes"),
        ("number for a bool", "retention.production", "1"),
        ("no bool of ours", "stratigraph.production", "yes"),
        ("an empty one of ours", "stratigraph.production", ""),
        ("Iceberg's count, text", "history.expire.min-snapshots-to-keep", "many"),
        ("Iceberg's count beyond 32 bits", "history.expire.min-snapshots-to-keep", str(2**31)),
        ("Iceberg's age beyond 64 bits", "history.expire.max-snapshot-age-ms", str(2**63)),
        ("Iceberg's ref age, text", "history.expire.max-ref-age-ms", "7d"),
    ],
)
def test_bad_property_is_refused_by_its_name_and_value(case, name, value):
    with pytest.raises(InvalidTablePropertyError) as caught:
        rules_of_table(POLICY, {name: value}, is_production=False)

    assert (caught.value.fields["property"], caught.value.fields["value"]) == (name, value[:60])
    assert repr(value[:60]) in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("case", "name", "meant"),
    [
        ("letter short", "retention.keep-day", "retention.keep-days"),
        ("underscores", "retention.keep_last_n", "retention.keep-last-n"),
        ("other words", "retention.production-keepdays", "retention.production-keep-days"),
    ],
)
def test_slip_of_the_pen_is_refused_because_somebody_wants_something_kept(case, name, meant):
    with pytest.raises(InvalidTablePropertyError, match=meant) as caught:
        rules_of_table(POLICY, {name: "3650"}, is_production=False)

    assert caught.value.fields["property"] == name


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"retention.policy.id": "x"},
        {"history.expire.something": "x", "write.format.default": "parquet", "retentions": "7"},
    ],
)
def test_properties_of_others_are_nothing_to_us(properties):
    assert rules_of_table(POLICY, properties, is_production=False) == rules_of_table(POLICY, {}, is_production=False)


def test_iceberg_settings_count_only_where_the_table_sets_them():
    properties = {
        "history.expire.min-snapshots-to-keep": "7",
        "history.expire.max-snapshot-age-ms": str(2**63 - 1),
        "history.expire.max-ref-age-ms": "-1",
    }

    assert rules_of_table(POLICY, {}, is_production=False).iceberg == IcebergSettings()
    assert rules_of_table(POLICY, properties, is_production=False).iceberg == IcebergSettings(
        min_snapshots_to_keep=7, max_snapshot_age_ms=2**63 - 1, max_ref_age_ms=-1
    )


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), (" True ", True), ("false", False), ("FALSE", False), ("no", False)]
)
def test_gc_is_enabled_where_iceberg_reads_true(value, expected):
    assert rules_of_table(POLICY, {"gc.enabled": value}, is_production=False).is_gc_enabled is expected


def test_every_override_is_in_the_table_of_its_module():
    from app.domain.retention import overrides

    assert all(f"`{name}`" in (overrides.__doc__ or "") for name in OVERRIDES)
