"""Writing answers and errors: tables for people, JSON for machines."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.cli.table_lines import Column, table_lines
from app.errors import AppError, JsonValue

__all__ = [
    "HINTS",
    "HINTS_OF_COMMANDS",
    "Column",
    "print_error",
    "print_failure",
    "print_json",
    "print_line",
    "print_note",
    "print_table",
    "printable",
    "utc_text",
]

# What to do next, where the message of an error cannot know the words of the command line.
HINTS: Mapping[str, str] = {
    "TAG_EXISTS": "Use --move to point the tag to another snapshot.",
    "HEAD_MOVED": "Run `stratigraph snapshots` to see where it is now, decide again, then retry.",
    "COMMIT_CONFLICT": "Try again.",
    "LOCK_TIMEOUT": "Try again in a moment.",
    "PROTECTED_TAG": "Use --force if that is really meant.",
    "DATASET_NOT_FOUND": "Run `stratigraph datasets` to see what there is.",
    "NAMESPACE_NOT_FOUND": "Run `stratigraph datasets` to see what there is.",
    "VERSION_NOT_FOUND": "Run `stratigraph snapshots NS.TABLE` to see the versions.",
    "TAG_NOT_FOUND": "Run `stratigraph snapshots NS.TABLE` to see the tags.",
    "SNAPSHOT_EXPIRED": "Run `stratigraph snapshots NS.TABLE` to see what is left.",
    "HOLD_NOT_FOUND": "Run `stratigraph hold list` to see what there is.",
    "MODEL_NOT_FOUND": "Run `stratigraph models` to see what there is.",
    "OPERATION_NOT_FOUND": "Run `stratigraph operation list` to see what there is.",
    "PIPELINE_NOT_FOUND": "Run `stratigraph pipelines` to see what there is.",
    "BACKEND_UNAVAILABLE": "Run `stratigraph doctor` to see what is missing.",
    "INVALID_SETTING": "Run `stratigraph doctor` to see the settings in force; docs/settings.md explains each.",
    "COMMIT_STATE_UNKNOWN": "Look at the dataset before trying again.",
}


_REGISTRY_HINTS: Mapping[str, str] = {
    "HEAD_MOVED": "Look where it is now, decide again, then retry.",
    "TAG_EXISTS": "Use --move to point the tag to another version.",
}
# Where a version may be that of something else than a dataset.
_VERSIONS_OF_ALL = (
    "`stratigraph snapshots NS.TABLE`, `stratigraph model show MODEL` and `stratigraph pipeline show PIPELINE` show "
    "versions and tags."
)
HINTS_OF_COMMANDS: Mapping[str, Mapping[str, str]] = {
    "check": {
        "VERSION_NOT_FOUND": _VERSIONS_OF_ALL,
        "TAG_NOT_FOUND": _VERSIONS_OF_ALL,
        "DIFF_TOO_LARGE": "Use --any-size to wait for it.",
    },
    "diff": {
        "VERSION_NOT_FOUND": _VERSIONS_OF_ALL,
        "TAG_NOT_FOUND": _VERSIONS_OF_ALL,
        "DIFF_TOO_LARGE": "Use --any-size to wait for it.",
    },
    "model": {
        **_REGISTRY_HINTS,
        "VERSION_NOT_FOUND": "`stratigraph model show MODEL` shows the versions of a model, `stratigraph snapshots "
        "NS.TABLE` those of a dataset.",
        "TAG_NOT_FOUND": "Run `stratigraph model show MODEL` to see the tags.",
    },
    "pipeline": {
        **_REGISTRY_HINTS,
        "VERSION_NOT_FOUND": "Run `stratigraph pipeline show PIPELINE` to see the versions.",
        "TAG_NOT_FOUND": "Run `stratigraph pipeline show PIPELINE` to see the tags.",
    },
    "run": {
        "VERSION_NOT_FOUND": "`stratigraph pipeline show PIPELINE` shows the versions of a pipeline, `stratigraph "
        "snapshots NS.TABLE` those of a dataset.",
    },
}


def print_json(value: JsonValue | Mapping[str, Any]) -> None:
    """One JSON document on stdout."""
    import orjson

    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")


def print_line(text: str = "") -> None:
    """One line on stdout, without anything that a terminal would obey."""
    sys.stdout.write(printable(text) + "\n")


def print_note(text: str) -> None:
    """A warning or a word on progress, on stderr."""
    sys.stderr.write(printable(text) + "\n")


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """A table on stdout, as wide as the ids need; in a pipe as wide as everything needs, one row a line."""
    from rich.console import Console

    lines = table_lines(Console(), columns, [[printable(cell) for cell in row] for row in rows])
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def print_error(error: AppError, *, as_json: bool, command: str = "") -> None:
    """An expected error of a command on stderr: message, hint, and where it is explained."""
    hint = HINTS_OF_COMMANDS.get(command, {}).get(error.code) or HINTS.get(error.code)
    handling = error.handling
    if as_json:
        _print_error_json(
            {
                "code": error.code,
                "category": error.category.value,
                "message": error.message,
                "hint": hint,
                "docs": error.docs,
                "retryable": handling.is_retryable,
                "exit_code": handling.exit_code,
                "fields": error.fields,
            }
        )
        return
    print_note(f"Error: {error.message}")
    if hint:
        print_note(f"Hint: {hint}")
    print_note(f"See {error.docs}")


def print_failure(code: str, message: str, *, exit_code: int, as_json: bool) -> None:
    """An error that is not one of `app.errors`: wrong usage, or a fault of ours."""
    if as_json:
        _print_error_json({"code": code, "message": message, "exit_code": exit_code})
    elif message.startswith("Usage:"):
        # A command group that was called without a command: its help, line by line.
        for line in message.splitlines():
            print_note(line)
    else:
        print_note(f"Error: {message}")


def printable(text: str) -> str:
    """The text with control characters written out, so that data cannot drive the terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def utc_text(timestamp_ms: int) -> str:
    """A moment in UTC to the second, without a space."""
    from app.domain.history import to_instant

    return to_instant(timestamp_ms).strftime("%Y-%m-%dT%H:%M:%SZ")


def _print_error_json(error: Mapping[str, Any]) -> None:
    import orjson

    sys.stderr.write(orjson.dumps({"error": error}).decode() + "\n")
