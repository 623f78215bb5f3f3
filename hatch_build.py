"""Compiles modules into a wheel where STRATIGRAPH_COMPILE=1 asks for it: docs/decisions/0026."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VARIABLE = "STRATIGRAPH_COMPILE"
# Of mypyc's library, which all modules have in common and which lies beside `app`: from there modules tell their files.
LIBRARY = "stratigraph_parquet"


class CompilingHook(BuildHookInterface):
    """Puts the modules that pyproject.toml lists into the wheel twice: as they are, and compiled.

    Python prefers a compiled module to the one beside it. Where it does not fit the interpreter, it takes the other.
    """

    def dependencies(self) -> list[str]:
        """What compiling takes; nothing where that is not asked for."""
        return list(self.config["compiler"]) if is_asked_for() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, but for an editable installation, whose modules are to be edited.

        Raises:
            RuntimeError: a module cannot be compiled, and there will be no wheel.
        """
        if version == "editable" or not is_asked_for():
            return
        # Removed at the latest when the build's process ends, whatever goes wrong.
        self._built = tempfile.TemporaryDirectory(prefix="stratigraph-compiled-")
        folder = Path(self._built.name)
        files = compiled(self.config["modules"], Path(self.root), folder)
        build_data["force_include"] |= {str(folder / name): name for name in files}
        # Of this interpreter and this platform.
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what is in the wheel now."""
        if hasattr(self, "_built"):
            self._built.cleanup()


def is_asked_for() -> bool:
    """Whether the environment asks for compiling."""
    value = os.environ.get(VARIABLE, "")
    if value not in ("", "0", "1"):
        raise ValueError(f"{VARIABLE} is {value!r}, and can be 1 or 0")
    return value == "1"


def compiled(modules: list[str], root: Path, folder: Path) -> list[str]:
    """Compile modules of `root` into the folder, and tell their files by their names in it.

    Raises:
        RuntimeError: one cannot be compiled.
    """
    # What only a build that compiles has.
    from mypyc.build import mypycify
    from setuptools import Distribution

    options = [
        # The project's own configuration asks for plugins, and for packages that a build does not have.
        "--config-file=",
        # The same is compiled wherever it is built: nothing is known but these modules and the standard library.
        "--no-site-packages",
        "--follow-imports=skip",
        "--ignore-missing-imports",
        f"--cache-dir={folder / 'cache'}",
    ]
    before = Path.cwd()
    # Modules are named by their paths, and tracebacks tell those.
    os.chdir(root)
    try:
        extensions = mypycify([*options, *modules], target_dir=str(folder / "c"), group_name=LIBRARY, debug_level="0")
        command = Distribution({"ext_modules": extensions}).get_command_obj("build_ext")
        command.build_lib, command.build_temp = str(folder), str(folder / "objects")
        command.ensure_finalized()
        command.run()
    except SystemExit as error:
        # What mypyc says of it has been printed, or is in it.
        raise RuntimeError(f"mypyc does not compile {', '.join(modules)}: {error}") from error
    finally:
        os.chdir(before)
    names = [command.get_ext_filename(extension.name) for extension in extensions]
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise RuntimeError(f"these were not made: {', '.join(missing)}")
    if len(names) != len(modules) + 1:
        raise RuntimeError(f"of {len(modules)} modules and their library, there are {len(names)} files")
    return names
