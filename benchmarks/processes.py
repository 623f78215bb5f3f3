"""Contestants of a benchmark, each in a process of its own: a line of JSON in, a line of JSON out."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


class Process:
    """A module that runs as a contestant; `arguments` begin with its name."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._name = arguments[0]
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, line: str) -> dict[str, Any]:
        """What it answers to a task. Raises RuntimeError where it has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self._name} ended")
        return dict(json.loads(answer))

    def close(self) -> None:
        """Let it end."""
        self._process.communicate()
