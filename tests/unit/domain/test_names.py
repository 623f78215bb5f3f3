"""How datasets are addressed."""

from __future__ import annotations

import pytest

from app.domain.names import MAX_NAME_CHARS, DatasetName, check_namespace
from app.errors import InvalidNameError


@pytest.mark.parametrize(
    ("case", "text", "namespace", "name"),
    [
        ("one level", "bronze.orders", "bronze", "orders"),
        ("two levels", "lake.bronze.orders", "lake.bronze", "orders"),
        ("unicode", "bronze.größe", "bronze", "größe"),
        ("space inside", "bronze.my table", "bronze", "my table"),
        ("longest", f"n.{'x' * MAX_NAME_CHARS}", "n", "x" * MAX_NAME_CHARS),
    ],
)
def test_last_dot_separates_namespace_and_name(case, text, namespace, name):
    parsed = DatasetName.parse(text)

    assert (parsed.namespace, parsed.name, str(parsed)) == (namespace, name, text)


@pytest.mark.parametrize(
    ("case", "text"),
    [
        ("empty", ""),
        ("no dot", "orders"),
        ("dot alone", "."),
        ("dots alone", "..."),
        ("no namespace", ".orders"),
        ("no name", "bronze."),
        ("empty level", "lake..orders"),
        ("NUL", "bronze.ord\x00ers"),
        ("newline", "bronze.orders\n"),
        ("lone surrogate", "bronze.\ud800"),
        ("slash in the name", "bronze.a/b"),
        ("slash in the namespace", "../bronze.orders"),
        ("name too long", f"n.{'x' * (MAX_NAME_CHARS + 1)}"),
        ("level too long", f"{'x' * (MAX_NAME_CHARS + 1)}.t"),
    ],
)
def test_malformed_name_is_refused(case, text):
    with pytest.raises(InvalidNameError) as caught:
        DatasetName.parse(text)

    assert len(caught.value.message) < 400
    caught.value.message.encode()


def test_name_with_a_dot_would_be_read_back_as_another_dataset():
    with pytest.raises(InvalidNameError, match="dot"):
        DatasetName.checked("lake", "bronze.orders")


def test_namespace_is_its_own_answer():
    assert check_namespace("lake.bronze") == "lake.bronze"


def test_names_sort_by_namespace_then_name():
    names = [DatasetName.parse(text) for text in ("silver.a", "bronze.b", "bronze.a")]

    assert [str(name) for name in sorted(names)] == ["bronze.a", "bronze.b", "silver.a"]
