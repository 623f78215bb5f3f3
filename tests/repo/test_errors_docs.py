"""docs/errors.md has a heading for each error code and no other, and its table is the one that the program goes by."""

import ast
import re

import pytest

from app.errors import DOCS_PAGE, HANDLING, AppError, Category, concrete_errors
from app.graphql import errors as graphql_errors
from tests.repo.paths import APP, DOCS, ROOT, headings

CODE = re.compile(r"[A-Z][A-Z_]+")
FACES = [path for part in ("graphql", "rest", "cli", "services") for path in (APP / part).rglob("*.py")]


def codes_of_faces() -> set[str]:
    """Codes that a face gives beside those of `app.errors`."""
    constants = {value for name, value in vars(graphql_errors).items() if name.isupper() and isinstance(value, str)}
    written = set()
    for path in FACES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "code":
                written |= texts(node.value)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print_failure":
                written |= texts(node.args[0])
            elif isinstance(node, ast.Dict):
                keys_and_values = zip(node.keys, node.values, strict=True)
                written |= {
                    text
                    for key, value in keys_and_values
                    if isinstance(key, ast.Constant) and key.value == "code"
                    for text in texts(value)
                }
    return {code for code in constants | written if CODE.fullmatch(code)}


def texts(node: ast.expr) -> set[str]:
    return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()


def documented() -> list[str]:
    return [heading for heading in headings(DOCS / "errors.md") if CODE.fullmatch(heading)]


def test_faces_have_codes_of_their_own():
    assert {"UNKNOWN_PATH", "NOT_READY", "USAGE", "BAD_REQUEST", "INTERNAL_ERROR"} <= codes_of_faces()


def test_documented_are_all_codes_and_no_others():
    assert sorted(documented()) == sorted({*concrete_errors(), *codes_of_faces()})


@pytest.mark.parametrize("code", concrete_errors())
def test_link_of_an_error_leads_to_its_heading(code: str):
    error = concrete_errors()[code]
    page, _, anchor = error.docs.fget(_bare(error)).partition("#")  # type: ignore[attr-defined]
    assert page == DOCS_PAGE
    assert (ROOT / page).exists()
    # GitHub's anchor of a heading: lower case, blanks as hyphens, punctuation but `-` and `_` dropped.
    assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(ROOT / page)}


@pytest.mark.parametrize("code", concrete_errors())
def test_section_names_the_category_of_the_error(code: str):
    section = re.search(rf"^## {code}\n(.+)", (DOCS / "errors.md").read_text(), re.MULTILINE)
    assert section is not None
    assert section[1].startswith(f"`{concrete_errors()[code].category.value}`.")


@pytest.mark.parametrize("category", Category)
def test_table_of_categories_is_the_one_in_force(category: Category):
    handling = HANDLING[category]
    retryable = "yes" if handling.is_retryable else "no"
    row = f"| `{category.value}` | {handling.http_status} | {handling.exit_code} | {retryable} |"
    assert row in (DOCS / "errors.md").read_text()


def _bare(error: type[AppError]) -> AppError:
    return error.__new__(error)
