"""What the asynchronous helpers of `app.client` share: services on a loop of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from app.bootstrap import Services
from app.client import IcebergCatalog
from app.client.helpers import ask
from app.domain.names import DatasetName
from app.errors import DatasetNotFoundError, InvalidArgumentError, InvalidSettingError
from tests.lake_fixtures import shared_lake
from tests.lake_tables import ORDERS, SmallLake

__all__ = ["shared_lake"]

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def catalog(shared_lake: SmallLake) -> Iterator[IcebergCatalog]:
    with IcebergCatalog(settings=shared_lake.settings) as opened:
        yield opened


async def head_of(services: Services) -> int | None:
    return (await services.datasets.load(DatasetName.parse(ORDERS))).state.history.head_id


def test_any_loop_will_do_and_another_one_next_time(catalog: IcebergCatalog, shared_lake: SmallLake) -> None:
    found = [asyncio.run(ask(head_of, catalog)) for _ in range(2)]

    assert found == [shared_lake.orders.third] * 2


async def test_many_at_once_open_the_services_once(shared_lake: SmallLake) -> None:
    async def itself(services: Services) -> Services:
        return services

    with IcebergCatalog(settings=shared_lake.settings) as unopened:
        found = await asyncio.gather(*(ask(itself, unopened) for _ in range(20)))

    assert all(each is found[0] for each in found)


async def test_without_a_catalog_the_environment_decides(
    monkeypatch: pytest.MonkeyPatch, shared_lake: SmallLake
) -> None:
    settings = shared_lake.settings
    monkeypatch.setenv("STRATIGRAPH_HOME", str(settings.home))
    monkeypatch.setenv("STRATIGRAPH_DATABASE_URL", str(settings.database_url))

    assert await ask(head_of, None) == shared_lake.orders.third

    monkeypatch.setenv("STRATIGRAPH_PORT", "many")
    with pytest.raises(InvalidSettingError):
        await ask(head_of, None)


async def test_errors_are_raised_with_the_names_of_arguments_that_python_has(catalog: IcebergCatalog) -> None:
    async def refuse(_services: Services) -> None:
        raise InvalidArgumentError("fromVersion", "no")

    async def miss(services: Services) -> None:
        await services.datasets.load(DatasetName.parse("sales.nowhere"))

    with pytest.raises(InvalidArgumentError) as refused:
        await ask(refuse, catalog)
    with pytest.raises(DatasetNotFoundError):
        await ask(miss, catalog)
    assert refused.value.fields["argument"] == "from_version"


@pytest.mark.parametrize("wrong", ["mine", 5, object()])
async def test_a_catalog_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="catalog"):
        await ask(head_of, wrong)


async def test_a_catalog_that_is_closed_is_refused(shared_lake: SmallLake) -> None:
    with IcebergCatalog(settings=shared_lake.settings) as closed:
        pass

    with pytest.raises(RuntimeError, match="closed"):
        await ask(head_of, closed)


async def test_work_is_done_off_the_callers_loop(catalog: IcebergCatalog) -> None:
    went_on = threading.Event()

    async def block(_services: Services) -> tuple[str, bool]:
        # It is to block, until the caller's loop has gone on meanwhile.
        return threading.current_thread().name, went_on.wait(30)

    async def tick() -> None:
        for _ in range(5):
            await asyncio.sleep(0.01)
        went_on.set()

    ticking = asyncio.create_task(tick())
    name, has_gone_on = await ask(block, catalog)
    await ticking

    assert name != threading.current_thread().name
    assert has_gone_on


async def test_a_caller_that_gives_up_ends_the_work(catalog: IcebergCatalog) -> None:
    began, ended = threading.Event(), threading.Event()

    async def wait(_services: Services) -> None:
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    waiting = asyncio.create_task(ask(wait, catalog))
    await asyncio.to_thread(began.wait, 10)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await asyncio.to_thread(ended.wait, 10)
