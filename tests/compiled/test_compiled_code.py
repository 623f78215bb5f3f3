"""Compiled, the modules that copy Parquet pages do what they do interpreted: docs/decisions/0026.

Needs `make compiled`. Each run has a process of its own, because a process has a module once.
"""

from __future__ import annotations

import filecmp
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.compiled.modules import COMPILED, FILES, NAMES, WHEELS
from tests.repo.paths import APP, ROOT

SUITES = [
    "tests/unit/lake/test_decoded_sizes.py",
    "tests/unit/lake/test_parquet_thrift.py",
    "tests/unit/lake/compact/test_joined_pages.py",
    "tests/unit/lake/compact/test_merging_dictionaries.py",
    "tests/unit/lake/compact/test_merging_files.py",
    "tests/unit/lake/compact/test_merging_pages.py",
    "tests/unit/lake/compact/test_merging_statistics.py",
    "tests/unit/lake/compact/test_parquet_footers.py",
    "tests/unit/lake/compact/test_parquet_joining.py",
]


@pytest.fixture(scope="module")
def compiled() -> Path:
    """Compiled modules, and all others beside them."""
    if missing := what_is_missing():
        missing = f"{missing}: make compiled"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return COMPILED


def what_is_missing() -> str | None:
    """Why the compiled modules are not those of these files, in words."""
    wheels = list(WHEELS.glob("*.whl"))
    if not COMPILED.exists() or not wheels:
        return "there are no compiled modules"
    with zipfile.ZipFile(wheels[0]) as archive:
        stale = [name for name in FILES if archive.read(name) != (ROOT / name).read_bytes()]
    others = [str(path.relative_to(ROOT)) for path in APP.rglob("*.py")]
    _, differing, absent = filecmp.cmpfiles(ROOT, COMPILED, others, shallow=False)
    stale = sorted({*stale, *differing, *absent})
    return f"these were changed since modules were compiled: {', '.join(stale)}" if stale else None


def run(folder: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """A Python program with `app` from this folder, and the tests from here."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHON"))}
    # Else the working directory's modules would come first.
    environment |= {"PYTHONSAFEPATH": "1", "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def run_suites(folder: Path, suites: Sequence[str]) -> subprocess.CompletedProcess[str]:
    options = ["-q", "-o", "pythonpath=", "-p", "tests.compiled.proof", "-p", "no:cacheprovider", "-p", "no:xdist"]
    return run(folder, ["-m", "pytest", *options, *suites])


def test_all_modules_are_compiled(compiled: Path) -> None:
    program = "\n".join(f"import {name}; print({name}.__file__)" for name in NAMES)

    done = run(compiled, ["-c", program])

    assert done.stderr == ""
    found = [Path(line) for line in done.stdout.splitlines()]
    assert [file.relative_to(compiled).parent for file in found] == [Path(file).parent for file in FILES]
    assert all(file.is_file() and file.suffix != ".py" for file in found)


@pytest.mark.slow
def test_compiled_modules_pass_the_suites_of_interpreted_ones(compiled: Path) -> None:
    done = run_suites(compiled, SUITES)

    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert " skipped" not in done.stdout


def test_interpreted_modules_are_not_taken_for_compiled_ones() -> None:
    done = run_suites(ROOT, SUITES[:1])

    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "interpreted are" in done.stderr
    assert "app.lake.parquet.wire" in done.stderr
    assert " passed" not in done.stdout


def test_compiled_modules_answer_as_interpreted_ones(compiled: Path) -> None:
    answers = {}
    for folder in (ROOT, compiled):
        done = run(folder, ["-m", "tests.compiled.answers"])
        assert done.stderr == ""
        by, *answers[folder] = done.stdout.splitlines()
        assert by == ("compiled" if folder == compiled else "interpreted")

    assert len(answers[ROOT]) > 10_000
    differing = [pair for pair in zip(answers[ROOT], answers[compiled], strict=True) if pair[0] != pair[1]]
    assert differing[:10] == []
