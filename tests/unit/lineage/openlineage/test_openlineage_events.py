"""What is taken as an event, what is taken with a warning, and what is refused with the place of what is wrong."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest

from app.domain.events import DatasetEvent, DatasetRole, EventType, JobEvent, JobId, RunEvent, run_key
from app.errors import InvalidEventError
from app.lineage.openlineage.body import MAX_NESTING
from app.lineage.openlineage.parse import parse_events
from tests.lineage_events import AT, NOW, PRODUCER, RUN_ID, dataset_json, event_json, parse, parse_run

LONG = "x" * 2001


def refusal(body: Any) -> tuple[str, str]:
    with pytest.raises(InvalidEventError) as refused:
        parse_events(body if isinstance(body, bytes) else orjson.dumps(body), now=NOW)
    fields = refused.value.fields
    orjson.dumps(fields)
    return str(fields["pointer"]), str(fields["reason"])


def nested(levels: int) -> bytes:
    return b'{"deep": ' + b"[" * levels + b"1" + b"]" * levels + b"," + orjson.dumps(event_json())[1:]


def test_a_run_event() -> None:
    parsed = parse(event_json("START", inputs=[dataset_json("a")], outputs=[dataset_json("b")]))

    event = parsed.event
    assert isinstance(event, RunEvent)
    assert (event.run_id, event.type, event.producer) == (UUID(RUN_ID), EventType.START, PRODUCER)
    assert event.event_time == datetime(2026, 2, 15, 10, tzinfo=UTC)
    assert event.job == JobId(namespace="nightly", name="load")
    assert [(use.dataset.name, use.role) for use in (*event.inputs, *event.outputs)] == [
        ("a", DatasetRole.INPUT),
        ("b", DatasetRole.OUTPUT),
    ]
    assert event.warnings == ()
    assert event.run_key == run_key(UUID(RUN_ID)) == f"run:{RUN_ID}"
    assert event.body_hash == hashlib.sha256(parsed.body).digest()


def test_a_job_event() -> None:
    event = parse(event_json(None, run=None, inputs=[dataset_json("a")])).event

    assert isinstance(event, JobEvent)
    assert (event.run_key, event.inputs[0].dataset.name) == ("job:nightly|load", "a")


def test_a_dataset_event() -> None:
    event = parse({"eventTime": AT, "producer": PRODUCER, "dataset": dataset_json("a|b", "5")}).event

    assert isinstance(event, DatasetEvent)
    assert (event.run_key, event.dataset.version) == ("dataset:file|a%7Cb", "5")


def test_keys_stay_short_enough_for_an_index_and_apart() -> None:
    names = ["ü" * 2000, "ü" * 1999 + "x"]
    keys = {parse(event_json(None, run=None, job={"namespace": "n", "name": name})).event.run_key for name in names}

    assert len(keys) == 2
    assert all(len(key) < 100 for key in keys)


def test_a_batch_is_taken_in_order() -> None:
    types = [parsed.event.type for parsed in parse_events(orjson.dumps([event_json("START"), event_json("FAIL")]))]  # type: ignore[union-attr]

    assert types == [EventType.START, EventType.FAIL]
    assert parse_events(b"[]") == []


def test_of_a_batch_the_event_at_fault_is_named_and_none_is_taken() -> None:
    with pytest.raises(InvalidEventError) as refused:
        parse_events(orjson.dumps([event_json(), event_json("START"), event_json(run={})]))

    assert refused.value.fields == {"pointer": "/run/runId", "reason": "it is missing", "index": 2}
    assert "event 2 of the batch, /run/runId: it is missing" in refused.value.message


REFUSED: dict[str, tuple[Any, str, str]] = {
    "empty": (b"", "", "not JSON"),
    "not JSON": (b"{'a': 1}", "", "not JSON: .* at character 1"),
    "cut off": (orjson.dumps(event_json())[:-1], "", "not JSON"),
    "two documents": (b"{}{}", "", "not JSON"),
    "not UTF-8": (b'{"a": "\xff"}', "", r"not UTF-8 \(byte 7\)"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "", "not UTF-8"),
    "not a number": (b'{"a": NaN}', "", "NaN is no number"),
    "a number without end": (b'{"a": ' + b"9" * 5000 + b"}", "", "is no number that can be kept"),
    "an exponent without end": (b'{"a": 1e' + b"9" * 30 + b"}", "", "is no number that can be kept"),
    "nested a little too deep": (nested(MAX_NESTING + 10), "/deep" + "/0" * 249, "nested deeper than 250"),
    "nested absurdly deep": (b"[" * 200_000 + b"]" * 200_000, "", "nested deeper"),
    "an absurdly deep event": (nested(50_000), "", "nested deeper"),
    "null": (b"null", "", "it is missing"),
    "a text": (b'"START"', "", "it is a text, not an object"),
    "a list in the batch": (b"[[]]", "", "it is an array, not an object"),
    "nothing in it": ({}, "", "has a run, a job or a dataset"),
    "no run": (event_json(run=None), "/run", "it is missing"),
    "run is a text": (event_json(run=RUN_ID), "/run", "it is a text, not an object"),
    "no run id": (event_json(run={}), "/run/runId", "it is missing"),
    "run id null": (event_json(run={"runId": None}), "/run/runId", "it is missing"),
    "run id a number": (event_json(run={"runId": 7}), "/run/runId", "it is a number, not a text"),
    "run id a boolean": (event_json(run={"runId": True}), "/run/runId", "it is a boolean, not a text"),
    "run id malformed": (event_json(run={"runId": "run-7"}), "/run/runId", "'run-7' is not a UUID"),
    "run id without hyphens": (event_json(run={"runId": RUN_ID.replace("-", "")}), "/run/runId", "not a UUID"),
    "run id a placeholder": (event_json(run={"runId": "${RUN_ID}"}), "/run/runId", r"placeholder, '\$\{RUN_ID\}'"),
    "run id a template": (event_json(run={"runId": "{{ run_id }}"}), "/run/runId", "placeholder"),
    "unknown type": (event_json("DONE"), "/eventType", "'DONE' is no type of event; there are START, RUNNING"),
    "type in lower case": (event_json("start"), "/eventType", "no type of event"),
    "type a number": (event_json(eventType=1), "/eventType", "it is a number, not a text"),
    "no time": (event_json(eventTime=None), "/eventTime", "it is missing"),
    "time a number": (event_json(eventTime=1_771_149_600), "/eventTime", "it is a number, not a text"),
    "time a placeholder": (event_json(eventTime="${json-unit.any-string}"), "/eventTime", "placeholder"),
    "time a date": (event_json(eventTime="2026-02-15"), "/eventTime", "not a time such as"),
    "time in words": (event_json(eventTime="yesterday"), "/eventTime", "not a time such as"),
    "no such day": (event_json(eventTime="2026-02-30T00:00:00Z"), "/eventTime", "not a time: day"),
    "no such zone": (event_json(eventTime="2026-02-15T00:00:00+99:00"), "/eventTime", "not a time: "),
    "before all time": (event_json(eventTime="0001-01-01T00:00:00+10:00"), "/eventTime", "not a time: "),
    "no job": (event_json(job=None), "/job", "it is missing"),
    "no job name": (event_json(job={"namespace": "n"}), "/job/name", "it is missing"),
    "empty job name": (event_json(job={"namespace": "n", "name": ""}), "/job/name", "it is empty"),
    "blank namespace": (event_json(job={"namespace": " \t", "name": "a"}), "/job/namespace", "it is empty"),
    "long job name": (event_json(job={"namespace": "n", "name": LONG}), "/job/name", "has 2001 characters"),
    "NUL in a name": (event_json(job={"namespace": "n", "name": "a\x00"}), "/job/name", "character NUL"),
    "inputs an object": (event_json(inputs={}), "/inputs", "it is an object, not an array"),
    "an input a text": (event_json(inputs=["a"]), "/inputs/0", "it is a text, not an object"),
    "an output without name": (event_json(outputs=[{"namespace": "n"}]), "/outputs/0/name", "it is missing"),
    "an output null": (event_json(outputs=[None]), "/outputs/0", "it is missing"),
    "a run and a dataset": (event_json(dataset=dataset_json("a")), "/dataset", "about several"),
    "too many inputs": (event_json(inputs=[None] * 10_001), "/inputs", "10001 elements, and 10000 are allowed"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_event_is_refused_with_the_place_and_the_reason(case: str) -> None:
    body, pointer, reason = REFUSED[case]

    found_pointer, found_reason = refusal(body)

    assert found_pointer == pointer
    assert re.search(reason, found_reason), found_reason


@pytest.mark.parametrize(
    ("case", "old", "new", "pointer"),
    [
        ("in a name", b'"load"', rb'"lo\ud800ad"', "/job/name"),
        ("in what is not read", b'"nightly"', rb'"nightly", "a/b~": ["\udfff"]', "/job/a~1b~0/0"),
        ("in the name of a member", b'"namespace"', rb'"\ud800": 1, "namespace"', "/job"),
    ],
)
def test_lone_surrogates_are_refused_wherever_they_are(case: str, old: bytes, new: bytes, pointer: str) -> None:
    found, reason = refusal(orjson.dumps(event_json()).replace(old, new))

    assert (found, "lone surrogate" in reason) == (pointer, True), case


def test_a_surrogate_pair_is_a_character() -> None:
    body = orjson.dumps(event_json()).replace(b'"load"', rb'"\ud83d\ude00"')

    assert parse_events(body)[0].event.job.name == "😀"  # type: ignore[union-attr]


def test_what_is_allowed_is_taken_to_the_limit() -> None:
    inputs = [dataset_json(f"{n}") for n in range(10_000)]
    name = "é" * 2000

    event = parse_run(event_json(inputs=inputs, job={"namespace": "日本", "name": name}))

    assert (len(event.inputs), event.job, event.warnings) == (10_000, JobId(namespace="日本", name=name), ())
    assert len(parse_events(nested(MAX_NESTING - 5))) == 1


@pytest.mark.parametrize(
    ("case", "text", "expected", "warned"),
    [
        ("nanoseconds", "2026-02-15T10:00:00.123456789Z", "10:00:00.123456", None),
        ("one digit", "2026-02-15T10:00:00.5Z", "10:00:00.500000", None),
        ("offset", "2026-02-15T12:30:00+02:30", "10:00:00", None),
        ("offset without colon", "2026-02-15T08:00:00-0200", "10:00:00", None),
        ("offset of hours", "2026-02-15T12:00:00+02", "10:00:00", None),
        ("Java's zone", "2026-02-15T11:00:00.000+01:00[Europe/Berlin]", "10:00:00", None),
        ("without seconds", "2026-02-15T10:00Z", "10:00:00", None),
        ("lower case", "2026-02-15t10:00:00z", "10:00:00", None),
        ("no zone", "2026-02-15T10:00:00", "10:00:00", "no zone; it was taken as UTC"),
        ("within a day", "2026-02-16T11:59:59Z", "11:59:59", None),
        ("far future", "2026-02-16T12:00:01Z", "12:00:01", "more than a day in the future"),
        ("very far future", "9999-12-31T23:59:59.999999999Z", "23:59:59.999998", "more than a day in the future"),
    ],
)
def test_times(case: str, text: str, expected: str, warned: str | None) -> None:
    event = parse_run(event_json(eventTime=text))

    assert event.event_time.time().isoformat() == expected, case
    assert event.event_time.utcoffset() == datetime.now(UTC).utcoffset()
    assert [warning.pointer for warning in event.warnings] == (["/eventTime"] if warned else [])
    assert not warned or warned in event.warnings[0].message


def test_what_comes_from_the_log_is_not_warned_of_as_the_future() -> None:
    assert parse_events(orjson.dumps(event_json(eventTime="9999-01-01T00:00:00Z")))[0].event.warnings == ()


def test_what_the_specification_requires_and_no_one_needs_is_only_warned_of() -> None:
    event = parse_run(event_json(None, producer=None))

    assert event.type is EventType.OTHER
    assert [warning.pointer for warning in event.warnings] == ["/eventType", "/producer"]


def test_null_means_that_there_is_nothing() -> None:
    event = parse_run(event_json() | {"inputs": None, "outputs": None, "run": {"runId": RUN_ID, "facets": None}})

    assert (event.inputs, event.outputs, event.warnings) == ((), (), ())


def test_one_body_has_one_hash_however_it_is_written() -> None:
    plain = orjson.dumps(event_json(x=[1.5, "ü"]))
    other = orjson.dumps(dict(reversed(event_json(x=[1.5, "ü"]).items())), option=orjson.OPT_INDENT_2)
    escaped = b"\xef\xbb\xbf" + other.replace("ü".encode(), rb"\u00fc")

    assert {parse_events(body)[0].body for body in (plain, other, escaped)} == {parse_events(plain)[0].body}
    assert parse(event_json()).body != parse(event_json(x=1)).body


@pytest.mark.parametrize(
    "number",
    [
        "7536839303534702567",
        "18446744073709551617",
        "-9223372036854775809",
        "0.1234567890123456789",
        "1E+400",
        "0",
        "-1",
    ],
)
def test_the_body_that_is_kept_has_every_digit(number: str) -> None:
    body = orjson.dumps(event_json(x="HERE")).replace(b'"HERE"', number.encode())

    (parsed,) = parse_events(body)

    assert f'"x":{number}'.encode() in parsed.body
    assert parse_events(parsed.body) == [parsed]
