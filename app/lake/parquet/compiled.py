"""Whether what reads and writes Parquet's own metadata is compiled in this installation: docs/decisions/0026."""

from __future__ import annotations

from importlib.machinery import ExtensionFileLoader
from types import ModuleType

from app.lake.parquet import wire


def is_compiled(module: ModuleType = wire) -> bool:
    """Whether it is compiled code that runs here; a wheel has all of these modules compiled, or none."""
    spec = module.__spec__
    return spec is not None and isinstance(spec.loader, ExtensionFileLoader)
