"""What whoever waits at a terminal is told."""

from __future__ import annotations

import io

import pytest

from app.cli.progress import Progress, time_left


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("case", "share", "passed_s", "told"),
    [
        ("too early to tell", 0.04, 100.0, ""),
        ("too soon to tell", 0.5, 2.0, ""),
        ("done", 1.0, 100.0, ""),
        ("half", 0.5, 42.0, "0:42 left, "),
        ("minutes", 0.25, 60.0, "3:00 left, "),
        ("hours", 0.1, 3600.0, "9:00:00 left, "),
    ],
)
def test_what_is_left_is_told_by_the_pace_so_far(case: str, share: float, passed_s: float, told: str) -> None:
    assert time_left(share, passed_s) == told, case


def test_a_terminal_is_shown_a_line_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)

    with Progress(is_shown=True) as progress:
        progress.report(0.5, "gold.\x1bcustomers")

    assert terminal.getvalue() == "\r\x1b[K[##########..........]  50% gold.\\x1bcustomers\r\x1b[K"


@pytest.mark.parametrize(("is_shown", "stderr"), [(False, Terminal()), (True, io.StringIO())])
def test_nobody_else_is(is_shown: bool, stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", stderr)

    with Progress(is_shown=is_shown) as progress:
        progress.report(0.5, "gold.customers")

    assert stderr.getvalue() == ""
