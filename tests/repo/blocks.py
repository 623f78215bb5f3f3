"""The blocks of a document, and how each is executed.

| fence     | what becomes of it                                                                                   |
|-----------|------------------------------------------------------------------------------------------------------|
| `console` | lines that begin with `$ ` (`> ` continues one) run in bash; what follows is their output, both streams |
| `graphql` | sent to the server; a comment `# X-Actor: name` gives the header                                     |
| `json`    | after `graphql`: its variables, then (with `data` or `errors`) its answer                            |
| `python`  | run in the namespace of the document (sybil's own parser)                                            |
| `yaml`    | the file that its first line names in a comment                                                      |
| `text`    | shown, not run                                                                                       |

Any other fence is refused. `http://127.0.0.1:8000` stands for the server, wherever it listens. A command that does not
end with 0 is followed by `$ echo $?`, so that the document tells so.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
from sybil import Document, Example, Region
from sybil.parsers.markdown.lexers import FencedCodeBlockLexer

from app.cli.main import run
from tests.repo.shown import Shown

SHOWN_URL = "http://127.0.0.1:8000"
COMMAND_TIMEOUT_S = 60
_LEFT_TO_SYBIL = ("python",)
_NOT_RUN = ("text",)


@dataclass(kw_only=True)
class Reader:
    """Someone who reads a document from the top and does what it says."""

    url: str
    folder: Path
    environment: dict[str, str]
    shown: Shown = field(default_factory=Shown)

    def run(self, command: str, last_exit_code: int) -> tuple[int, str]:
        """Exit code and output of a command as a terminal would show them."""
        command = self._to_real(command)
        if (plain := _parse_plain(command)) is not None:
            return self._run_in_process(*plain)
        done = subprocess.run(
            ["bash", "-c", f"(exit {last_exit_code})\n{command}"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        return done.returncode, self._to_shown(done.stdout)

    def _run_in_process(self, variables: dict[str, str], arguments: list[str]) -> tuple[int, str]:
        # A start of Python and of all that is imported costs seconds of the test, forty times; the shell's blocks and
        # tests/cli start the program as a user does.
        output = io.StringIO()
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.redirect_stdout(output))
            stack.enter_context(contextlib.redirect_stderr(output))
            stack.enter_context(contextlib.chdir(self.folder))
            stack.enter_context(patch.dict(os.environ, {**self.environment, **variables}, clear=True))
            exit_code = run(arguments)
        return exit_code, self._to_shown(output.getvalue())

    def post(self, query: str, variables: dict[str, Any], headers: dict[str, str]) -> Any:
        """The answer to a GraphQL request."""
        body = {"query": self._to_real(query), "variables": json.loads(self._to_real(json.dumps(variables)))}
        answer = httpx.post(f"{self.url}/graphql", json=body, headers=headers, timeout=COMMAND_TIMEOUT_S)
        return answer.json()

    def write(self, name: str, text: str) -> None:
        """Write a file that the document shows."""
        (self.folder / name).write_text(self._to_real(text))

    def _to_real(self, text: str) -> str:
        return self.shown.to_real(text).replace(SHOWN_URL, self.url)

    def _to_shown(self, text: str) -> str:
        return text.replace("\r\n", "\n").replace(self.url, SHOWN_URL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command of a console block and the output shown below it."""

    line: str
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A GraphQL block with the variables and the answer that follow it."""

    query: str
    variables: dict[str, Any]
    answer: Any


def parse_blocks(document: Document) -> Iterable[Region]:
    """All blocks but Python's, as regions for sybil. Raises ValueError for a block that nobody would execute."""
    fences = list(FencedCodeBlockLexer(language=r"[^\n]*")(document))
    opened = len(re.findall(r"^ {0,3}```", document.text, re.MULTILINE))
    if opened != 2 * len(fences):
        raise ValueError(f"{document.path}: a fence is not closed")
    number = 0
    while number < len(fences):
        fence = fences[number]
        language, source = fence.lexemes["language"], str(fence.lexemes["source"])
        number += 1
        if language == "graphql":
            following = []
            while number < len(fences) and fences[number].lexemes["language"] == "json" and len(following) < 2:
                following.append(fences[number])
                number += 1
            end = following[-1].end if following else fence.end
            texts = [str(region.lexemes["source"]) for region in following]
            yield Region(fence.start, end, _to_request(source, texts), _run_request)
        elif language == "console":
            yield Region(fence.start, fence.end, to_commands(source), _run_commands)
        elif language == "yaml":
            yield Region(fence.start, fence.end, source, _write_file)
        elif language not in (*_LEFT_TO_SYBIL, *_NOT_RUN):
            line = document.text[: fence.start].count("\n") + 1
            raise ValueError(f"{document.path}:{line}: nothing executes a block of {language!r}")


