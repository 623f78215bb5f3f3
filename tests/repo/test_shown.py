"""What is shown in a document and is not so is found."""

import json
from pathlib import Path

import pytest
from sybil import Document

from tests.repo.blocks import parse_blocks, to_commands
from tests.repo.shown import Shown

A, B, C = "1111111111111111111", "2222222222222222222", "3333333333333333333"
REAL_A, REAL_B = "7777777777777777777", "888888888888888888"


@pytest.mark.parametrize(
    ("case", "shown", "actual"),
    [
        ("same", "Tag x set.", "Tag x set."),
        ("blanks", "a   b\nc", "a b   \nc\n"),
        ("any text", "home … writable", "home /x/y is writable"),
        ("any lines", "first\n…\nlast", "first\n1\n2\nlast"),
        ("no lines", "first\n…\nlast", "first\nlast"),
        ("instant", "at 2026-02-15T10:00:00Z", "at 2031-12-01T00:00:01.123456Z"),
        ("id", f"at {A}", f"at {REAL_A}"),
        ("id twice", f"{A} {A}", f"{REAL_A} {REAL_A}"),
        ("undo tag", f"pre_rollback_20260215T100000123Z_{A}", f"pre_rollback_20311201T000001999Z_{REAL_A}"),
        ("nothing", "", ""),
    ],
)
def test_output_as_shown_passes(case: str, shown: str, actual: str):
    Shown().check_text(shown, actual)


@pytest.mark.parametrize(
    ("case", "shown", "actual"),
    [
        ("other word", "Tag x set.", "Tag y set."),
        ("line missing", "a\nb", "a"),
        ("line too many", "a", "a\nb"),
        ("nothing shown", "", "a"),
        ("nothing comes", "a", ""),
        ("number", "1500", "1501"),
        ("no id", f"at {A}", "at home"),
        ("other id", f"{A} {A}", f"{REAL_A} {REAL_B}"),
        ("two names for one id", f"{A} {B}", f"{REAL_A} {REAL_A}"),
        ("date", "2026-02-15", "2026-02-16"),
    ],
)
def test_output_that_differs_fails(case: str, shown: str, actual: str):
    with pytest.raises(AssertionError):
        Shown().check_text(shown, actual)


def test_an_id_keeps_its_meaning_in_later_outputs_and_commands():
    # Given
    shown = Shown()
    shown.check_text(f"at {A}", f"at {REAL_A}")
    # When
    command = shown.to_real(f"show --at {A} --not {C}")
    # Then
    assert command == f"show --at {REAL_A} --not {C}"
    with pytest.raises(AssertionError):
        shown.check_text(f"at {A}", f"at {REAL_B}")


@pytest.mark.parametrize(
    ("case", "shown", "actual"),
    [
        ("value", '{"a": 1}', '{"a": 2}'),
        ("type", '{"a": 1}', '{"a": "1"}'),
        ("bool is no number", '{"a": 1}', '{"a": true}'),
        ("key missing", '{"a": 1, "b": 2}', '{"a": 1}'),
        ("key too many", '{"a": 1}', '{"a": 1, "b": 2}'),
        ("item too many", '{"a": [1]}', '{"a": [1, 2]}'),
        ("item missing", '{"a": [1, 2, "…"]}', '{"a": [1]}'),
        ("null", '{"a": null}', '{"a": []}'),
        ("text", '{"a": "x … z"}', '{"a": "x y"}'),
    ],
)
def test_json_that_differs_fails(case: str, shown: str, actual: str):
    with pytest.raises(AssertionError):
        Shown().check_json(json.loads(shown), json.loads(actual))


def test_json_as_shown_passes():
    Shown().check_json({"a": ["x", "…"], "b": "…", "c": A}, {"a": ["x", 1, 2], "b": {"d": 1}, "c": REAL_A})


def test_console_block_is_commands_with_output():
    commands = to_commands("$ one\nout\n\n$ two <<END\n> body\n> END\n")
    assert [(command.line, command.output) for command in commands] == [
        ("one", "out\n\n"),
        ("two <<END\nbody\nEND", ""),
    ]


@pytest.mark.parametrize(
    ("case", "text"),
    [
        ("unknown language", "```sh\nls\n```\n"),
        ("no language", "```\nls\n```\n"),
        ("not closed", "```console\n$ ls\n"),
        ("no command", "```console\nls\n```\n"),
        ("graphql without answer", "```graphql\n{ a }\n```\n"),
    ],
)
def test_block_that_nobody_would_run_is_refused(case: str, text: str):
    with pytest.raises(ValueError, match=r"\w"):
        list(parse_blocks(Document(text, str(Path("page.md")))))
