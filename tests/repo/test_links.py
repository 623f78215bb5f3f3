"""Relative links in documents lead somewhere."""

import re
from pathlib import Path

import pytest

from tests.repo.paths import DOCUMENTS, ROOT, headings

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_resolve(document: Path):
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    broken = [link for link in LINK.findall(text) if not leads_somewhere(document, link)]
    assert broken == []


def leads_somewhere(document: Path, link: str) -> bool:
    if re.match(r"[a-z]+:", link):
        return True
    path, _, anchor = link.partition("#")
    target = (document.parent / path).resolve() if path else document
    if not target.exists():
        return False
    return not anchor or anchor in {anchor_of(heading) for heading in headings(target)}


def anchor_of(heading: str) -> str:
    """GitHub's anchor of a heading: lower case, blanks as hyphens, punctuation but `-` and `_` dropped."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
