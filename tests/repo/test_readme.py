"""The README shows nothing that is not run: its blocks are blocks of the guide, or targets of the Makefile."""

import re

from tests.repo.blocks import to_commands
from tests.repo.paths import DOCS, ROOT

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(name: str) -> list[tuple[str, str]]:
    return BLOCK.findall((ROOT / name).read_text())


def test_blocks_of_the_readme_are_run_in_the_guide():
    guide = (DOCS / "guide.md").read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    unrun = []
    for language, text in blocks("README.md"):
        if language == "console":
            commands = [command.line for command in to_commands(text)]
            unrun += [
                line for line in commands if f"$ {line}\n" not in guide and line.removeprefix("make ") not in targets
            ]
        elif text not in guide:
            unrun.append(text)
    assert unrun == []


def test_readme_has_the_two_commands():
    assert "$ make serve\n$ make test\n" in (ROOT / "README.md").read_text()


def test_make_targets_of_contributing_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert set(re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)) <= targets
