"""OpenLineage events about the tables of a test, as an engine would send them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson

from app.domain.names import DatasetName
from app.lake.table import LakeTable

PRODUCER = "https://example.org/tests"
FACETS = {"_producer": PRODUCER, "_schemaURL": "https://openlineage.io/spec/facets/1-0-0/F.json"}


def of_table(table: LakeTable, version: int | None = None, **facets: Any) -> dict[str, Any]:
    """A dataset as Spark names it: by its location, with the table's name as a symlink."""
    state = table.state
    found: dict[str, Any] = {
        "symlinks": {
            **FACETS,
            "identifiers": [{"namespace": "http://catalog", "name": str(state.name), "type": "TABLE"}],
        }
    }
    if version is not None:
        found["version"] = {**FACETS, "datasetVersion": str(version)}
    for name, facet in facets.items():
        found[name] = {**FACETS, **facet}
    return {"namespace": "file", "name": state.location.removeprefix("file://"), "facets": found}


def columns(source: dict[str, Any], links: dict[str, list[str]]) -> dict[str, Any]:
    """The facet columnLineage: columns of the output, each from columns of one input."""
    return {
        "fields": {
            column: {
                "inputFields": [
                    {
                        "namespace": source["namespace"],
                        "name": source["name"],
                        "field": field,
                        "transformations": [{"type": "DIRECT", "subtype": "IDENTITY"}],
                    }
                    for field in fields
                ]
            }
            for column, fields in links.items()
        }
    }


def run_event(
    kind: str,
    run_id: UUID,
    at: str,
    inputs: list[dict[str, Any]] | None = None,
    outputs: list[dict[str, Any]] | None = None,
    job: str = "refresh",
) -> dict[str, Any]:
    """One event of a run."""
    return {
        "eventType": kind,
        "eventTime": at,
        "producer": PRODUCER,
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/definitions/RunEvent",
        "run": {"runId": str(run_id)},
        "job": {"namespace": "tests", "name": job},
        "inputs": inputs or [],
        "outputs": outputs or [],
    }


def body(*events: dict[str, Any]) -> bytes:
    """A batch."""
    return orjson.dumps(list(events))


def name(text: str) -> DatasetName:
    """A dataset's name."""
    return DatasetName.parse(text)
