"""The check of a schema: what stops a deploy, what is told alone, and what may be let through."""

from __future__ import annotations

import pytest

from app.domain.checks.results import CheckKind, CheckResult, CheckSubject
from app.domain.checks.schemas import SchemaRules, check_schema
from app.domain.schema_diff import VersionSchema, diff_schemas
from app.domain.schemas import SchemaField, SchemaVersion
from app.errors import UnknownColumnError
from tests.strategies import make_field, make_schema

SUBJECT = CheckSubject(kind=CheckKind.SCHEMA, name="gold.t", before="a", after="b")
ID = make_field(1, "id", "int", required=True)
NAME = make_field(2, "name", "string")
ZIP = make_field(4, "address.zip", "long")
ADDRESS = make_field(3, "address", "struct<zip: long>", ZIP)
BASE = make_schema(0, ID, NAME, ADDRESS, identifiers=("id",))


def checked(after: SchemaVersion, rules: SchemaRules | None = None) -> CheckResult:
    old, new = (VersionSchema(schema=schema) for schema in (BASE, after))
    return check_schema(diff_schemas(old, new), SUBJECT, rules)


def schema(*fields: SchemaField, identifiers: tuple[str, ...] = ("id",)) -> SchemaVersion:
    return make_schema(1, *fields, identifiers=identifiers)


def test_what_is_the_same_passes_and_says_what_was_looked_at():
    result = checked(BASE)

    assert (result.passed, result.findings, result.checked) == (True, (), 4)
    assert result.name == "schema of gold.t from a to b"


@pytest.mark.parametrize(
    ("case", "after"),
    [
        ("added", (ID, NAME, ADDRESS, make_field(9, "new", "string"))),
        ("promoted", (make_field(1, "id", "long", required=True), NAME, ADDRESS)),
        ("moved", (ADDRESS, NAME, ID)),
    ],
)
def test_what_breaks_nobody_passes_however_strict(case: str, after: tuple[SchemaField, ...]):
    for strict in (False, True):
        assert checked(schema(*after), SchemaRules(fails_on_breaking=strict)).findings == (), case


@pytest.mark.parametrize(
    ("after", "subject", "message"),
    [
        ((ID, ADDRESS), "name", "name is removed (breaks readers and writers)"),
        (
            (ID, make_field(2, "label", "string"), ADDRESS),
            "label",
            "name is renamed to label (breaks readers and writers)",
        ),
        (
            (ID, make_field(7, "name", "string"), ADDRESS),
            "name",
            (
                "name is another field of that name (2, now 7): what was written to the one is not read from the other "
                "(breaks readers)"
            ),
        ),
        (
            (ID, NAME, make_field(3, "address", "struct<zip: int>", make_field(4, "address.zip", "int"))),
            "address.zip",
            "address.zip goes from long to int, which is no promotion that Iceberg allows (breaks readers and writers)",
        ),
        (
            (ID, NAME, make_field(3, "address", "struct<city: string>", make_field(5, "address.city", "string"))),
            "address.zip",
            "address.zip is removed (breaks readers and writers)",
        ),
    ],
)
def test_what_was_read_and_is_lost_fails(after: tuple[SchemaField, ...], subject: str, message: str):
    result = checked(schema(*after))

    assert not result.passed
    assert [(finding.subject, finding.message) for finding in result.failures] == [(subject, message)]


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (schema(ID, make_field(2, "name", "string", required=True), ADDRESS), "may not be null any more"),
        (schema(ID, NAME, ADDRESS, make_field(9, "new", "string", required=True)), "is added as required"),
        (schema(ID, NAME, ADDRESS, identifiers=()), "rows are identified by nothing"),
    ],
)
def test_what_else_breaks_is_told_and_fails_where_that_is_asked_for(after: SchemaVersion, message: str):
    lenient, strict = checked(after), checked(after, SchemaRules(fails_on_breaking=True))

    assert (lenient.passed, strict.passed) == (True, False)
    assert message in lenient.findings[0].message
    assert [finding.message for finding in strict.failures] == [finding.message for finding in lenient.findings]


@pytest.mark.parametrize("allowed", ["name", "label"])
def test_a_field_is_let_through_by_either_of_its_names_and_still_told(allowed: str):
    after = schema(ID, make_field(2, "label", "string"))

    result = checked(after, SchemaRules(allowed=(allowed,)))

    assert [finding.subject for finding in result.failures] == ["address"]
    (told,) = (finding for finding in result.findings if not finding.is_failure)
    assert told.message == "name is renamed to label (breaks readers and writers), which is allowed"


def test_a_field_is_let_through_with_what_is_nested_in_it():
    other = make_field(3, "address", "struct<zip: int>", make_field(4, "address.zip", "int"))
    lookalike = make_field(8, "address.x", "int")

    assert checked(schema(ID, NAME, other), SchemaRules(allowed=("address",))).passed
    assert not checked(schema(ID, NAME, other), SchemaRules(allowed=("name",))).passed
    # a column whose name has a dot is nested in nothing
    old, new = (VersionSchema(schema=found) for found in (schema(ID, ADDRESS, lookalike), schema(ID, ADDRESS)))
    assert not check_schema(diff_schemas(old, new), SUBJECT, SchemaRules(allowed=("address",))).passed


@pytest.mark.parametrize("name", ["nane", "", "address.", "zip", "x" * 10_000])
def test_what_neither_version_has_cannot_be_let_through(name: str):
    with pytest.raises(UnknownColumnError) as refused:
        checked(BASE, SchemaRules(allowed=("id", name)))

    assert refused.value.fields["column"] == name[:120]
    if name == "nane":
        assert refused.value.fields["suggestions"] == ["name"]
