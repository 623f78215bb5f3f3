"""Who may import what: import-linter's contracts hold, and each driver stays in its place."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.repo.paths import APP, MODULES, ROOT

# Package -> the parts of app/ that may import it.
PLACES = {
    "pyiceberg": ("lake",),
    "pyarrow": ("artifacts", "lake"),
    "fsspec": ("artifacts",),
    "botocore": ("artifacts", "lake"),
    "sqlalchemy": ("lake", "mlflow"),
    "mlflow": ("mlflow",),
    "asyncpg": ("lineage", "postgres", "registry"),
    "strawberry": ("graphql",),
    "graphql": ("graphql",),
    "gremlin_python": ("lineage",),
}


def imported(module: Path) -> Iterator[str]:
    """The outside packages that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_contracts_of_import_linter_hold():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("package", PLACES)
def test_package_is_imported_only_where_it_belongs(package: str):
    users = {module.relative_to(APP).parts[0] for module in MODULES if package in set(imported(module))}
    assert users <= set(PLACES[package])


@pytest.mark.parametrize("package", [package for package, places in PLACES.items() if places])
def test_package_is_used_at_all(package: str):
    # Else the rule above would hold whatever it said.
    assert any(package in set(imported(module)) for module in MODULES)


def test_what_modules_begin_with_is_installed_without_extras_and_tools():
    # Tests have more installed than a server, and would not miss it.
    options = ["--no-default-groups", "--no-hashes", "--no-emit-project", "--no-header", "--no-annotate"]
    done = subprocess.run(
        [Path(sys.executable).parent / "uv", "export", "--frozen", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    installed = {re.split(r"[ ;=\[]", line)[0] for line in done.stdout.splitlines()}
    distributions = packages_distributions()
    missing = {
        f"{module.relative_to(ROOT)}: {package}"
        for module in MODULES
        for package in imported_at_once(module) - sys.stdlib_module_names - {"app"}
        if not {re.sub(r"[-_.]+", "-", name).lower() for name in distributions.get(package, ())} & installed
    }
    assert missing == set()


def imported_at_once(module: Path) -> set[str]:
    """The outside packages without which the module cannot be imported."""
    found = set()
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found
