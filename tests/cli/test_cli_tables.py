"""Tables of the command line: what a terminal is too narrow for goes below the rows, and no word of it is lost."""

from __future__ import annotations

import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from fcntl import ioctl

import pytest
from rich.console import Console

from app.cli.table_lines import Column, table_lines
from tests.cli.results import ROOT, TIMEOUT_S, Cli
from tests.lake_tables import ORDERS, SmallLake

ID = "pre_rollback_20260215T100000000Z_1348924694887413943"
COLUMNS = [
    Column(header="tag", is_id=True),
    Column(header="age", justify="right"),
    Column(header="owner", is_note=True),
    Column(header="for", is_note=True),
    Column(header="stale", is_note=True),
]
ROWS = [
    ("backup", "12 d", "-", "-", "It is 400 days old, and tags outside the conventions are for 90 days."),
    (ID, "1,234 d", "maria@example.org", f"the state before {ID} was rolled back; asked for by two teams", "-"),
]


def console(width: int, *, is_terminal: bool = True) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=is_terminal, color_system=None)


def words(lines: list[str]) -> set[str]:
    return {word for line in lines for word in line.split()}


def test_what_has_no_place_beside_goes_below_the_last_column_first() -> None:
    assert table_lines(console(100), COLUMNS, ROWS) == [
        "tag                                                       age  owner",
        "backup                                                   12 d  -",
        "    stale: It is 400 days old, and tags outside the conventions are for 90 days.",
        f"{ID}  1,234 d  maria@example.org",
        f"    for: the state before {ID} was rolled back;",
        "        asked for by two teams",
    ]


@pytest.mark.parametrize("width", [40, 64, 80, 100, 120, 160, 400])
def test_no_word_is_broken_or_lost_at_any_width(width: int) -> None:
    lines = table_lines(console(width), COLUMNS, ROWS)

    expected = {word for row in ROWS for cell in row if cell != "-" for word in cell.split()}
    assert expected <= words(lines)
    # As wide as the widest of the ids with what may not go below it, and no wider
    assert max(map(len, lines)) <= max(width, len(ID) + len("  1,234 d"))


def test_in_a_pipe_each_row_is_a_line_whatever_its_width() -> None:
    lines = table_lines(console(80, is_terminal=False), COLUMNS, ROWS)

    assert len(lines) == 1 + len(ROWS)
    assert all(cell in line for row, line in zip(ROWS, lines[1:], strict=True) for cell in row)


def test_without_notes_cells_are_wrapped_and_ids_are_not() -> None:
    columns = [Column(header="id", is_id=True), Column(header="why")]
    lines = table_lines(console(80), columns, [(ID, "because somebody asked for it"), ("x", "-")])

    assert max(map(len, lines)) <= 80
    assert ID in words(lines)


def test_an_audit_is_readable_on_a_terminal_of_100_columns(cli: Cli, own_lake: SmallLake) -> None:
    # Given a hold with a long reason, and an undo pin, whose name is long
    reason = "the inquiry of 2026-14 into orders of customers in the north-west, by the auditors of the group"
    assert cli("hold", "add", ORDERS, "--reason", reason, "--actor", "maria@example.org").exit_code == 0
    assert cli("rollback", ORDERS, str(own_lake.orders.first), "--actor", "jo").exit_code == 0
    (undo_tag,) = [name for name in own_lake.catalog.load_table(ORDERS).refs() if name.startswith("pre_rollback_")]

    shown = on_terminal(["retention", "audit", ORDERS], width=100)

    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert max(map(len, lines)) <= 100
    assert undo_tag in words(lines)
    assert reason in " ".join(line.strip() for line in lines)


def on_terminal(arguments: list[str], *, width: int) -> str:
    """What the program writes to a terminal of so many columns."""
    terminal, end = pty.openpty()
    try:
        ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        process = subprocess.Popen(
            [sys.executable, "-m", "app", *arguments],
            stdin=end,
            stdout=end,
            stderr=end,
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm"},
        )
    finally:
        os.close(end)
    shown = b""
    try:
        while data := os.read(terminal, 4096):
            shown += data
    except OSError:
        # Which ends a terminal.
        pass
    finally:
        os.close(terminal)
    assert process.wait(TIMEOUT_S) == 0
    return shown.decode()