def to_commands(source: str) -> list[Command]:
    """The commands of a console block, each with the output shown."""
    found: list[Command] = []
    lines, output = "", ""
    for line in source.splitlines():
        if line.startswith("$ "):
            if lines:
                found.append(Command(line=lines, output=output))
            lines, output = line[2:], ""
        elif line.startswith("> ") and lines and not output:
            lines += "\n" + line[2:]
        elif not lines:
            raise ValueError(f"a console block begins with a command, not with {line!r}")
        else:
            output += line + "\n"
    return [*found, Command(line=lines, output=output)]


def _parse_plain(command: str) -> tuple[dict[str, str], list[str]] | None:
    """Variables and arguments of a `stratigraph` command that leaves a shell nothing to do; None for any other."""
    if re.search(r"[|;&$`<>\n]", command):
        return None
    words = shlex.split(command)
    program = next((number for number, word in enumerate(words) if not re.match(r"[A-Z_]+=", word)), len(words))
    if words[program : program + 1] != ["stratigraph"] or words[program + 1] == "serve":
        return None
    return dict(word.split("=", 1) for word in words[:program]), words[program + 1 :]


def _to_request(query: str, texts: list[str]) -> Request:
    values = [json.loads(text) for text in texts]
    answers = [value for value in values if value.keys() & {"data", "errors"}]
    variables = [value for value in values if not value.keys() & {"data", "errors"}]
    if len(answers) != 1 or len(variables) > 1 or values[-1] is not answers[0]:
        raise ValueError("a graphql block is followed by its variables, if it has any, and its answer")
    return Request(query=query, variables=variables[0] if variables else {}, answer=answers[0])


def _run_commands(example: Example) -> None:
    reader: Reader = example.namespace["reader"]
    exit_code = 0
    commands: list[Command] = example.parsed
    for command, following in zip(commands, [*commands[1:], None], strict=True):
        exit_code, output = reader.run(command.line, exit_code)
        if exit_code and (following is None or following.line != "echo $?"):
            raise AssertionError(f"`{command.line}` ended with {exit_code}, and no `$ echo $?` says so:\n{output}")
        reader.shown.check_text(command.output, output)


def _run_request(example: Example) -> None:
    reader: Reader = example.namespace["reader"]
    request: Request = example.parsed
    actor = re.search(r"^# X-Actor: (.+)$", request.query, re.MULTILINE)
    answer = reader.post(request.query, request.variables, {"X-Actor": actor[1]} if actor else {})
    reader.shown.check_json(request.answer, answer)


def _write_file(example: Example) -> None:
    name = re.match(r"# (\S+)\n", example.parsed)
    assert name is not None, "the first line of a yaml block names the file in a comment"
    reader: Reader = example.namespace["reader"]
    reader.write(name[1], example.parsed)


def reader_environment(folder: Path, program_dirs: list[Path]) -> dict[str, str]:
    """The variables of a reader who has set nothing: none of ours, homes in `folder`, no colours, output at once."""
    ours = ("STRATIGRAPH_", "PYICEBERG_", "OTEL_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    path = os.pathsep.join([*map(str, program_dirs), os.environ["PATH"]])
    homes = {"HOME": str(folder), "STRATIGRAPH_HOME": str(folder / "home")}
    return {**kept, **homes, "PATH": path, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
