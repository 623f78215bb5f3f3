from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.rest import rest_routes
from app.services.health import Check, HealthReport


class FailingHealth:
    """Health of a server that has lost its catalog."""

    async def check(self) -> HealthReport:
        return HealthReport(
            checks=(
                Check(name="postgres", ok=True, detail="answers"),
                Check(name="catalog", ok=False, detail="refused", hint="start it"),
            )
        )


@pytest.fixture
def broken() -> TestClient:
    app = Starlette(routes=rest_routes())
    app.state.services = SimpleNamespace(health=FailingHealth())
    return TestClient(app)


def test_a_server_with_all_its_backends_is_ready(own_api: TestClient) -> None:
    # Of its own: in the database that others share their operations wait for a worker.
    response = own_api.get("/readyz")

    assert response.status_code == 200
    assert response.json()["status"] == "ready"
    assert {check["name"]: check["ok"] for check in response.json()["checks"]} == {
        "postgres": True,
        "catalog": True,
        "worker": True,
    }
    assert response.headers["cache-control"] == "no-store"


def test_a_backend_that_is_away_makes_it_unready_but_not_dead(broken: TestClient) -> None:
    ready, alive = broken.get("/readyz"), broken.get("/healthz")

    assert ready.status_code == 503
    assert ready.headers["content-type"] == "application/problem+json"
    assert ready.headers["retry-after"]
    assert ready.json()["code"] == "NOT_READY"
    assert ready.json()["detail"] == "Not available: catalog."
    assert [check["hint"] for check in ready.json()["checks"]] == [None, "start it"]
    assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
