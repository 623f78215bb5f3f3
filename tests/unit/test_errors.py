"""Every error: its code, its category, and fields that any face can write."""

from __future__ import annotations

import inspect
import json

import orjson
import pytest

from app.errors import (
    HANDLING,
    AppError,
    Category,
    HeadMovedError,
    InvalidArgumentError,
    InvalidNameError,
    InvalidReferenceError,
    KnownExpiry,
    TagNotFoundError,
    concrete_errors,
)

ERRORS = concrete_errors()

# One value for each parameter name that some error takes; a new name needs a line here.
SAMPLES = {
    "actual": 2**63 - 1,
    "argument": "first",
    "attempts": 5,
    "backend": "Postgres",
    "branch": "dev",
    "change_id": "6f1a2b3c-0000-4000-8000-000000000001",
    "column": "amount",
    "cycle": ("load", "clean"),
    "dataset": "bronze.orders",
    "expected": None,
    "expiry": KnownExpiry(
        at="2026-02-15T02:00:00Z", by="cron", reason="weekly", run_id="6f1a2b3c-0000-4000-8000-000000000001"
    ),
    "extra": "mlflow",
    "feature": "equality deletes",
    "file": "s3://lake/orders/data/00000.parquet",
    "given": ("tag", "branch"),
    "head_id": 2**63 - 1,
    "hold_id": "k3v9a2",
    "home": "/data/stratigraph",
    "index": 3,
    "key": "k-1",
    "kind": "tag",
    "limit_bytes": 2**40,
    "size_bytes": 2**41,
    "limit": 20,
    "status": "SUCCEEDED",
    "operation_id": "0b8a2a1e-6f0e-4f0e-9a53-6d2f1f0f5b11",
    "model": "churn",
    "name": "my tag",
    "pipeline_id": "nightly/load",
    "what": "version",
    "namespace": "bronze",
    "other_pointer": "/tasks/0",
    "owner": "nightly/load",
    "owner_field": "pipelineId",
    "pid": 4711,
    "pointer": "/inputs/0/name",
    "reason": "it is \x00 wrong",
    "ref": "main",
    "row_filter": "amount >",
    "run_id": "6f1a2b3c-0000-4000-8000-000000000001",
    "setting": "STRATIGRAPH_PORT",
    "snapshot_id": -(2**63),
    "source": "sqlite:////data/mlflow.db",
    "suggestions": ("production_2026_02_15",),
    "tag": "production_2026_02_14",
    "timeout_s": 10.0,
    "undo_tag": "pre_rollback_20260215T100000000Z_1",
    "uri": "s3://models/churn/1",
    "url": "http://127.0.0.1:8000",
    "value": "5d",
    "why": "production tag",
}


def build(error_type: type[AppError]) -> AppError:
    return error_type(**{name: SAMPLES[name] for name in inspect.signature(error_type).parameters})


def every_error_class() -> list[type[AppError]]:
    found, waiting = [], [AppError]
    while waiting:
        below = waiting.pop().__subclasses__()
        found += below
        waiting += below
    return [cls for cls in found if cls.__module__.startswith("app.errors")]


@pytest.mark.parametrize(("code", "error_type"), ERRORS.items(), ids=ERRORS)
def test_error_builds_and_every_face_can_write_it(code, error_type):
    error = build(error_type)

    assert error.code == code
    assert str(error) == error.message
    assert orjson.loads(orjson.dumps(error.fields)) == json.loads(json.dumps(error.fields)) == error.fields
    assert error.handling is HANDLING[error.category]
    assert error.docs == f"docs/errors.md#{code.lower()}"


@pytest.mark.parametrize(("code", "error_type"), ERRORS.items(), ids=ERRORS)
def test_64_bit_ids_are_texts_in_fields(code, error_type):
    for value in build(error_type).fields.values():
        assert isinstance(value, bool) or not isinstance(value, int) or abs(value) < 2**53


def test_every_error_is_a_family_or_has_a_code_of_its_own():
    families = [cls for cls in every_error_class() if AppError in cls.__bases__]
    concrete = [cls for cls in every_error_class() if cls not in families]

    assert {cls.code for cls in concrete} == set(ERRORS)
    assert len({cls.code for cls in concrete}) == len(concrete)
    assert all("code" in cls.__dict__ and cls.__name__.endswith("Error") for cls in concrete)


def test_every_category_has_one_family_and_one_answer():
    families = [cls for cls in every_error_class() if AppError in cls.__bases__]

    assert sorted(cls.category for cls in families) == sorted(Category)
    assert set(HANDLING) == set(Category)
    assert all(400 <= handling.http_status < 600 and handling.http_status != 500 for handling in HANDLING.values())
    assert all(1 < handling.exit_code < 64 for handling in HANDLING.values())


def test_only_what_may_succeed_unchanged_is_retryable():
    retryable = {category for category, handling in HANDLING.items() if handling.is_retryable}

    assert retryable == {Category.CONFLICT, Category.UNAVAILABLE}


def test_suggestions_end_the_message():
    assert str(TagNotFoundError("a.b", "x", ["y", "z"])) == "a.b has no tag 'x'. Did you mean 'y' or 'z'?"
    assert str(TagNotFoundError("a.b", "x")) == "a.b has no tag 'x'."


@pytest.mark.parametrize(
    ("case", "expected", "actual", "told"),
    [
        ("moved", 1, 2, "expected at 1 but is at 2"),
        ("appeared", None, 2, "expected absent but is at 2"),
        ("vanished", 1, None, "expected at 1 but is absent"),
    ],
)
def test_moved_head_tells_both_sides(case, expected, actual, told):
    assert told in HeadMovedError("a.b", "main", expected, actual).message


@pytest.mark.parametrize(
    ("case", "error"),
    [
        ("reference", InvalidReferenceError("x" * 10_000, "it is long")),
        ("name", InvalidNameError("tag", "x" * 10_000, "it is long")),
    ],
)
def test_long_input_is_told_in_short(case, error):
    assert len(error.message) < 250
    assert error.fields["ref" if case == "reference" else "name"] == "x" * 117 + "..."


def test_what_utf_8_cannot_carry_is_escaped_wherever_it_stands():
    # JSON can spell lone surrogates, and the command line makes them of bytes that are not UTF-8.
    error = InvalidArgumentError("a\ud800", "b\udcff")
    listed = TagNotFoundError("a.b", "\udfff", ["x\ud800"])

    assert error.message == "a\\ud800: b\\udcff."
    assert error.fields["argument"] == "a\\ud800"
    assert listed.fields["suggestions"] == ["x\\ud800"]
    orjson.dumps({**error.fields, **listed.fields, "message": error.message + listed.message})
