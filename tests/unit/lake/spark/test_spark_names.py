"""Names and texts in Spark's SQL."""

from __future__ import annotations

import pytest

from app.domain.names import DatasetName
from app.lake.spark.names import literal, quoted, table_name


@pytest.mark.parametrize(
    ("name", "found"),
    [("a", "`a`"), ("a`b", "`a``b`"), ("a.b", "`a.b`"), ("`", "````")],
    ids=["plain", "tick", "dot", "only"],
)
def test_identifiers_are_quoted(name: str, found: str) -> None:
    assert quoted(name) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [("a", "'a'"), ("it's", r"'it\'s'"), ("a\\", r"'a\\'"), ("\\'", r"'\\\''")],
    ids=["plain", "quote", "backslash", "both"],
)
def test_texts_are_quoted(text: str, found: str) -> None:
    assert literal(text) == found


def test_each_level_of_a_namespace_is_a_part() -> None:
    assert table_name("our cat", DatasetName(namespace="a.b", name="t")) == "`our cat`.`a`.`b`.`t`"
