"""The paths of the REST face."""

from __future__ import annotations

from starlette.routing import Route

from app.rest.data import answer_data
from app.rest.health import answer_alive, answer_ready
from app.rest.history import answer_snapshots, answer_tags
from app.rest.impact import answer_impact
from app.rest.lineage import answer_lineage, answer_run_warnings
from app.rest.problems import Endpoint, Handler, answer_unknown_path

_ANY_METHOD = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")


def rest_routes() -> list[Route]:
    """The routes to mount; they take the services from `request.app.state.services`."""
    dataset = "/api/v1/datasets/{ns}/{table}"
    handlers: dict[str, Handler] = {
        f"{dataset}/data": answer_data,
        f"{dataset}/impact": answer_impact,
        f"{dataset}/snapshots": answer_snapshots,
        f"{dataset}/tags": answer_tags,
        "/api/v1/lineage/runs/{run_id}/warnings": answer_run_warnings,
        "/healthz": answer_alive,
        "/readyz": answer_ready,
    }
    routes = [Route(path, Endpoint(handler)) for path, handler in handlers.items()]
    routes.append(Route("/api/v1/lineage", Endpoint(answer_lineage, methods=("POST",))))
    # Last, because it takes whatever is left under /api.
    routes += [Route(path, Endpoint(answer_unknown_path, methods=_ANY_METHOD)) for path in ("/api", "/api/{rest:path}")]
    return routes
