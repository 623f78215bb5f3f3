"""What becomes of tests whose server this machine cannot start: told loudly, and with CI=true a failure.

A pytest plugin, loaded by tests/conftest.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.servers import cassandra, janusgraph, rest_catalog, spark

NEEDS: dict[str, Callable[[], str | None]] = {
    "cassandra": cassandra.find_missing,
    "janusgraph": janusgraph.find_missing,
    "rest_catalog": rest_catalog.find_missing,
    "spark": spark.find_missing,
}


def find_missing(item: pytest.Item) -> str | None:
    """What the test needs and this machine lacks, in plain words."""
    reasons = (find() for marker, find in NEEDS.items() if item.get_closest_marker(marker))
    return next((reason for reason in reasons if reason), None)


def is_ci() -> bool:
    """Whether a test that cannot run is a failure."""
    return os.environ.get("CI", "").lower() in ("1", "true")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture: a server that cannot start would only fail later and less clearly."""
    reason = find_missing(item)
    if reason is None:
        return
    if is_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what did not run in a way that is not taken for a pass."""
    reasons = [
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    ]
    if reasons:
        terminalreporter.section(f"{len(reasons)} tests did NOT run", sep="#", red=True)
        for reason in sorted(set(reasons)):
            terminalreporter.write_line(f"{reasons.count(reason)}: {reason}")
