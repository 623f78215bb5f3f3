"""What a table's properties and namespace say about it, and which schema a version has."""

from __future__ import annotations

import pytest

from app.domain.datasets import LAYER_PROPERTY, PRODUCTION_PROPERTY, Layer, is_production, layer_of
from app.domain.history import MAIN, History, RefKind
from app.domain.names import DatasetName
from app.domain.versions import resolve_text
from tests.strategies import DATASET, make_field, make_ref, make_schema, make_snapshot, make_state


@pytest.mark.parametrize(
    ("case", "name", "said", "expected"),
    [
        ("namespace", "bronze.orders", None, Layer.BRONZE),
        ("first level", "gold.eu.orders", None, Layer.GOLD),
        ("capitals", "Silver.orders", None, Layer.SILVER),
        ("property before namespace", "bronze.orders", "gold", Layer.GOLD),
        ("property in capitals", "x.orders", "PLATINUM", Layer.PLATINUM),
        ("property that names none", "bronze.orders", "copper", Layer.BRONZE),
        ("last level only", "eu.gold.orders", None, None),
        ("neither", "x.orders", None, None),
    ],
)
def test_layer_is_what_the_property_or_the_namespace_names(case, name, said, expected):
    properties = {} if said is None else {LAYER_PROPERTY: said}

    assert layer_of(DatasetName.parse(name), properties) is expected


@pytest.mark.parametrize(
    ("case", "name", "said", "expected"),
    [
        ("namespace", "gold.orders", None, True),
        ("first level", "gold.eu.orders", None, True),
        ("whole namespace", "eu.prod.orders", None, True),
        ("another", "bronze.orders", None, False),
        ("begins alike", "golden.orders", None, False),
        ("property says yes", "bronze.orders", "true", True),
        ("property says no", "gold.orders", "false", False),
        ("property in capitals and spaces", "gold.orders", " False ", False),
        ("property that says nothing", "gold.orders", "maybe", True),
    ],
)
def test_production_is_what_the_property_or_the_namespace_says(case, name, said, expected):
    properties = {} if said is None else {PRODUCTION_PROPERTY: said}

    assert is_production(DatasetName.parse(name), properties, ("gold", "eu.prod")) is expected


@pytest.mark.parametrize(
    ("case", "text", "schema_id"),
    [
        ("latest has the current one", "latest", 1),
        ("branch has the current one", "dev", 1),
        ("tag has its snapshot's", "start", 0),
        ("id has its snapshot's", "1", 0),
        ("steps back have their snapshot's", "main~1", 0),
        ("snapshot of format v1 does not say", "snapshot:3", 1),
        ("snapshot whose schema is gone", "snapshot:4", 1),
    ],
)
def test_version_has_its_schema(case, text, schema_id):
    history = History(
        snapshots={
            1: make_snapshot(1, schema_id=0),
            2: make_snapshot(2, 1, schema_id=0),
            3: make_snapshot(3, schema_id=None),
            4: make_snapshot(4, schema_id=7),
        },
        refs={
            MAIN: make_ref(MAIN, 2, RefKind.BRANCH),
            "dev": make_ref("dev", 1, RefKind.BRANCH),
            "start": make_ref("start", 1),
        },
    )
    schemas = (make_schema(0, make_field(1, "id")), make_schema(1, make_field(1, "id"), make_field(2, "amount")))
    state = make_state(history, schemas=schemas, current_schema_id=1)

    assert state.schema_of(resolve_text(text, history, DATASET)).schema_id == schema_id
