"""The facets that this project adds to OpenLineage's; the specification wants a prefix of their own for them."""

from __future__ import annotations

# URIs, as the specification wants them, that promise no page.
PRODUCER = "urn:stratigraph"
SCHEMA_URL = "urn:stratigraph:openlineage"
EVENT_SCHEMA_URL = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"

PURPOSE_FACET = "stratigraph_purpose"
PIPELINE_FACET = "stratigraph_pipeline"
RECORD_FACET = "stratigraph_record"
