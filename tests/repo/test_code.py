"""Rules for code that no linter checks."""

import ast
from pathlib import Path

import pytest

from tests.repo.paths import MODULES, ROOT

MAX_LINES = 400
BROAD = {"Exception", "BaseException"}


def by_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("module", MODULES, ids=by_name)
def test_module_is_not_too_long(module: Path):
    assert len(module.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("module", MODULES, ids=by_name)
def test_nothing_is_swallowed(module: Path):
    assert swallowing(module.read_text()) == []


@pytest.mark.parametrize("module", [module for module in MODULES if "sample" not in module.parts], ids=by_name)
def test_manifests_are_read_by_our_own_readers(module: Path):
    # pyiceberg's name no file, and take one that was cut short for a shorter one: `app.lake.manifest_files` has ours.
    assert ".manifests(" not in module.read_text()


@pytest.mark.parametrize(
    ("case", "source", "expected"),
    [
        ("bare", "try:\n    f()\nexcept:\n    raise", [3]),
        ("pass", "try:\n    f()\nexcept Exception:\n    pass", [3]),
        ("ellipsis", "try:\n    f()\nexcept BaseException:\n    ...", [3]),
        ("return None", "try:\n    f()\nexcept Exception as e:\n    return None", [3]),
        ("return", "try:\n    f()\nexcept (ValueError, Exception):\n    return", [3]),
        ("continue", "for x in y:\n    try:\n        f()\n    except Exception:\n        continue", [4]),
        ("suppress", "with contextlib.suppress(Exception):\n    f()", [1]),
        ("typed", "try:\n    f()\nexcept ValueError:\n    return None", []),
        ("told", "try:\n    f()\nexcept Exception:\n    log.exception('no')\n    return None", []),
        ("raised on", "try:\n    f()\nexcept BaseException:\n    g()\n    raise", []),
    ],
)
def test_swallowing_is_found(case: str, source: str, expected: list[int]):
    assert swallowing(source) == expected, case


def swallowing(source: str) -> list[int]:
    """Lines where any error at all is caught and nothing is made of it."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler):
            if node.type is None or (is_broad(node.type) and all(is_nothing(statement) for statement in node.body)):
                lines.append(node.lineno)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            lines += [node.lineno for argument in node.args if is_broad(argument)]
    return lines


def is_broad(node: ast.expr) -> bool:
    names = node.elts if isinstance(node, ast.Tuple) else [node]
    return any(isinstance(name, ast.Name) and name.id in BROAD for name in names)


def is_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Pass | ast.Continue | ast.Break):
        return True
    value = getattr(statement, "value", None)
    if isinstance(statement, ast.Return):
        return value is None or (isinstance(value, ast.Constant) and value.value is None)
    return isinstance(statement, ast.Expr) and isinstance(value, ast.Constant)
