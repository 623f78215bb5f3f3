"""A plugin of pytest: what is tested is compiled code, or nothing is."""

from __future__ import annotations

from importlib import import_module

import pytest

from app.lake.parquet.compiled import is_compiled
from tests.compiled.modules import NAMES


def pytest_configure() -> None:
    """Have all modules loaded, from where the tests have them too."""
    if interpreted := [name for name in NAMES if not is_compiled(import_module(name))]:
        raise pytest.UsageError(f"interpreted are {', '.join(interpreted)}")
