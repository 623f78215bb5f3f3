import os
import subprocess
import sys

import pytest

from app.cli.main import run
from app.settings import PREFIX
from tests.cli.results import ROOT, TIMEOUT_S, Cli, Result
from tests.lake_fixtures import own_lake, shared_lake
from tests.lake_tables import Orders, SmallLake


@pytest.fixture
def lake(request: pytest.FixtureRequest) -> SmallLake:
    """The lake that the program works on: a test's own where it asks for one, else the one that all share."""
    name = "own_lake" if "own_lake" in request.fixturenames else "shared_lake"
    found: SmallLake = request.getfixturevalue(name)
    return found


@pytest.fixture
def orders(lake: SmallLake) -> Orders:
    return lake.orders


@pytest.fixture
def environment(lake: SmallLake, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Our variables as the program under test sees them, and no others of ours."""
    settings = lake.settings
    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    ours = {"STRATIGRAPH_HOME": str(settings.home), "STRATIGRAPH_DATABASE_URL": str(settings.database_url)}
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NO_COLOR", "1")
    return ours


@pytest.fixture
def cli(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Cli:
    """The program within this process, which is quick."""
    del environment

    def invoke(*arguments: str) -> Result:
        capsys.readouterr()
        exit_code = run(arguments)
        captured = capsys.readouterr()
        return Result(exit_code, captured.out, captured.err)

    return invoke


@pytest.fixture
def program(environment: dict[str, str]) -> Cli:
    """The program as a user starts it."""
    del environment

    def invoke(*arguments: str) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "app", *arguments],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            cwd=ROOT,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return invoke


__all__ = ["own_lake", "shared_lake"]
