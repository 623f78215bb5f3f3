"""A dataset's state at one moment, as its catalog and metadata tell it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from app.domain.history import History, Snapshot
from app.domain.layouts import Layout, Layouts
from app.domain.names import DatasetName
from app.domain.schemas import SchemaVersion
from app.domain.versions import ResolvedVersion

LAYER_PROPERTY = "stratigraph.layer"
PRODUCTION_PROPERTY = "stratigraph.production"


class Layer(StrEnum):
    """Layer of the medallion architecture."""

    BRONZE = "BRONZE"
    SILVER = "SILVER"
    GOLD = "GOLD"
    PLATINUM = "PLATINUM"


class Availability(StrEnum):
    """Whether a thing can be reached at its source now."""

    AVAILABLE = "AVAILABLE"
    EXPIRED = "EXPIRED"
    UNREACHABLE = "UNREACHABLE"


@dataclass(frozen=True, kw_only=True)
class TableState:
    """Everything that one metadata file of a table says, as values. Immutable: safe to cache by `metadata_location`."""

    name: DatasetName
    table_uuid: UUID
    location: str
    metadata_location: str
    format_version: int
    properties: Mapping[str, str]
    history: History
    schemas: Mapping[int, SchemaVersion]
    current_schema_id: int
    # Fields that the default partition spec and sort order are built on.
    required_field_ids: frozenset[int] = frozenset()
    layouts: Layouts = field(default_factory=Layouts)

    @property
    def current_schema(self) -> SchemaVersion:
        """The schema that writers write with now."""
        return self.schemas[self.current_schema_id]

    def schema_of_snapshot(self, snapshot: Snapshot) -> SchemaVersion:
        """The schema in force when the snapshot was made; the current one where the snapshot does not say (v1)."""
        if snapshot.schema_id is None:
            return self.current_schema
        return self.schemas.get(snapshot.schema_id, self.current_schema)

    def schema_of(self, version: ResolvedVersion) -> SchemaVersion:
        """The schema of a version: current for `latest` and branches, the snapshot's own otherwise."""
        if version.uses_current_schema:
            return self.current_schema
        return self.schema_of_snapshot(self.history.snapshots[version.snapshot_id])

    def layout_of(self, version: ResolvedVersion) -> Layout:
        """The partition spec and sort order of a version, as far as it is known (`app.domain.layouts`)."""
        return self.layouts.current if version.uses_current_schema else self.layouts.only


def layer_of(name: DatasetName, properties: Mapping[str, str]) -> Layer | None:
    """The layer a table property names, else the one its namespace's first level is called after."""
    for candidate in (properties.get(LAYER_PROPERTY, ""), name.namespace.split(".")[0]):
        if candidate.upper() in Layer.__members__:
            return Layer[candidate.upper()]
    return None


def is_production(name: DatasetName, properties: Mapping[str, str], production_namespaces: tuple[str, ...]) -> bool:
    """Whether the dataset counts as production: its table property decides, else its namespace."""
    said = properties.get(PRODUCTION_PROPERTY, "").strip().lower()
    if said in ("true", "false"):
        return said == "true"
    return name.namespace in production_namespaces or name.namespace.split(".")[0] in production_namespaces
