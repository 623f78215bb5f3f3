"""The paths of the REST face."""

from __future__ import annotations

from starlette.routing import Route

from app.rest.compaction import answer_compaction, answer_compaction_start, answer_compaction_sweep
from app.rest.compare import answer_schema_diff
from app.rest.compare_metadata import answer_commits, answer_file_diff, answer_stats_diff
from app.rest.compare_registry import answer_model_comparison, answer_pipeline_comparison
from app.rest.compare_rows import answer_row_diff, answer_row_diff_start
from app.rest.data import answer_data
from app.rest.health import answer_alive, answer_ready
from app.rest.history import answer_snapshots, answer_tags
from app.rest.holds import (
    answer_hold,
    answer_hold_placing,
    answer_hold_release,
    answer_holds,
    answer_holds_of_dataset,
)
from app.rest.impact import answer_impact
from app.rest.lineage import answer_lineage, answer_run_warnings
from app.rest.models import (
    answer_model,
    answer_model_archiving,
    answer_model_card,
    answer_model_registration,
    answer_model_version,
    answer_model_versions,
    answer_models,
)
from app.rest.operations import answer_operation, answer_operation_cancelling, answer_operations
from app.rest.orphans import answer_orphan_removal
from app.rest.pipelines import (
    answer_pipeline,
    answer_pipeline_registration,
    answer_pipeline_runs,
    answer_pipeline_version,
    answer_pipeline_versions,
    answer_pipelines,
    answer_promotion,
    answer_run,
    answer_run_recording,
)
from app.rest.problems import Endpoint, Handler, answer_unknown_path
from app.rest.raw_paths import RawPaths, Resource
from app.rest.retention import (
    answer_retained_snapshot,
    answer_retention,
    answer_retention_runs,
    answer_retention_start,
    answer_retention_sweep,
)
from app.rest.version_tags import answer_version_tag_removal, answer_version_tag_setting, answer_version_tags

_ANY_METHOD = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")


def rest_routes() -> list[Route]:
    """The routes to mount; they take the services from `request.app.state.services`."""
    dataset, compared = "/api/v1/datasets/{ns}/{table}", "/api/v1/compare/datasets/{ns}/{table}"
    handlers: dict[str, Handler] = {
        f"{dataset}/data": answer_data,
        f"{dataset}/impact": answer_impact,
        f"{dataset}/snapshots": answer_snapshots,
        f"{dataset}/tags": answer_tags,
        f"{compared}/commits": answer_commits,
        f"{compared}/files": answer_file_diff,
        f"{compared}/schema": answer_schema_diff,
        f"{compared}/stats": answer_stats_diff,
        "/api/v1/lineage/runs/{run_id}/warnings": answer_run_warnings,
        "/healthz": answer_alive,
        "/readyz": answer_ready,
    }
    routes = [Route(path, Endpoint(handler)) for path, handler in handlers.items()]
    routes.append(Route("/api/v1/lineage", Endpoint(answer_lineage, methods=("POST",))))
    routes += _registry_routes()
    routes += _comparison_routes()
    routes += _retention_routes(dataset)
    routes += _compaction_routes(dataset)
    # Last, because it takes whatever is left under /api.
    routes += [Route(path, Endpoint(answer_unknown_path, methods=_ANY_METHOD)) for path in ("/api", "/api/{rest:path}")]
    return routes


def _registry_routes() -> list[Route]:
    tags = Resource(get=answer_version_tags)
    tag = Resource(put=answer_version_tag_setting, delete=answer_version_tag_removal)
    models = RawPaths(
        "/api/v1/models/",
        {
            "{name}": Resource(get=answer_model),
            "{name}/versions": Resource(get=answer_model_versions, post=answer_model_registration),
            "{name}/versions/{ref}": Resource(get=answer_model_version),
            "{name}/versions/{ref}/card": Resource(get=answer_model_card),
            "{name}/versions/{number}/archive": Resource(post=answer_model_archiving),
            "{name}/tags": tags,
            "{name}/tags/{tag}": tag,
        },
    )
    pipelines = RawPaths(
        "/api/v1/pipelines/",
        {
            "{pipeline_id*}/versions": Resource(get=answer_pipeline_versions, post=answer_pipeline_registration),
            "{pipeline_id*}/runs": Resource(get=answer_pipeline_runs),
            "{pipeline_id*}/tags": tags,
            "{pipeline_id*}/versions/{ref}": Resource(get=answer_pipeline_version),
            "{pipeline_id*}/tags/{tag}": tag,
            "{pipeline_id*}": Resource(get=answer_pipeline),
        },
    )
    return [
        Route("/api/v1/models", Resource(get=answer_models)),
        Route("/api/v1/models/{rest:path}", models),
        Route("/api/v1/pipelines", Resource(get=answer_pipelines)),
        Route("/api/v1/pipelines/{rest:path}", pipelines),
        Route("/api/v1/runs", Resource(post=answer_run_recording)),
        Route("/api/v1/runs/{run_id}", Resource(get=answer_run)),
        Route("/api/v1/operations", Resource(get=answer_operations)),
        Route("/api/v1/operations/{operation_id}", Resource(get=answer_operation)),
        Route("/api/v1/operations/{operation_id}/cancel", Resource(post=answer_operation_cancelling)),
        Route("/api/v1/promotions", Resource(post=answer_promotion)),
    ]


def _retention_routes(dataset: str) -> list[Route]:
    runs = Resource(get=answer_retention_runs, post=answer_retention_start)
    holds = Resource(get=answer_holds_of_dataset, post=answer_hold_placing)
    return [
        Route(f"{dataset}/retention", Resource(get=answer_retention)),
        Route(f"{dataset}/retention/runs", runs),
        Route(f"{dataset}/retention/snapshots/{{snapshot_id}}", Resource(get=answer_retained_snapshot)),
        Route(f"{dataset}/orphans/removals", Resource(post=answer_orphan_removal)),
        Route(f"{dataset}/holds", holds),
        Route("/api/v1/retention/runs", Resource(post=answer_retention_sweep)),
        Route("/api/v1/holds", Resource(get=answer_holds)),
        Route("/api/v1/holds/{hold_id}", Resource(get=answer_hold)),
        Route("/api/v1/holds/{hold_id}/release", Resource(post=answer_hold_release)),
    ]


def _compaction_routes(dataset: str) -> list[Route]:
    return [
        Route(f"{dataset}/compaction", Resource(get=answer_compaction)),
        Route(f"{dataset}/compaction/runs", Resource(post=answer_compaction_start)),
        Route("/api/v1/compaction/runs", Resource(post=answer_compaction_sweep)),
    ]


def _comparison_routes() -> list[Route]:
    rows = Resource(get=answer_row_diff, post=answer_row_diff_start)
    models = RawPaths("/api/v1/compare/models/", {"{name}/performance": Resource(get=answer_model_comparison)})
    pipelines = RawPaths(
        "/api/v1/compare/pipelines/", {"{pipeline_id*}/versions": Resource(get=answer_pipeline_comparison)}
    )
    return [
        Route("/api/v1/compare/datasets/{ns}/{table}/data", rows),
        Route("/api/v1/compare/models/{rest:path}", models),
        Route("/api/v1/compare/pipelines/{rest:path}", pipelines),
    ]
