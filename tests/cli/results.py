"""What a run of the program came to."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 120


@dataclass(frozen=True)
class Result:
    exit_code: int
    stdout: str
    stderr: str

    @property
    def answer(self) -> Any:
        """What a command printed with --json."""
        assert self.exit_code == 0, self.stderr
        return json.loads(self.stdout)

    @property
    def error(self) -> dict[str, Any]:
        """The error that a command printed with --json; nothing may be on stdout then."""
        assert self.exit_code != 0
        assert self.stdout == ""
        return json.loads(self.stderr)["error"]


Cli = Callable[..., Result]
