"""The ASGI application: the one place where the faces are mounted."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.responses import RedirectResponse
from starlette.routing import Route

from app.bootstrap import open_services
from app.graphql.http import graphql_routes
from app.rest.routes import rest_routes
from app.settings import Settings, load_settings


def create_app(settings: Settings | None = None) -> Starlette:
    """The application on these settings, by default those of the environment.

    Its lifespan opens the services, which it puts on `state.services`. It answers requests and does nothing beside
    them: that is for workers (`stratigraph worker`).
    """
    settings = load_settings() if settings is None else settings

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_services(settings) as services:
            app.state.services = services
            yield

    root = Route("/", lambda request: RedirectResponse(f"{request.scope.get('root_path', '')}/graphql"))
    return Starlette(routes=[root, *graphql_routes(settings), *rest_routes()], lifespan=lifespan)
