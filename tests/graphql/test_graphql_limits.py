"""Limits on queries: they hold, they cost little, and the validation cache works beside them."""

from __future__ import annotations

import pytest
from graphql import ValidationRule, parse, validate
from graphql import build_schema as build_graphql_schema

from app.graphql.limits import limit_extensions, query_size_rule
from app.graphql.schema import build_schema
from app.settings import Settings

SCHEMA = build_graphql_schema("type Query { q: Query n: Int }")


def _messages(rule: type[ValidationRule], document: str) -> list[str]:
    return [error.message for error in validate(SCHEMA, parse(document), [rule])]


@pytest.mark.parametrize(
    ("document", "refused"),
    [
        ("{ q { q { n } } }", False),
        ("{ q { q { q { n } } } }", True),
        ("{ q { ...F } } fragment F on Query { q { n } }", False),
        ("{ q { ...F } } fragment F on Query { q { q { n } } }", True),
        ("{ q { ... on Query { q { n } } } }", False),
        ("{ q { ... on Query { q { q { n } } } } }", True),
        ("{ __schema { types { fields { type { ofType { ofType { name } } } } } } }", False),
        ("{ a: n b: n }", False),
        ("{ a: n b: n c: n }", True),
        ("{ ...F ...G } fragment F on Query { a: n b: n } fragment G on Query { ...F }", True),
        ("query A { n } query B { q { q { q { n } } } }", True),
        ("{ ...Unknown }", False),
        ("{ ...F } fragment F on Query { ...F }", False),
    ],
)
def test_depth_and_aliases_are_counted_through_fragments(document: str, refused: bool) -> None:
    messages = _messages(query_size_rule(max_depth=3, max_aliases=2), document)
    assert bool(messages) == refused, messages


def test_fragments_that_use_fragments_twice_cost_no_exponential_time() -> None:
    count = 60
    fragments = "".join(
        f"fragment F{n} on Query {{ q {{ ...F{n + 1} }} x: q {{ ...F{n + 1} }} }} " for n in range(count)
    )
    document = f"{{ ...F0 }} {fragments} fragment F{count} on Query {{ n }}"
    depth, aliases = _messages(query_size_rule(max_depth=15, max_aliases=50), document)
    assert str(count + 1) in depth
    assert str(2**count - 1) in aliases


@pytest.mark.anyio
async def test_schema_refuses_what_is_over_the_limits_of_the_settings() -> None:
    schema = build_schema(Settings(query_max_depth=3, query_max_tokens=100, query_max_aliases=2))
    for document in (
        "{ datasets { nodes { current { id } } } }",
        "{ a: __typename b: __typename c: __typename }",
        "{ " + "__typename " * 100 + "}",
    ):
        result = await schema.execute(document)
        assert result.data is None
        assert result.errors and result.errors[0].extensions
        assert result.errors[0].extensions["category"] == "INVALID"
    assert (await schema.execute("{ a: __typename }")).data == {"a": "Query"}


@pytest.mark.anyio
async def test_syntax_and_unknown_names_are_told_as_they_are() -> None:
    schema = build_schema(Settings())
    for document, code, word in (
        ("{ ", "GRAPHQL_PARSE_FAILED", "Syntax Error"),
        ("{" * 3000, "GRAPHQL_PARSE_FAILED", "Syntax Error"),
        ("{ q " * 1000 + "}" * 1000, "GRAPHQL_PARSE_FAILED", "nested too deeply"),
        ("{ datsets { totalCount } }", "GRAPHQL_VALIDATION_FAILED", "datasets"),
        ("{ ...X }", "GRAPHQL_VALIDATION_FAILED", "X"),
        ("subscription { x }", "GRAPHQL_VALIDATION_FAILED", "subscription"),
    ):
        result = await schema.execute(document)
        assert result.errors and result.errors[0].extensions, document[:20]
        assert result.errors[0].extensions["code"] == code, (document[:20], result.errors[0])
        assert word in result.errors[0].message


def test_rules_are_the_same_classes_for_every_request() -> None:
    # The validation cache knows rules by identity: a class made per request would make it useless.
    makers = limit_extensions(Settings())
    first, second = ([maker() for maker in makers] for _ in range(2))
    assert [getattr(e, "validation_rules", None) for e in first] == [
        getattr(e, "validation_rules", None) for e in second
    ]


@pytest.mark.anyio
async def test_a_document_is_parsed_and_validated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    schema = build_schema(Settings(query_max_depth=14))  # limits of its own, so that no other test warmed the cache
    import app.graphql.limits as limits

    real = limits._Measure.selections

    def counting(self: limits._Measure, selection_set: object) -> object:
        checked.append("measured")
        return real(self, selection_set)  # type: ignore[arg-type]

    monkeypatch.setattr(limits._Measure, "selections", counting)
    for _ in range(3):
        assert (await schema.execute("{ once: __typename }")).data == {"once": "Query"}
    assert checked.count("measured") == 2  # the operation's selections, and those of its one field
