"""Members of JSON objects that differ, and what they are called."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.json_diff import DeltaKind, diff_objects, is_same_json

ADDED, REMOVED, CHANGED = DeltaKind.ADDED, DeltaKind.REMOVED, DeltaKind.CHANGED


@pytest.mark.parametrize(
    ("case", "before", "after", "expected"),
    [
        ("same", {"a": 1, "b": [1, {"c": None}]}, {"b": [1, {"c": None}], "a": 1.0}, []),
        ("added", {}, {"a": 1}, [("a", ADDED, None, 1)]),
        ("added as null", {}, {"a": None}, [("a", ADDED, None, None)]),
        ("null and missing", {"a": None}, {}, [("a", REMOVED, None, None)]),
        ("changed", {"a": 1}, {"a": 2}, [("a", CHANGED, 1, 2)]),
        ("number and boolean", {"a": 1}, {"a": True}, [("a", CHANGED, 1, True)]),
        ("nested", {"o": {"lr": 0.1, "x": 1}}, {"o": {"lr": 0.2, "x": 1}}, [("o.lr", CHANGED, 0.1, 0.2)]),
        ("an object comes", {}, {"o": {"lr": 1}}, [("o", ADDED, None, {"lr": 1})]),
        ("into an empty object", {"o": {}}, {"o": {"lr": 1}}, [("o.lr", ADDED, None, 1)]),
        ("object and value", {"o": {}}, {"o": 3}, [("o", CHANGED, {}, 3)]),
        ("lists as a whole", {"l": [1, 2]}, {"l": [2, 1]}, [("l", CHANGED, [1, 2], [2, 1])]),
        ("in a list", {"l": [{"a": 1}]}, {"l": [{"a": True}]}, [("l", CHANGED, [{"a": 1}], [{"a": True}])]),
        ("a name with a dot", {"model.depth": 3}, {"model.depth": 4}, [("model.depth", CHANGED, 3, 4)]),
        (
            "two ways that read alike",
            {"a.b": 1},
            {"a": {"b": 1}},
            [("a", ADDED, None, {"b": 1}), ("a.b", REMOVED, 1, None)],
        ),
        (
            "two ways that read alike, both there",
            {"a.b": 1, "a": {"b": 1}},
            {"a.b": 2, "a": {"b": 3}},
            [("a.b", CHANGED, 1, 3), ('"a.b"', CHANGED, 1, 2)],
        ),
        ("a name with quotes", {'say "a"': 1}, {}, [('"say \\"a\\""', REMOVED, 1, None)]),
        ("an empty name", {"": 1}, {"": 2}, [("", CHANGED, 1, 2)]),
    ],
)
def test_what_differs(case: str, before: Any, after: Any, expected: list[tuple[Any, ...]]):
    found = [(delta.key, delta.kind, delta.before, delta.after) for delta in diff_objects(before, after)]

    assert found == expected, case


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (0.0, -0.0, True),
        (True, 1, False),
        (False, 0, False),
        (True, True, True),
        (2**60, 2.0**60, True),
        (2**60 + 1, 2.0**60, False),
        ("1", 1, False),
        (None, None, True),
        (None, 0, False),
        ([1], [1.0], True),
        ([1], [1, 2], False),
        ({"a": [True]}, {"a": [1]}, False),
        ({}, [], False),
    ],
)
def test_which_values_are_the_same(one: Any, other: Any, same: bool):
    assert is_same_json(one, other) is same
    assert is_same_json(other, one) is same
