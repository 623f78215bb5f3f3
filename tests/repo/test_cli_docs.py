"""docs/cli.md has each command with its options, each exit code, and no others."""

import re
from collections.abc import Iterator

import pytest
from typer.main import get_command

from app.cli.checking import NOT_PASSED
from app.cli.main import INTERRUPTED, UNEXPECTED, app
from app.cli.schema import STALE
from app.errors import HANDLING
from tests.repo.paths import DOCS

SECTION = re.compile(r"^### `stratigraph ([^`]+)`\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
OPTION = re.compile(r"--[a-z][a-z-]*")


def commands(command: object = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    """Name and options of each command."""
    command = get_command(app) if command is None else command
    below = getattr(command, "commands", None)
    if below:
        for name, found in below.items():
            yield from commands(found, (*path, name))
        return
    options = {
        spelling
        for parameter in command.params  # type: ignore[attr-defined]
        for spelling in (*parameter.opts, *parameter.secondary_opts)
        if spelling.startswith("--")
    }
    yield " ".join(path), options - {"--help"}


def documented() -> dict[str, set[str]]:
    found = {}
    for title, text in SECTION.findall((DOCS / "cli.md").read_text()):
        name = " ".join(word for word in title.split() if re.fullmatch(r"[a-z]+", word))
        # "as above" takes no option back: what is listed by name counts.
        found[name] = set(OPTION.findall(text))
    return found


def test_documented_are_all_commands_and_no_others():
    assert sorted(documented()) == sorted(name for name, _ in commands())


@pytest.mark.parametrize(
    ("name", "options"), list(commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_documented_are_all_options_of_a_command_and_no_others(name: str, options: set[str]):
    assert sorted(documented()[name]) == sorted(options)


def test_documented_are_all_exit_codes_and_no_others():
    text = (DOCS / "cli.md").read_text().partition("## Exit codes")[2]
    shown = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    of_errors = {handling.exit_code for handling in HANDLING.values()}
    assert shown == {0, UNEXPECTED, STALE, NOT_PASSED, INTERRUPTED, *of_errors}
    # a script can tell a check that did not pass from one that nobody could make
    assert NOT_PASSED not in {UNEXPECTED, *of_errors}
