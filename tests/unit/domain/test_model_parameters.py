"""Which versions of models may be registered."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.models import (
    MAX_PARAMETERS_BYTES,
    MAX_PARAMETERS_NESTING,
    NewModelVersion,
    check_new_version,
    check_parameters,
)
from app.errors import InvalidArgumentError


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("case", "parameters", "reason"),
    [
        ("a list", [1], "an object is needed"),
        ("a text", "depth=3", "an object is needed"),
        ("null", None, "an object is needed"),
        ("beyond 64 bits", {"a": {"b/c": [1, 2**63]}}, "/a/b~1c/1: it is a whole number beyond 64 bits"),
        ("far below", {"a": -(2**63) - 1}, "/a: it is a whole number beyond 64 bits"),
        ("no number", {"a": float("nan")}, "/a: NaN"),
        ("infinite", {"a": [float("inf")]}, "/a/0: NaN and infinity"),
        ("NUL", {"a": "x\x00"}, "/a: it has a NUL"),
        ("lone surrogate in a name", {"\ud800": 1}, "the whole: a name"),
        ("no JSON", {"a": b"x"}, "no JSON value"),
        ("deep", {"a": nested(MAX_PARAMETERS_NESTING)}, "deeper than 32 levels"),
        ("very deep", {"a": nested(100_000)}, "deeper than 32 levels"),
        ("large", {"a": "ü" * (MAX_PARAMETERS_BYTES // 2)}, "1000008 bytes as JSON, at most 1000000"),
    ],
)
def test_parameters_that_cannot_be_kept_are_refused(case: str, parameters: Any, reason: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        check_new_version(NewModelVersion(model="churn", parameters=parameters))

    assert caught.value.fields["argument"] == "parameters"
    assert reason in caught.value.message


def test_parameters_up_to_the_limits_are_taken() -> None:
    check_parameters({"a": nested(MAX_PARAMETERS_NESTING - 1)})
    check_parameters({"a": "x" * (MAX_PARAMETERS_BYTES - len('{"a":""}'))})
    check_parameters({"a": [2**63 - 1, -(2**63), 1.5, None, True, {"b": "ü"}]})
