"""Tags on versions of models and pipelines go by the rules of tags on datasets."""

from __future__ import annotations

import asyncio

import pytest

from app.bootstrap import Services
from app.domain.changes import ChangeKind, ModelSubject
from app.domain.pages import PageRequest
from app.errors import (
    HeadMovedError,
    IdempotencyKeyReusedError,
    InvalidNameError,
    ProtectedTagError,
    TagExistsError,
    TagNotFoundError,
)
from tests.integration.registry.lake import by_ada, churn

pytestmark = pytest.mark.anyio

CHURN = ModelSubject(name="churn")


@pytest.fixture
async def tagging(services: Services):
    for _ in range(3):
        await services.registration.register(churn(), [], by_ada())
    return services.version_tagging


async def tags_of(services: Services) -> dict[str, int]:
    return {tag.name: tag.number for tag in (await services.version_tags.of_subjects([CHURN]))[CHURN]}


async def test_a_tag_is_set_moved_and_removed_and_each_is_on_record(services: Services, tagging) -> None:
    created = await tagging.create(CHURN, "champion", 1, by_ada("best so far"))
    moved = await tagging.move(CHURN, "champion", 3, by_ada("better"), expected=1)
    assert await services.models.resolve("churn", "champion") == 3
    assert await services.models.resolve("churn", "champion~1") == 2
    removed = await tagging.delete(CHURN, "champion", by_ada("none"), expected=3)

    assert (created.tag.number, created.tag.set_by.subject, created.tag.reason) == (1, "ada", "best so far")
    assert (moved.tag.number, moved.is_unchanged) == (3, False)
    assert removed.number == 3
    assert await tags_of(services) == {}
    page = await services.datasets.changes_page(PageRequest(first=3))
    assert [(change.kind, change.subject, change.reason) for change in page.items] == [
        (ChangeKind.TAG_DELETED, CHURN, "none"),
        (ChangeKind.TAG_MOVED, CHURN, "better"),
        (ChangeKind.TAG_CREATED, CHURN, "best so far"),
    ]


async def test_a_tag_never_moves_unasked(services: Services, tagging) -> None:
    await tagging.create(CHURN, "champion", 1, by_ada())

    again = await tagging.create(CHURN, "champion", 1, by_ada())
    with pytest.raises(TagExistsError, match="at version 1"):
        await tagging.create(CHURN, "champion", 2, by_ada())
    with pytest.raises(HeadMovedError):
        await tagging.move(CHURN, "champion", 2, by_ada(), expected=3)
    with pytest.raises(TagNotFoundError, match="Did you mean 'champion'"):
        await tagging.move(CHURN, "champoin", 2, by_ada())
    with pytest.raises(InvalidNameError):
        await tagging.create(CHURN, "latest", 1, by_ada())

    assert again.is_unchanged and again.change_id is None
    assert await tags_of(services) == {"champion": 1}


async def test_protection_needs_force(services: Services, tagging) -> None:
    await tagging.create(CHURN, "production_2026_02_15", 1, by_ada())
    await tagging.create(CHURN, "mine", 1, by_ada())
    protected = await tagging.create(CHURN, "mine", 1, by_ada(), protected=True)
    assert not protected.is_unchanged and protected.tag.is_protection_requested

    for tag in ("production_2026_02_15", "mine"):
        with pytest.raises(ProtectedTagError):
            await tagging.move(CHURN, tag, 2, by_ada())
        with pytest.raises(ProtectedTagError):
            await tagging.delete(CHURN, tag, by_ada())
        await tagging.move(CHURN, tag, 2, by_ada(), force=True)
    with pytest.raises(ProtectedTagError):
        await tagging.delete(CHURN, "mine", by_ada())
    await tagging.delete(CHURN, "mine", by_ada(), force=True)
    assert await tags_of(services) == {"production_2026_02_15": 2}


async def test_of_concurrent_moves_one_wins(services: Services, tagging) -> None:
    await tagging.create(CHURN, "champion", 1, by_ada())

    done = await asyncio.gather(
        *(tagging.move(CHURN, "champion", number, by_ada(), expected=1) for number in (2, 3, 2, 3)),
        return_exceptions=True,
    )

    won = [each for each in done if not isinstance(each, BaseException)]
    assert len(won) == 1
    assert all(isinstance(each, HeadMovedError) for each in done if isinstance(each, BaseException))
    assert await tags_of(services) == {"champion": won[0].tag.number}


async def test_a_key_answers_the_same(services: Services, tagging) -> None:
    first = await tagging.create(CHURN, "champion", 1, by_ada(key="k1"))
    unchanged = await tagging.create(CHURN, "champion", 1, by_ada(key="k2"))
    moved = await tagging.move(CHURN, "champion", 2, by_ada(key="k3"))

    assert (await tagging.create(CHURN, "champion", 1, by_ada(key="k1"))).tag.number == first.tag.number
    assert (await tagging.create(CHURN, "champion", 1, by_ada(key="k2"))).is_unchanged is unchanged.is_unchanged
    assert (await tagging.move(CHURN, "champion", 2, by_ada(key="k3"))).change_id == moved.change_id
    removed = await tagging.delete(CHURN, "champion", by_ada(key="k4"))
    assert await tagging.delete(CHURN, "champion", by_ada(key="k4")) == removed
    with pytest.raises(IdempotencyKeyReusedError):
        await tagging.delete(CHURN, "champion", by_ada(key="k1"))
