"""Facets: what is read of each, and that a wrong one costs the event nothing but itself."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
import pytest

from app.domain.events import (
    Alias,
    ColumnUse,
    DatasetId,
    DatasetUse,
    EventField,
    JobFacts,
    JobId,
    Lifecycle,
    LifecycleChange,
    Owner,
    ParentRun,
    RunEvent,
    RunFailure,
    SourceCode,
    SourceLocation,
)
from app.lineage.openlineage.nodes import MAX_WARNINGS
from app.lineage.openlineage.parse import parse_events
from tests.lineage_events import NOW, RUN_ID, dataset_json, event_json, parse_run

OLD = {"namespace": "file", "name": "/old"}
SOURCE = {"namespace": "file", "name": "in", "field": "p"}
INPUT = DatasetId(namespace="file", name="in")


def read_output(dataset: dict[str, Any]) -> tuple[DatasetUse, dict[str, str]]:
    """The one output, and its warnings by pointer."""
    event = parse_run(event_json(outputs=[dataset]))
    return event.outputs[0], {each.pointer.removeprefix("/outputs/0"): each.message for each in event.warnings}


def read_version(number: str) -> tuple[str | None, list[str]]:
    """The version read from these characters of JSON."""
    body = orjson.dumps(event_json(inputs=[dataset_json("a", "HERE")])).replace(b'"HERE"', number.encode())
    (parsed,) = parse_events(body, now=NOW)
    assert isinstance(parsed.event, RunEvent)
    return parsed.event.inputs[0].version, [each.message for each in parsed.event.warnings]


def test_all_facets_of_a_job_and_a_run() -> None:
    job = {
        "namespace": "nightly",
        "name": "load",
        "facets": {
            "sql": {"query": "select 1"},
            "sourceCodeLocation": {
                "type": "git",
                "url": "https://example.com/r/blob/c0ffee/load.py",
                "repoUrl": "https://example.com/r",
                "path": "load.py",
                "version": "c0ffee",
                "branch": "main",
                "tag": "",
            },
            "sourceCode": {"language": "python", "sourceCode": "print()"},
            "ownership": {"owners": [{"name": "team:data", "type": "MAINTAINER"}, {"name": "user:jo"}]},
        },
    }
    facets = {
        "parent": {"run": {"runId": RUN_ID.upper()}, "job": {"namespace": "airflow", "name": "dag"}},
        "errorMessage": {"message": "no space", "programmingLanguage": "java", "stackTrace": "at x"},
    }

    event = parse_run(event_json(job=job, run={"runId": RUN_ID, "facets": facets}))

    assert event.facts == JobFacts(
        sql="select 1",
        location=SourceLocation(
            type="git",
            url="https://example.com/r/blob/c0ffee/load.py",
            repo_url="https://example.com/r",
            path="load.py",
            version="c0ffee",
            branch="main",
        ),
        code=SourceCode(language="python", code="print()"),
        owners=(Owner(name="team:data", type="MAINTAINER"), Owner(name="user:jo")),
    )
    assert event.parent == ParentRun(run_id=UUID(RUN_ID), job=JobId(namespace="airflow", name="dag"))
    assert event.failure == RunFailure(message="no space", stack_trace="at x")
    assert event.warnings == ()


def test_all_facets_of_an_output() -> None:
    use, warnings = read_output(
        dataset_json(
            "/new",
            "7",
            schema={
                "fields": [
                    {"name": "a", "type": "struct", "fields": [{"name": "b", "type": "int", "description": "B"}]}
                ]
            },
            symlinks={"identifiers": [{"namespace": "cat", "name": "s.new", "type": "TABLE"}]},
            lifecycleStateChange={"lifecycleStateChange": "RENAME", "previousIdentifier": OLD},
            ownership={"owners": [{"name": "team:data"}]},
        )
        | {"outputFacets": {"outputStatistics": {"rowCount": 2**53 + 1, "size": 0, "fileCount": 1}}}
    )

    assert use.version == "7"
    assert use.fields == (
        EventField(name="a", type="struct", fields=(EventField(name="b", type="int", description="B"),)),
    )
    assert use.aliases == (Alias(namespace="cat", name="s.new", type="TABLE"),)
    assert use.lifecycle == Lifecycle(change=LifecycleChange.RENAME, previous=DatasetId(namespace="file", name="/old"))
    assert (use.row_count, use.size_bytes, use.owners) == (2**53 + 1, 0, (Owner(name="team:data"),))
    assert warnings == {}


def test_column_lineage_with_transformations_and_of_whole_rows() -> None:
    join = {"type": "INDIRECT", "subtype": "JOIN", "description": "on p = q"}
    direct = {"type": "DIRECT", "subtype": "IDENTITY", "description": ""}
    facet = {
        "fields": {"x": {"inputFields": [SOURCE | {"transformations": [direct, join, join]}]}},
        "dataset": [SOURCE | {"transformations": [{"type": "INDIRECT"}]}],
    }

    use, warnings = read_output(dataset_json("b", columnLineage=facet))

    assert use.columns == (
        ColumnUse(column="x", dataset=INPUT, field="p", transformation="DIRECT/IDENTITY"),
        ColumnUse(column="x", dataset=INPUT, field="p", transformation="INDIRECT/JOIN", description="on p = q"),
        ColumnUse(column=None, dataset=INPUT, field="p", transformation="INDIRECT"),
    )
    assert warnings == {}


def test_column_lineage_of_the_first_version_of_the_facet() -> None:
    told = {"transformationType": "MASKED", "transformationDescription": "sha256(p)", "inputFields": [SOURCE]}

    use, _ = read_output(dataset_json("b", columnLineage={"fields": {"x": told}}))

    assert use.columns == (
        ColumnUse(column="x", dataset=INPUT, field="p", transformation="MASKED", description="sha256(p)"),
    )


def test_of_column_lineage_only_what_is_wrong_is_left_out() -> None:
    fields = {
        "x": {"inputFields": [SOURCE, {"namespace": "file", "name": "in"}, 7]},
        "": {"inputFields": [SOURCE]},
        "y": {"inputFields": "p"},
        "z": [],
        "n": {},
    }

    use, warnings = read_output(dataset_json("b", columnLineage={"fields": fields, "dataset": [{}]}))

    assert [(each.column, each.field) for each in use.columns] == [("x", "p")]
    assert warnings == {
        "/facets/columnLineage/fields/x/inputFields/1/field": "it is missing; it is ignored",
        "/facets/columnLineage/fields/x/inputFields/2": "it is a number, not an object; it is ignored",
        "/facets/columnLineage/fields//": "it is empty; it is ignored",
        "/facets/columnLineage/fields/y/inputFields": "it is a text, not an array; it is ignored",
        "/facets/columnLineage/fields/z": "it is an array, not an object; it is ignored",
        "/facets/columnLineage/dataset/0/namespace": "it is missing; it is ignored",
    }


WRONG: dict[str, tuple[str, Any, str]] = {
    "version is a list": ("version", [], "/facets/version"),
    "version is a text": ("version", "5", "/facets/version"),
    "version says nothing": ("version", {}, "/facets/version/datasetVersion"),
    "version empty": ("version", {"datasetVersion": ""}, "/facets/version/datasetVersion"),
    "version a boolean": ("version", {"datasetVersion": True}, "/facets/version/datasetVersion"),
    "version with NUL": ("version", {"datasetVersion": "5\x00"}, "/facets/version/datasetVersion"),
    "schema a number": ("schema", 5, "/facets/schema"),
    "fields an object": ("schema", {"fields": {}}, "/facets/schema/fields"),
    "symlinks a boolean": ("symlinks", True, "/facets/symlinks"),
    "identifiers a text": ("symlinks", {"identifiers": "a"}, "/facets/symlinks/identifiers"),
    "column lineage a list": ("columnLineage", [1], "/facets/columnLineage"),
    "columns a list": ("columnLineage", {"fields": [1]}, "/facets/columnLineage/fields"),
    "unknown lifecycle": (
        "lifecycleStateChange",
        {"lifecycleStateChange": "MELT"},
        "/facets/lifecycleStateChange/lifecycleStateChange",
    ),
    "rename from nameless": (
        "lifecycleStateChange",
        {"lifecycleStateChange": "RENAME", "previousIdentifier": {"name": "a"}},
        "/facets/lifecycleStateChange/previousIdentifier/namespace",
    ),
    "owners a number": ("ownership", {"owners": 1}, "/facets/ownership/owners"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_facet_is_left_out_with_a_warning(case: str) -> None:
    name, facet, pointer = WRONG[case]

    use, warnings = read_output(dataset_json("b", **{name: facet}))

    assert use == read_output(dataset_json("b"))[0]
    assert list(warnings) == [pointer]
    assert warnings[pointer].endswith(f"the facet {name} is ignored")


@pytest.mark.parametrize("facets", [[], "none", 7, True])
def test_facets_that_are_no_object_are_left_out(facets: Any) -> None:
    use, warnings = read_output({"namespace": "file", "name": "b", "facets": facets, "outputFacets": facets})

    assert use == read_output(dataset_json("b"))[0]
    assert list(warnings) == ["/facets", "/outputFacets"]


def test_a_deleted_facet_is_none() -> None:
    use, warnings = read_output(dataset_json("b", version={"_deleted": True, "datasetVersion": "5"}, schema=None))

    assert (use.version, use.fields, warnings) == (None, (), {})


def test_a_part_that_is_wrong_leaves_the_others() -> None:
    names = [{"namespace": "c", "name": "a"}, {"namespace": "c", "name": ""}, None]
    owners = [{"type": "x"}, {"name": "jo", "type": 5}]

    use, warnings = read_output(
        dataset_json("b", symlinks={"identifiers": names}, ownership={"owners": owners}, schema={"fields": ["a"]})
        | {"outputFacets": {"outputStatistics": {"rowCount": -1, "size": "8"}}}
    )

    assert use.aliases == (Alias(namespace="c", name="a", type=""),)
    assert use.owners == (Owner(name="jo"),)
    assert (use.row_count, use.size_bytes) == (None, None)
    assert sorted(warnings) == [
        "/facets/ownership/owners/0/name",
        "/facets/ownership/owners/1/type",
        "/facets/schema/fields/0",
        "/facets/symlinks/identifiers/1/name",
        "/facets/symlinks/identifiers/2",
        "/outputFacets/outputStatistics/rowCount",
        "/outputFacets/outputStatistics/size",
    ]


def test_wrong_parents_and_failures_are_left_out() -> None:
    facets = {"parent": {"run": {"runId": "${parent}"}}, "errorMessage": {"stackTrace": "at x"}}

    event = parse_run(event_json(run={"runId": RUN_ID, "facets": facets}))

    assert (event.parent, event.failure) == (None, None)
    assert [each.pointer for each in event.warnings] == [
        "/run/facets/parent/run/runId",
        "/run/facets/errorMessage/message",
    ]


@pytest.mark.parametrize(
    ("case", "number", "expected"),
    [
        ("a text", '"7536839303534702567"', "7536839303534702567"),
        ("a text that is no number", '"v1"', "v1"),
        ("64 bits", "7536839303534702567", "7536839303534702567"),
        ("the least of 64 bits", "-9223372036854775808", "-9223372036854775808"),
        ("beyond 64 bits", "18446744073709551617", "18446744073709551617"),
        ("zero", "0", "0"),
        ("with a point", "7536839303534702567.0", "7536839303534702567"),
        ("all digits with an exponent", "7.536839303534702567e18", "7536839303534702567"),
        ("small with an exponent", "1e3", "1000"),
        ("a fraction", "1.10", "1.10"),
        ("2^53 as a float", "9007199254740992.0", "9007199254740992"),
    ],
)
def test_a_version_that_is_a_number_is_its_exact_digits(case: str, number: str, expected: str) -> None:
    assert read_version(number) == (expected, []), case


@pytest.mark.parametrize(
    ("case", "number", "expected"),
    [
        ("what a double leaves of 64 bits", "7.5368393035347026e+18", "7536839303534702600"),
        ("2^53 + 2 as a float", "9007199254740994.0", "9007199254740994"),
    ],
)
def test_a_version_that_may_have_lost_digits_is_warned_of(case: str, number: str, expected: str) -> None:
    version, (warning,) = read_version(number)

    assert (version, "may have lost digits" in warning) == (expected, True), case


@pytest.mark.parametrize("number", ["1e400", "1e-400", "1e999999"])
def test_a_version_without_end_is_left_out(number: str) -> None:
    version, (warning,) = read_version(number)

    assert (version, warning.endswith("the facet version is ignored")) == (None, True)


def test_repeated_inputs_are_merged() -> None:
    alias = {"identifiers": [{"namespace": "c", "name": "t", "type": "TABLE"}]}
    inputs = [dataset_json("a"), dataset_json("b"), dataset_json("a", "5"), dataset_json("a", symlinks=alias)]

    event = parse_run(event_json(inputs=inputs))

    assert [(use.dataset.name, use.version, len(use.aliases)) for use in event.inputs] == [
        ("a", "5", 1),
        ("b", None, 0),
    ]


def test_nul_in_a_text_is_replaced_and_in_a_warning_never_kept() -> None:
    failure = {"message": "a\x00b"}
    outputs = [dataset_json("b", columnLineage={"fields": {"x\x00": {"inputFields": [SOURCE]}}})]

    event = parse_run(event_json(run={"runId": RUN_ID, "facets": {"errorMessage": failure}}, outputs=outputs))

    assert event.failure == RunFailure(message="a\ufffdb")
    assert len(event.warnings) == 2
    assert all("\x00" not in each.pointer + each.message for each in event.warnings)


def test_warnings_without_end_are_cut_and_counted() -> None:
    event = parse_run(event_json(inputs=[dataset_json(f"{n}", version=[]) for n in range(MAX_WARNINGS + 50)]))

    assert len(event.warnings) == MAX_WARNINGS + 1
    assert event.warnings[-1].message == "50 more warnings were left out"


def test_facets_that_nobody_reads_may_be_anything() -> None:
    event = parse_run(event_json(inputs=[dataset_json("a", ours=7, schema=None, columnLineage=[])]))

    assert event.warnings == ()
