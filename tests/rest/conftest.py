import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.bootstrap import open_services
from app.rest import rest_routes
from app.settings import Settings
from tests.lake_fixtures import module_lake, own_lake, shared_lake
from tests.lake_tables import Orders, SmallLake


@pytest.fixture(scope="session")
def api(shared_lake: SmallLake) -> Iterator[TestClient]:
    """The REST face on real services and the lake that all share."""
    with rest_client(shared_lake.settings) as client:
        yield client


@pytest.fixture
def own_api(own_lake: SmallLake) -> Iterator[TestClient]:
    """The REST face on real services and a lake of this test alone."""
    with rest_client(own_lake.settings) as client:
        yield client


@pytest.fixture
def orders(shared_lake: SmallLake) -> Orders:
    return shared_lake.orders


@contextlib.contextmanager
def rest_client(settings: Settings) -> Iterator[TestClient]:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_services(settings) as services:
            app.state.services = services
            yield

    with TestClient(Starlette(routes=rest_routes(), lifespan=lifespan)) as client:
        yield client


__all__ = ["module_lake", "own_lake", "shared_lake"]
