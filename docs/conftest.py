"""Executes every block of docs/guide.md from its top to its end, against a server of its own with the sample lake.

What the blocks may be and how their output is compared: tests/repo/blocks.py and tests/repo/shown.py.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

from tests.repo.blocks import Reader, parse_blocks, reader_environment

STOP_TIMEOUT_S = 30
FALLBACKS = Path(__file__).parent.parent / "tests" / "repo" / "programs"


@pytest.fixture(scope="session")
def guide_reader() -> Iterator[Reader]:
    """A reader of the guide: has installed the program, started the server, and opened another terminal."""
    programs = [Path(sys.executable).parent]
    if shutil.which("curl") is None:
        programs.append(FALLBACKS)
    with tempfile.TemporaryDirectory(prefix="stratigraph-guide-") as folder:
        environment = reader_environment(Path(folder), programs)
        terminal = Path(folder) / "terminal"
        terminal.mkdir()
        log = Path(folder) / "serve.log"
        with log.open("wb") as stderr:
            server = subprocess.Popen(
                [sys.executable, "-m", "app", "serve", "--port", "0", "--json"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
            try:
                yield Reader(url=_wait_for_url(server, log), folder=terminal, environment=environment)
            finally:
                server.send_signal(signal.SIGINT)
                server.wait(STOP_TIMEOUT_S)


@pytest.fixture
def reader(guide_reader: Reader, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """The reader, with the variables of whose terminal the Python blocks run too."""
    for name in set(os.environ) - set(guide_reader.environment):
        monkeypatch.delenv(name)
    for name, value in guide_reader.environment.items():
        monkeypatch.setenv(name, value)
    return guide_reader


def _wait_for_url(server: subprocess.Popen[str], log: Path) -> str:
    document = ""
    for line in server.stdout or ():
        document += line
        if line.startswith("}"):
            return str(json.loads(document)["url"])
    raise AssertionError(f"the server did not start:\n{log.read_text()[-4000:]}")


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(doctest_optionflags=ELLIPSIS | NORMALIZE_WHITESPACE), parse_blocks],
    filenames=["guide.md"],
    fixtures=["reader"],
).pytest()
