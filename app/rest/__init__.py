"""The REST face: rows, snapshots and tags of datasets, and the health of the server."""

from app.rest.routes import rest_routes

__all__ = ["rest_routes"]
