"""Real processes race for one table on a real Postgres; afterwards every commit is held against what was answered."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.races import checks
from tests.integration.races.table import MAIN, NAME, STAGE, change_rows, create_table, make_settings, our_catalog
from tests.integration.races.workers import CONTEXT, LATE_S, ROLES, append_on, start, version

# What is awaited after the time is up: the last commits, with their retries, on a machine that others use too.
GRACE_S = LATE_S + 60


@pytest.mark.parametrize(
    "duration_s", [pytest.param(5.0, id="short"), pytest.param(60.0, id="full", marks=pytest.mark.long)]
)
def test_nothing_acknowledged_is_lost_in_a_race(database_url: str, tmp_path: Path, duration_s: float) -> None:
    # given a table with retention settings on its branches
    settings = make_settings(database_url, tmp_path / "home")
    create_table(settings)
    with our_catalog(settings) as catalog:
        before = catalog.load_table(str(NAME)).metadata_location
    ledger_folder = tmp_path / "ledger"
    ledger_folder.mkdir()

    # when appenders (ours and others'), a tagger, a mover, a deleter, a roller-back and an undoer work on it at once
    begin = CONTEXT.Event()
    race = (settings, ledger_folder, begin, duration_s)
    processes = [
        start(append_on, "ours", race, "ours", MAIN),
        start(append_on, "stock-1", race, "stock", MAIN),
        start(append_on, "stock-2", race, "stock", MAIN),
        start(append_on, "stock-stage", race, "stock", STAGE),
        *(start(version, role, race, role) for role in ROLES),
    ]
    begin.set()
    for process in processes:
        process.join(timeout=duration_s + GRACE_S)
    exit_codes = {process.name: process.exitcode for process in processes}

    # then everything answered is there, and nothing else
    assert exit_codes == dict.fromkeys(exit_codes, 0)
    ledger = checks.read_ledgers(ledger_folder)
    rows = asyncio.run(change_rows(database_url))
    with our_catalog(settings) as catalog:
        table = catalog.load_table(str(NAME))
        steps = checks.walk(table, before)
        checks.check_refusals(ledger)
        checks.check_records(ledger, rows, steps)
        checks.check_steps(steps, rows, ledger)
        checks.check_present(steps, ledger)
        checks.check_rows(table, ledger)
    done = Counter(entry["op"] for entry in ledger if "refused" not in entry)
    assert set(done) == {"append", "tag", "move", "untag", "roll_back", "undo"}, "some never got their turn"
