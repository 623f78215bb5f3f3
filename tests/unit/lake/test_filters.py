"""What a filter and a list of columns become, and what is refused with which words."""

from decimal import Decimal

import pytest
from pyiceberg.expressions import (
    AlwaysFalse,
    AlwaysTrue,
    And,
    BooleanExpression,
    EqualTo,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    IsNaN,
    IsNull,
    LessThan,
    LessThanOrEqual,
    NotEqualTo,
    NotIn,
    NotNaN,
    NotNull,
    NotStartsWith,
    Or,
    StartsWith,
)
from pyiceberg.expressions.literals import DecimalLiteral, DoubleLiteral, LongLiteral, StringLiteral
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    UUIDType,
)

from app.errors import InvalidArgumentError, InvalidFilterError, UnknownColumnError
from app.lake.filters import (
    MAX_COLUMNS,
    MAX_FILTER_CHARS,
    MAX_FILTER_NESTING,
    parse_filter,
    project,
    top_level_columns,
)

SCHEMA = Schema(
    NestedField(1, "i", IntegerType()),
    NestedField(2, "l", LongType()),
    NestedField(3, "f", FloatType()),
    NestedField(4, "d", DoubleType()),
    NestedField(5, "price", DecimalType(9, 2)),
    NestedField(6, "s", StringType()),
    NestedField(7, "b", BooleanType()),
    NestedField(8, "day", DateType()),
    NestedField(9, "at", TimestamptzType()),
    NestedField(10, "wall", TimestampType()),
    NestedField(11, "u", UUIDType()),
    NestedField(12, "raw", BinaryType()),
    NestedField(
        13, "st", StructType(NestedField(14, "a", IntegerType()), NestedField(15, "in", StructType(), required=False))
    ),
    NestedField(16, "li", ListType(17, IntegerType())),
    NestedField(18, "m", MapType(19, StringType(), 20, StructType(NestedField(21, "k", LongType())))),
    NestedField(22, "two words", StringType()),
)


def valid(expression: BooleanExpression, column: str) -> BooleanExpression:
    return And(expression, NotNull(column))


PARSED = {
    "nothing": (None, AlwaysTrue()),
    "empty": ("", AlwaysTrue()),
    "spaces": (" \n\t ", AlwaysTrue()),
    "true": ("true", AlwaysTrue()),
    "false": ("FALSE", AlwaysFalse()),
    "equal": ("i = 1", valid(EqualTo("i", LongLiteral(1)), "i")),
    "literal first": ("1 < i", valid(GreaterThan("i", LongLiteral(1)), "i")),
    "whole number with decimal places": ("i = 1.00", valid(EqualTo("i", LongLiteral(1)), "i")),
    "whole number in quotes": ("i = '1e5'", valid(EqualTo("i", LongLiteral(100_000)), "i")),
    "largest long": ("l = 9223372036854775807", valid(EqualTo("l", LongLiteral(2**63 - 1)), "l")),
    "beyond the largest long": ("l < 9223372036854775808", valid(LessThan("l", LongLiteral(2**63)), "l")),
    "the nearest double": ("d = 9007199254740993", valid(EqualTo("d", DoubleLiteral(2.0**53)), "d")),
    "exponent in a double": ("d = '1e-7'", valid(EqualTo("d", DoubleLiteral(1e-7)), "d")),
    "largest float": ("f = '3.4028234663852886e38'", valid(EqualTo("f", DoubleLiteral(3.4028234663852886e38)), "f")),
    "decimal is brought to its scale": (
        "price = 1.5",
        valid(EqualTo("price", DecimalLiteral(Decimal("1.50"))), "price"),
    ),
    "decimal with needless zeros": ("price = 1.500", valid(EqualTo("price", DecimalLiteral(Decimal("1.50"))), "price")),
    "largest decimal": ("price = 9999999.99", valid(EqualTo("price", DecimalLiteral(Decimal("9999999.99"))), "price")),
    "text with a quote": ("s = 'it''s'", valid(EqualTo("s", StringLiteral("it's")), "s")),
    "text with parentheses": (
        "s = '" + "(" * 200 + "'",
        valid(EqualTo("s", StringLiteral("(" * 200)), "s"),
    ),
    "name in quotes": ('"two words" is null', IsNull("two words")),
    "part of a struct": ("st.a = 1", valid(EqualTo("st.a", LongLiteral(1)), "st.a")),
    "null test of a list": ("li is not null", NotNull("li")),
    "prefix": ("s like 'x%'", valid(StartsWith("s", StringLiteral("x")), "s")),
    "no prefix": ("s not like 'x%'", valid(NotStartsWith("s", StringLiteral("x")), "s")),
    "nan": ("d is nan", valid(IsNaN("d"), "d")),
    "not nan": ("f is not nan", valid(NotNaN("f"), "f")),
    "between": (
        "i between 1 and 2",
        And(
            valid(GreaterThanOrEqual("i", LongLiteral(1)), "i"),
            valid(LessThanOrEqual("i", LongLiteral(2)), "i"),
        ),
    ),
    "negated comparison": ("not i < 1", valid(GreaterThanOrEqual("i", LongLiteral(1)), "i")),
    "negated twice": ("not not i = 1", valid(EqualTo("i", LongLiteral(1)), "i")),
    "negated and": (
        "not (i = 1 and s is null)",
        Or(valid(NotEqualTo("i", LongLiteral(1)), "i"), NotNull("s")),
    ),
    "set": ("i in (1, 2)", valid(In("i", [LongLiteral(1), LongLiteral(2)]), "i")),
    "negated set": ("not i in (1, 2)", valid(NotIn("i", [LongLiteral(1), LongLiteral(2)]), "i")),
    "set of one": ("i in (1, 1)", valid(EqualTo("i", LongLiteral(1)), "i")),
    "set partly out of range": ("i in (1, 3000000000)", valid(EqualTo("i", LongLiteral(1)), "i")),
    "set out of range": ("i in (3000000000, 3000000001)", AlwaysFalse()),
    "negated set out of range": ("i not in (3000000000, 3000000001)", NotNull("i")),
    "set with a zero of doubles": (
        "d in (0.0, 1.5)",
        valid(Or(In("d", [DoubleLiteral(0.0), DoubleLiteral(1.5)]), EqualTo("d", DoubleLiteral(0.0))), "d"),
    ),
}


