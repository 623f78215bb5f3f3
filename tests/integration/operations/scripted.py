"""What does the tests' operations, and a ledger of who did which."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.errors import JsonValue
from app.services.operation_handlers import Progress


class Scripted:
    """Does what its request says, and writes into a ledger when it begins and when it is done.

    `steps` of `step_s` each; `dies_at` is the step in which it takes its process with it.
    """

    async def run(self, request: Mapping[str, JsonValue], progress: Progress) -> JsonValue:
        asked: Mapping[str, Any] = request
        steps, ledger = asked.get("steps", 1), asked.get("ledger")
        _note(ledger, "begin")
        for step in range(steps):
            if asked.get("dies_at") == step:
                os.kill(os.getpid(), signal.SIGKILL)
            await asyncio.sleep(asked.get("step_s", 0.05))
            progress.report((step + 1) / steps, f"step {step + 1} of {steps}")
        _note(ledger, "done")
        return {"steps": steps, "by": os.getpid()}


def noted(ledger: Path) -> list[tuple[str, int]]:
    """What is in a ledger: what was noted, and by which process."""
    if not ledger.exists():
        return []
    return [(what, int(pid)) for what, pid in (line.split() for line in ledger.read_text().splitlines())]


def _note(ledger: str | None, what: str) -> None:
    if ledger is not None:
        with Path(ledger).open("a") as file:  # one write of one line, which no other process cuts in two
            file.write(f"{what} {os.getpid()}\n")
