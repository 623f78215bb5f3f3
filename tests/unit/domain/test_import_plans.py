"""Importing twice changes nothing; what has changed, and that alone, is done."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.import_plans import (
    AddModel,
    AddVersion,
    DropTag,
    ImportAction,
    KnownImports,
    PointTag,
    ReviseVersion,
    fingerprint,
    plan_import,
)
from app.domain.imported_models import ImportedDataset, ImportedModel, ImportedVersion, RunPresence

THEN = datetime(2026, 2, 15, tzinfo=UTC)
DATASET = ImportedDataset(name="d", source_type="iceberg", source='{"table": "gold.customers"}', digest="1")


def version(number: int, **facts: Any) -> ImportedVersion:
    given = {"status": "READY", "source": "s3://m/1", "artifact_uri": "s3://m/1", "run": RunPresence.PRESENT, **facts}
    return ImportedVersion(number=number, created_at=THEN, **given)


def model(*versions: ImportedVersion, name: str = "churn", **aliases: int) -> ImportedModel:
    return ImportedModel(name=name, created_at=THEN, versions=versions, aliases=aliases)


def after(actions: list[ImportAction], known: KnownImports) -> KnownImports:
    """What is known when the actions are done."""
    models, versions, aliases = set(known.models), dict(known.versions), dict(known.aliases)
    for action in actions:
        if isinstance(action, AddModel):
            models.add(action.model.name)
        elif isinstance(action, AddVersion | ReviseVersion):
            versions[action.model, action.version.number] = action.fingerprint
        elif isinstance(action, PointTag):
            assert aliases.get((action.model, action.tag)) == action.previous
            assert (action.model, action.number) in versions, "a tag comes after what it points to"
            aliases[action.model, action.tag] = action.number
        else:
            assert aliases.pop((action.model, action.tag)) == action.previous
    return KnownImports(models=frozenset(models), versions=versions, aliases=aliases)


def test_new_model_comes_with_versions_and_tags() -> None:
    actions = plan_import([model(version(1), version(2), champion=2)], KnownImports())

    assert [type(action) for action in actions] == [AddModel, AddVersion, AddVersion, PointTag]


def test_alias_that_moved_is_a_tag_that_moves() -> None:
    known = after(plan_import([model(version(1), version(2), champion=1, old=1)], KnownImports()), KnownImports())

    actions = plan_import([model(version(1), version(2), champion=2)], known)

    assert actions == [
        PointTag(model="churn", tag="champion", number=2, previous=1),
        DropTag(model="churn", tag="old", previous=1),
    ]


def test_alias_of_a_version_that_is_gone_is_dropped_and_the_version_stays() -> None:
    known = after(plan_import([model(version(1), version(2), champion=2)], KnownImports()), KnownImports())

    assert plan_import([model(version(1), champion=2)], known) == [DropTag(model="churn", tag="champion", previous=2)]


@pytest.mark.parametrize(
    ("case", "facts", "is_revised"),
    [
        ("metric", {"metrics": {"auc": 0.9}}, True),
        ("description", {"description": "better"}, True),
        ("run went on", {"run_status": "FINISHED"}, True),
        ("run marked as deleted", {"run": RunPresence.DELETED}, True),
        ("run removed", {"run": RunPresence.GONE}, False),
        ("nothing", {}, False),
    ],
)
def test_version_that_says_something_else_is_revised(case: str, facts: dict[str, Any], is_revised: bool) -> None:
    known = after(plan_import([model(version(1))], KnownImports()), KnownImports())

    actions = plan_import([model(version(1, **facts))], known)

    assert [type(action) for action in actions] == ([ReviseVersion] if is_revised else [])


def test_fingerprint_is_of_all_facts_and_of_no_order() -> None:
    other = dataclasses.replace(DATASET, name="e")
    first = version(1, metrics={"a": math.nan, "b": math.inf}, datasets=(DATASET, other))

    assert fingerprint(first) == fingerprint(
        version(1, metrics={"b": math.inf, "a": math.nan}, datasets=(other, DATASET))
    )
    assert fingerprint(first) != fingerprint(
        version(1, metrics={"a": math.nan, "b": -math.inf}, datasets=(DATASET, other))
    )
    assert fingerprint(first) != fingerprint(version(1, metrics={"a": math.nan, "b": math.inf}, datasets=(DATASET,)))
    assert fingerprint(version(1, description="\ud800")) != fingerprint(version(1))


registries = st.lists(
    st.builds(
        lambda name, numbers, aliases, auc: model(
            *(version(number, metrics={"auc": auc}) for number in sorted(numbers)), name=name, **aliases
        ),
        st.sampled_from(["a", "b", "c"]),
        st.sets(st.integers(1, 4)),
        st.dictionaries(st.sampled_from(["x", "y"]), st.integers(1, 4)),
        st.sampled_from([0.5, math.nan]),
    ),
    unique_by=lambda one: one.name,
)


@given(registries, registries)
def test_importing_again_changes_nothing(first: list[ImportedModel], second: list[ImportedModel]) -> None:
    known = KnownImports()
    for registry in (first, second):
        known = after(plan_import(registry, known), known)

        assert plan_import(registry, known) == []
        assert {key: number for key, number in known.aliases.items() if key[0] in {m.name for m in registry}} == {
            (m.name, alias): number
            for m in registry
            for alias, number in m.aliases.items()
            if number in {v.number for v in m.versions}
        }