@pytest.mark.parametrize("case", PARSED)
def test_filter_compares_exactly_and_knows_null(case: str) -> None:
    text, expected = PARSED[case]

    assert parse_filter(text, SCHEMA) == expected


REFUSED = {
    "fraction of an int": ("i = 1.5", "1.5 is no whole number, as i has"),
    "fraction between ints": ("l between 1.5 and 2", "1.5 is no whole number, as l has"),
    "fraction in a set": ("i in (1.0, 2.5)", "2.5 is no whole number, as i has"),
    "decimal places": ("price = 1.005", "1.005 has more decimal places than price, which is a decimal(9, 2)"),
    "decimal range": ("price < 10000000", "10000000 is out of the range of price, which is a decimal(9, 2)"),
    "decimal range below": ("price > '-1e30'", "is out of the range of price, which is a decimal(9, 2)"),
    "double range": ("d < '1e309'", "1E+309 is out of the range of double"),
    "float range": ("f < '1e39'", "1E+39 is out of the range of float"),
    "float range in a set": ("f in ('-1e39', '1')", "-1E+39 is out of the range of float"),
    "any range": ("i = '1e99999999'", "1e99999999 is out of range"),
    "thousands of digits": ("i = '" + "9" * 5000 + "'", "9" * 40 + " is out of range"),
    "nan as a value": ("d = 'NaN'", "NaN is out of range"),
    "infinity as a value": ("d < 'inf'", "inf is out of range"),
    "text in a number": ("i = 'a'", "'a' is no number, as i has"),
    "boolean in a number": ("i = true", "True is no number, as i has"),
    "number in a text": ("s = 5", "s is of type string: write the value in single quotes"),
    "number in a date": ("day > 5", "day is of type date: write the value in single quotes"),
    "number in a boolean": ("b = 1", "boolean"),
    "no date": ("day = '2026-02-30'", "2026-02-30"),
    "instant without a zone": ("at > '2026-01-01T00:00:00'", "zone"),
    "zone where there is none": ("wall > '2026-01-01T00:00:00+00:00'", "ne offset provided, but not expected"),
    "unknown column": ("q = 1", "q"),
    "other case": ("I = 1", "I"),
    "unknown part": ("st.q = 1", "st.q"),
    "like on a number": ("i like '5%'", "i is of type int; like compares texts"),
    "not like on a date": ("day not like '2026%'", "day is of type date; like compares texts"),
    "wildcard elsewhere": ("s like '%x'", "only supports wildcard, '%', at the end"),
    "nan test of an int": ("i is nan", "i is of type int, which has no NaN"),
    "nan test of a decimal": ("price is not nan", "price is of type decimal(9, 2), which has no NaN"),
    "uuid in order": ("u < '00000000-0000-0000-0000-000000000001'", "u is a uuid; compare it by = and != and in"),
    "no uuid": ("u in ('x', 'y')", "hexadecimal UUID"),
    "bytes": ("raw = 'abc'", "binary"),
    "struct": ("st = 1", "only its parts can be compared"),
    "map": ("m in ('a', 'b')", "only its parts can be compared"),
    "element of a list": ("li.element = 1", "17"),
    "key of a map": ("m.key = 'a'", "19"),
    "true beside": ("true and i = 1", "true and false stand alone or beside = only"),
    "garbage": ("garbage !!", "it does not parse at character 1"),
    "more after the end": ("i = 1; drop table", "it does not parse at character 6"),
    "half": ("i = 1 or", "it does not parse at character 9"),
    "open parenthesis": ("(i = 1", "it does not parse"),
    "empty set": ("i in ()", "it does not parse"),
    "null as a value": ("i = null", "it does not parse"),
    "column beside column": ("i = l", "it does not parse"),
    "control characters": ("i = \x00", "it does not parse"),
    "too long": ("i = 1" + " " * 9_996, "it has 10001 characters, at most 10000 are read"),
    "nested too deep": ("(" * 101 + "i = 1" + ")" * 101, "nested more than 100 deep"),
    "lone surrogate": ("s = '\ud800'", "it has a lone surrogate"),
    "lone surrogate in a name": ('"\udfff" = 1', "it has a lone surrogate"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_compared_is_refused_and_says_why(case: str) -> None:
    text, reason = REFUSED[case]

    with pytest.raises(InvalidFilterError) as refused:
        parse_filter(text, SCHEMA)

    assert reason in refused.value.fields["reason"]
    assert "\n" not in refused.value.fields["reason"]
    # Both must fit into a response, whatever the filter was.
    assert len(refused.value.message.encode()) < 2_000


@pytest.mark.parametrize(
    ("case", "text"),
    [
        ("as long as is allowed", "i = 1" + " " * (MAX_FILTER_CHARS - 5)),
        ("as deep as is allowed", "(" * MAX_FILTER_NESTING + "i = 1" + ")" * MAX_FILTER_NESTING),
        ("negated thousands of times", "not " * 2_000 + "i = 1"),
        ("hundreds of alternatives", " or ".join(f"i = {number}" for number in range(700))),
        ("thousands of values", f"i in ({', '.join(str(number) for number in range(1_500))})"),
    ],
)
def test_large_filters_are_parsed(case: str, text: str) -> None:
    assert parse_filter(text, SCHEMA) != AlwaysTrue(), case


@pytest.mark.parametrize(
    ("case", "columns", "expected"),
    [
        ("all", None, SCHEMA.column_names),
        ("in the order of the schema", ["s", "i"], ["i", "s"]),
        ("named twice", ["i", "i"], ["i"]),
        ("part of a struct", ["st.a"], ["st", "st.a"]),
        ("struct and part", ["st", "st.a"], ["st", "st.a", "st.in"]),
        ("element of a list", ["li.element"], ["li", "li.element"]),
        ("value of a map, with its key", ["m.value.k"], ["m", "m.value", "m.value.k", "m.key"]),
    ],
)
def test_project_cuts_the_schema_down(case: str, columns: list[str] | None, expected: list[str]) -> None:
    projected = project(columns, SCHEMA, "sales.orders")

    names = {projected.find_column_name(field_id) for field_id in projected.field_ids}
    if columns is None:
        assert projected is SCHEMA, case
    else:
        assert names == set(expected), case
        assert [field.name for field in projected.fields] == [name for name in expected if "." not in name]


@pytest.mark.parametrize(
    ("case", "column", "suggestions"),
    [
        ("misspelt", "prise", ["price"]),
        ("other case", "PRICE", []),
        ("part of a struct", "st.b", ["st.a"]),
        ("part of a primitive", "i.a", []),
        ("like nothing", "zzzzzz", []),
        ("empty", "", []),
    ],
)
def test_project_refuses_unknown_columns_with_the_closest(case: str, column: str, suggestions: list[str]) -> None:
    with pytest.raises(UnknownColumnError) as refused:
        project(["i", column], SCHEMA, "sales.orders")

    assert refused.value.fields["dataset"] == "sales.orders"
    assert refused.value.fields["column"] == column
    assert set(suggestions) <= set(refused.value.fields["suggestions"]), case


@pytest.mark.parametrize("columns", [[], ["i"] * (MAX_COLUMNS + 1)], ids=["none", "too many"])
def test_project_refuses_no_columns_and_too_many(columns: list[str]) -> None:
    with pytest.raises(InvalidArgumentError, match="1 to 1000"):
        project(columns, SCHEMA, "sales.orders")


@pytest.mark.parametrize(
    ("case", "field_ids", "expected"),
    [
        ("none", [], []),
        ("columns", [6, 1], ["i", "s"]),
        ("parts at any depth", [14, 17, 21], ["st", "li", "m"]),
        ("column and its part", [13, 14], ["st"]),
        ("of another schema", [99], []),
    ],
)
def test_top_level_columns_are_those_that_fields_are_in(case: str, field_ids: list[int], expected: list[str]) -> None:
    assert top_level_columns(SCHEMA, field_ids) == expected, case
