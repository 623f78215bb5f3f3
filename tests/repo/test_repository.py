"""What is committed is current, public and complete."""

import importlib
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from app.graphql.schema import print_sdl
from tests.compiled.modules import COMPILER, FILES
from tests.repo.paths import DOCS, ROOT

PUBLIC_HOSTS = {
    "uv.lock": {"files.pythonhosted.org", "pypi.org"},
    "app/graphql/graphiql/package-lock.json": {"registry.npmjs.org"},
}
# Where the field names what is installed; other links (funding, homepages) are nobody's registry.
SOURCES = re.compile(r'(?:\burl = |registry = |index-url = |"resolved": )"(?:git\+)?[a-z+]+://([^/"]+)')
OF_ONE_MACHINE = re.compile(r"(?<![\w.])/(?:home|Users|work|root/\w)[/\w.-]*/")
TEXT_FILES = ("*.md", "*.py", "*.toml", "*.yaml", "*.yml", "*.sh", "*.graphql", "Makefile", "Dockerfile")


def committed() -> list[Path]:
    """Text files that are ours: not those of tools, builds and vendors."""
    foreign = {".venv", "build", "target", "vendor", "node_modules", "__pycache__", ".git"}
    found = {path for pattern in TEXT_FILES for path in ROOT.rglob(pattern)} | {ROOT / ".ci" / "run"}
    return sorted(path for path in found if not foreign & set(path.relative_to(ROOT).parts))


def test_committed_graphql_schema_is_current():
    committed_text = (ROOT / "schema.graphql").read_text()
    assert committed_text.rstrip("\n") == print_sdl().rstrip("\n"), "write it anew with: make schema"


@pytest.mark.parametrize("lock_file", PUBLIC_HOSTS)
def test_lock_file_names_public_registries_only(lock_file: str):
    assert set(SOURCES.findall((ROOT / lock_file).read_text())) <= PUBLIC_HOSTS[lock_file]


def test_a_registry_in_a_lock_file_is_found():
    lines = ['source = { registry = "https://a.example/simple" }', '"resolved": "http://b.example:4873/x.tgz"']
    assert [SOURCES.findall(line) for line in lines] == [["a.example"], ["b.example:4873"]]


def test_modules_are_compiled_by_the_mypy_that_checks_them():
    locked = {
        package["name"]: package["version"] for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    }
    assert f"mypy=={locked['mypy']}" in COMPILER


def test_modules_that_are_compiled_exist_and_their_list_is_the_makefiles():
    makefile = (ROOT / "Makefile").read_text() + "\nlisted:\n\t@echo $(MODULES)\n"
    # Within `make test` another make would say that it is one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "--no-print-directory", "-f", "-", "listed"],
        input=makefile,
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == FILES
    assert all((ROOT / file).is_file() for file in FILES)


def test_no_path_of_one_machine_is_committed():
    here = Path(__file__)
    found = {
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in committed()
        if path != here
        for match in OF_ONE_MACHINE.finditer(path.read_text())
    }
    assert found == set()


def test_benchmarks_that_are_documented_exist():
    modules = set(re.findall(r"benchmarks[./](\w+)", (DOCS / "performance.md").read_text()))
    assert modules
    for name in modules - {"py"}:
        assert importlib.util.find_spec(f"benchmarks.{name}") is not None, name


def test_decisions_are_numbered_without_gap_and_say_context_choice_and_consequences():
    pages = sorted((DOCS / "decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        parts = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
        assert parts == ["Context", "Choice", "Consequences"], page.name
