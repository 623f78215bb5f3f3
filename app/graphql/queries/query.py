"""The root of all queries."""

from __future__ import annotations

import strawberry

from app.graphql.pages import FORWARD_PAGE, PAGE, Connection
from app.graphql.queries.changes import list_changes
from app.graphql.queries.datasets import find_dataset, list_datasets
from app.graphql.queries.holds import list_all_holds
from app.graphql.queries.lineage import find_lineage
from app.graphql.queries.models import find_model_of_name, list_models
from app.graphql.queries.nodes import list_nodes, node_of_id
from app.graphql.queries.operations import find_operation, list_operations
from app.graphql.queries.pipelines import find_pipeline_of_id, find_run, list_pipelines
from app.graphql.types.change import Change
from app.graphql.types.dataset import Dataset
from app.graphql.types.hold import Hold
from app.graphql.types.interfaces import Node
from app.graphql.types.lineage import LineageGraph
from app.graphql.types.models import Model
from app.graphql.types.operation import Operation
from app.graphql.types.pipelines import Pipeline
from app.graphql.types.runs import PipelineRun


@strawberry.type(description="What can be read.")
class Query:
    """The root of all queries."""

    node: Node | None = strawberry.federation.field(
        resolver=node_of_id, inaccessible=True, description="The thing of this id."
    )
    nodes: list[Node | None] = strawberry.federation.field(
        resolver=list_nodes, inaccessible=True, description="The things of these ids, in their order; at most 100."
    )
    dataset: Dataset | None = strawberry.field(resolver=find_dataset, description="The dataset of this name.")
    datasets: Connection[Dataset] = strawberry.field(
        resolver=list_datasets, directives=[PAGE], description="All datasets, by namespace and name."
    )
    model: Model | None = strawberry.field(resolver=find_model_of_name, description="The model of this name.")
    models: Connection[Model] = strawberry.field(
        resolver=list_models, directives=[PAGE], description="All models, by name."
    )
    pipeline: Pipeline | None = strawberry.field(resolver=find_pipeline_of_id, description="The pipeline of this id.")
    pipelines: Connection[Pipeline] = strawberry.field(
        resolver=list_pipelines, directives=[PAGE], description="All pipelines, by pipelineId."
    )
    run: PipelineRun | None = strawberry.field(resolver=find_run, description="The run of this UUID.")
    lineage: LineageGraph | None = strawberry.field(
        resolver=find_lineage,
        description="What a dataset, model, pipeline or a version of one was made from, and what was made from it.",
    )
    operation: Operation | None = strawberry.field(resolver=find_operation, description="The long job of this id.")
    operations: Connection[Operation] = strawberry.field(
        resolver=list_operations, directives=[FORWARD_PAGE], description="All long jobs, those asked for last first."
    )
    holds: Connection[Hold] = strawberry.field(
        resolver=list_all_holds,
        directives=[FORWARD_PAGE],
        description="The holds on snapshots of all datasets, those placed last first.",
    )
    changes: Connection[Change] = strawberry.field(
        resolver=list_changes,
        directives=[FORWARD_PAGE],
        description="What was done to datasets, models and pipelines, newest first.",
    )
