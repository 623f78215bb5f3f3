"""Where the things are that these tests look at."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
APP = ROOT / "app"
DOCS = ROOT / "docs"

MODULES = sorted(APP.rglob("*.py"))
# Not the folders that tools leave behind.
DOCUMENTS = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def headings(document: Path) -> list[str]:
    """The headings of a Markdown file, those in code blocks left out."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^#+ (.+)$", text, re.MULTILINE)
