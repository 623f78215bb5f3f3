"""What a dataset of another registry tells of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.imported_models import ImportedDataset
from app.domain.training_references import TrainingReference, find_training_reference

BIG = 2**63 - 1


def reference(source: Any, *, name: str = "dataset", source_type: str = "iceberg", **tags: str) -> TrainingReference:
    text = source if isinstance(source, str) else json.dumps(source)
    named = {tag.replace("__", "."): value for tag, value in tags.items()}
    return find_training_reference(
        ImportedDataset(name=name, source_type=source_type, source=text, digest="1", context="training", tags=named)
    )


@pytest.mark.parametrize(
    ("case", "source", "name", "tags", "table", "snapshot_id", "location"),
    [
        ("both", {"table": "gold.customers", "snapshot_id": 123}, "x", {}, "gold.customers", 123, None),
        ("as a text", {"table": "gold.customers", "snapshot_id": "123"}, "x", {}, "gold.customers", 123, None),
        ("Iceberg's spelling", {"table": "gold.c", "snapshot-id": 1}, "x", {}, "gold.c", 1, None),
        ("all 64 bits", {"table": "gold.c", "snapshot_id": BIG}, "x", {}, "gold.c", BIG, None),
        ("negative", {"table": "gold.c", "snapshot_id": -5}, "x", {}, "gold.c", -5, None),
        ("Spark", {"table_name": "gold.c"}, "x", {"iceberg__snapshot_id": "9"}, "gold.c", 9, None),
        ("Delta", {"delta_table_name": "a.b", "delta_table_version": 3, "path": None}, "x", {}, "a.b", None, None),
        ("tags", {"uri": "/x"}, "x", {"iceberg__table": "gold.c", "iceberg__snapshot_id": "9"}, "gold.c", 9, "/x"),
        ("tag before source", {"table": "old.c"}, "x", {"iceberg__table": "gold.c"}, "gold.c", None, None),
        ("snapshot in the name", {"table": "gold.c.snapshot_id_77"}, "x", {}, "gold.c", 77, None),
        ("said twice alike", {"table": "gold.c.snapshot_id_77", "snapshot_id": 77}, "x", {}, "gold.c", 77, None),
        ("Spark's own catalog", {"table": "spark_catalog.gold.c"}, "x", {}, "gold.c", None, None),
        ("quoted", {"table": "`gold`.`c`"}, "x", {}, "gold.c", None, None),
        ("catalog", {"table": "prod.gold.c", "snapshot_id": 1}, "x", {}, "prod.gold.c", 1, None),
        ("location and snapshot", {"location": "s3://lake/gold/c", "snapshot_id": 1}, "x", {}, None, 1, "s3://lake/gold/c"),
        ("path for a table", {"table": "s3://lake/gold/c"}, "x", {}, None, None, "s3://lake/gold/c"),
        ("by name", {"uri": "s3://lake/gold/c"}, "gold.customers", {}, "gold.customers", None, "s3://lake/gold/c"),
        ("by name and tag", {}, "gold.customers", {"iceberg__snapshot_id": "4"}, "gold.customers", 4, None),
        ("plain text that is a table", "gold.customers", "x", {}, "gold.customers", None, None),
        ("plain text that is a path", "/data/x.csv", "x", {}, None, None, "/data/x.csv"),
        ("file", {"uri": "/data/x.csv"}, "my data", {}, None, None, "/data/x.csv"),
        ("page", {"url": "https://example.org/iris.csv"}, "iris", {}, None, None, "https://example.org/iris.csv"),
        ("nothing", {"tags": {}}, "dataset", {}, None, None, None),
        ("list", [1, 2], "dataset", {}, None, None, None),
        ("null", "null", "dataset", {}, None, None, None),
        ("empty", "", "dataset", {}, None, None, None),
        ("deep", "[" * 100_000, "dataset", {}, None, None, None),
    ],
)  # fmt: skip
def test_what_a_dataset_tells(
    case: str,
    source: Any,
    name: str,
    tags: dict[str, str],
    table: str | None,
    snapshot_id: int | None,
    location: str | None,
) -> None:
    found = reference(source, name=name, **tags)

    assert (str(found.table) if found.table else None, found.snapshot_id, found.location) == (
        table,
        snapshot_id,
        location,
    )
    assert found.context == "training"
    assert (found.reason is None) is (table is not None and snapshot_id is not None)


@pytest.mark.parametrize(
    ("case", "snapshot", "reason"),
    [
        ("rounded", 1.2e18, "no id"),
        ("with a fraction", 1.5, "no id"),
        ("true", True, "no id"),
        ("a name", "latest", "no id"),
        ("too large", 2**63, "no id"),
        ("too large as text", "9" * 19 + "9", "no id"),
        ("a list", [1], "no id"),
        ("superscript", "²", "no id"),
        ("null", None, "does not say"),
        ("empty", "", "does not say"),
    ],
)
def test_snapshot_that_is_none_is_told(case: str, snapshot: Any, reason: str) -> None:
    found = reference({"table": "gold.c", "snapshot_id": snapshot})

    assert (str(found.table), found.snapshot_id) == ("gold.c", None)
    assert reason in (found.reason or "")


def test_two_snapshots_are_no_snapshot() -> None:
    found = reference({"table": "gold.c", "snapshot_id": 1}, iceberg__snapshot_id="2")

    assert (found.snapshot_id, found.reason) == (None, "it names more than one snapshot")


@pytest.mark.parametrize("table", ["customers", "gold.", ".c", "gold.a/b", "gold." + "x" * 300])
def test_table_that_cannot_be_one_is_told(table: str) -> None:
    found = reference({"table": table, "snapshot_id": 1})

    assert found.table is None
    assert "no table's name" in (found.reason or "")


def test_first_level_may_be_a_catalog() -> None:
    assert [str(name) for name in reference({"table": "prod.gold.c"}).candidates] == ["prod.gold.c", "gold.c"]
    assert [str(name) for name in reference({"table": "gold.c"}).candidates] == ["gold.c"]
    assert reference({}).candidates == ()


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=5,
)
keys = st.sampled_from(["table", "table_name", "snapshot_id", "location", "path", "url", "other"])


@given(st.one_of(st.text(), st.dictionaries(keys, json_values, max_size=4).map(json.dumps)), st.text())
def test_whatever_is_said_there_is_an_answer(source: str, name: str) -> None:
    found = reference(source, name=name)

    assert (found.reason is None) is (found.table is not None and found.snapshot_id is not None)
