"""Which types Iceberg promotes to which."""

import pytest

from app.domain.type_promotion import TypeKind, is_promotion, kind_of


@pytest.mark.parametrize(
    ("before", "after", "since"),
    [
        ("int", "long", 1),
        ("float", "double", 1),
        ("decimal(9, 2)", "decimal(10, 2)", 1),
        ("decimal(9,2)", "decimal(38, 2)", 1),
        ("date", "timestamp", 3),
        ("date", "timestamp_ns", 3),
        ("unknown", "string", 3),
        ("unknown", "list<int>", 3),
    ],
)
def test_promotions(before: str, after: str, since: int) -> None:
    assert [version for version in (1, 2, 3) if is_promotion(before, after, version)] == list(range(since, 4))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("int", "int"),
        ("long", "int"),
        ("int", "double"),
        ("int", "string"),
        ("double", "float"),
        ("decimal(9, 2)", "decimal(9, 2)"),
        ("decimal(9, 2)", "decimal(8, 2)"),
        ("decimal(9, 2)", "decimal(10, 3)"),
        ("date", "timestamptz"),
        ("timestamp", "timestamptz"),
        ("string", "binary"),
        ("fixed[4]", "fixed[8]"),
        ("int", "struct<a: long>"),
        ("decimal(x)", "decimal(y)"),
    ],
)
def test_what_is_no_promotion(before: str, after: str) -> None:
    assert not any(is_promotion(before, after, version) for version in (1, 2, 3))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("struct<a: list<int>>", TypeKind.STRUCT),
        ("struct<>", TypeKind.STRUCT),
        ("list<map<int, int>>", TypeKind.LIST),
        ("map<string, struct<a: int>>", TypeKind.MAP),
        ("decimal(9, 2)", TypeKind.PRIMITIVE),
        ("string", TypeKind.PRIMITIVE),
        ("variant", TypeKind.PRIMITIVE),
    ],
)
def test_kinds(text: str, kind: TypeKind) -> None:
    assert kind_of(text) is kind
