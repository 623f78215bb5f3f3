"""Which modules are compiled, and where `make compiled` leaves them."""

from __future__ import annotations

import tomllib

from tests.repo.paths import ROOT

COMPILED = ROOT / "build" / "compiled"
WHEELS = ROOT / "build" / "wheel"

_HOOK = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]
FILES: list[str] = _HOOK["custom"]["modules"]
COMPILER: list[str] = _HOOK["custom"]["compiler"]
NAMES = [file.removesuffix(".py").replace("/", ".") for file in FILES]
