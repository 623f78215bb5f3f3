"""The `stratigraph` program: its commands, and what becomes of their errors."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping, Sequence

import typer

from app.cli import (
    changing,
    checking,
    compaction,
    demo,
    diffing,
    doctor,
    holds,
    impact,
    importing,
    lineage,
    models,
    operations,
    orphans,
    pipelines,
    reading,
    retention,
    runs,
    schema,
    serving,
    working,
)
from app.cli.interrupting import terminated_like_interrupted
from app.cli.output import print_error, print_failure
from app.errors import AppError
from app.services.argument_names import arguments_named, option_name

# Options of a command whose name is not made of the argument's.
OPTIONS_OF_COMMANDS: Mapping[str, Mapping[str, str]] = {
    "check": {"keys": "--key"},
    "diff": {"columns": "--column", "keys": "--key", "sampleSize": "--sample"},
    "impact": {"columns": "--column"},
    "undo": {"undoTag": "UNDO_TAG"},
}
UNEXPECTED = 1
INTERRUPTED = 130

app = typer.Typer(
    name="stratigraph",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain help: the rich one loads a Markdown parser and a syntax highlighter first, which takes as long again twice.
    rich_markup_mode=None,
    help="Versions of a lakehouse's tables: see them, tag them, read them, roll them back and undo that.",
)
for command in (
    serving.serve,
    working.worker,
    reading.datasets,
    reading.snapshots,
    reading.show,
    changing.tag,
    changing.untag,
    changing.rollback,
    changing.undo,
    impact.impact,
    models.models,
    pipelines.pipelines,
    runs.promote,
    doctor.doctor,
):
    app.command()(command)
app.add_typer(checking.app, name="check")
app.add_typer(compaction.app, name="compaction")
app.add_typer(demo.app, name="demo")
app.add_typer(diffing.app, name="diff")
app.add_typer(holds.app, name="hold")
app.add_typer(importing.app, name="import")
app.add_typer(lineage.app, name="lineage")
app.add_typer(models.app, name="model")
app.add_typer(operations.app, name="operation")
app.add_typer(orphans.app, name="orphans")
app.add_typer(pipelines.app, name="pipeline")
app.add_typer(retention.app, name="retention")
app.add_typer(runs.app, name="run")
app.add_typer(schema.app, name="schema")


def main() -> None:
    """Run the program with the arguments of this process and end it with the exit code of docs/cli.md."""
    code = run(sys.argv[1:])
    # Only looked at where the lake was opened at all.
    threads = sys.modules.get("app.lake.threads")
    if threads is not None and threads.are_any_stuck():
        sys.stdout.flush()
        sys.stderr.flush()
        # The interpreter would wait for them, for as long as an object store's client may retry.
        os._exit(code)
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command; answers the exit code, and has written every error to stderr."""
    as_json = "--json" in arguments
    command = arguments[0] if arguments else ""
    try:
        with terminated_like_interrupted(), arguments_named(option_name, OPTIONS_OF_COMMANDS.get(command)):
            code = app(list(arguments), prog_name="stratigraph", standalone_mode=False)
        sys.stdout.flush()
    except AppError as error:
        print_error(error, as_json=as_json, command=command)
        return error.handling.exit_code
    except typer.TyperException as error:
        print_failure("USAGE", _usage_message(error), exit_code=error.exit_code, as_json=as_json)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output has gone (`| head`); nothing more can be said, also not by the interpreter's flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNEXPECTED
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  the last resort of a program: told, never swallowed
        if os.environ.get("STRATIGRAPH_LOG_LEVEL", "").lower() == "debug":
            traceback.print_exc()
        message = (
            f"{type(error).__name__}: {error}. This is a fault of the program; STRATIGRAPH_LOG_LEVEL=debug shows where."
        )
        print_failure("INTERNAL_ERROR", message, exit_code=UNEXPECTED, as_json=as_json)
        return UNEXPECTED
    return code if isinstance(code, int) else 0


def _usage_message(error: typer.TyperException) -> str:
    message = error.format_message()
    return message if message.startswith("Usage:") else f"{message} `--help` after a command explains it."
