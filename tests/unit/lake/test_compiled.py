"""Whether modules are compiled: docs/decisions/0026."""

from __future__ import annotations

from types import ModuleType

import pyarrow.lib
import pytest

from app.lake import parquet
from app.lake.parquet.compiled import is_compiled


@pytest.mark.parametrize(
    ("case", "module", "expected"),
    [
        ("compiled", pyarrow.lib, True),
        ("interpreted", parquet, False),
        ("made by nobody", ModuleType("made"), False),
    ],
)
def test_compiled_modules_are_told_from_others(case: str, module: ModuleType, expected: bool) -> None:
    assert is_compiled(module) is expected, case
