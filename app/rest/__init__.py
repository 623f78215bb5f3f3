"""The REST face: datasets, the registry of models and pipelines, lineage events, and the health of the server."""

from app.rest.routes import rest_routes

__all__ = ["rest_routes"]
