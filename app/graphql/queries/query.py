"""The root of all queries."""

from __future__ import annotations

import strawberry

from app.graphql.pages import FORWARD_PAGE, PAGE, Connection
from app.graphql.queries.changes import list_changes
from app.graphql.queries.datasets import find_dataset, list_datasets
from app.graphql.queries.lineage import find_lineage
from app.graphql.queries.nodes import list_nodes, node_of_id
from app.graphql.types.change import Change
from app.graphql.types.dataset import Dataset
from app.graphql.types.interfaces import Node
from app.graphql.types.lineage import LineageGraph


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
    lineage: LineageGraph | None = strawberry.field(
        resolver=find_lineage, description="What a dataset or version was made from, and what was made from it."
    )
    changes: Connection[Change] = strawberry.field(
        resolver=list_changes, directives=[FORWARD_PAGE], description="What was done to datasets, newest first."
    )
