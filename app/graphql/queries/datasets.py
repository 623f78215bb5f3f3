"""dataset and datasets."""

from __future__ import annotations

from typing import Annotated

import strawberry

from app.domain.names import DatasetName, check_namespace
from app.graphql.context import Info
from app.graphql.entities import get_dataset
from app.graphql.pages import After, Before, Connection, First, Last, connect, page_request
from app.graphql.types.dataset import Dataset


async def find_dataset(
    info: Info,
    namespace: Annotated[str, strawberry.argument(description="The levels of the namespace, joined by dots.")],
    name: Annotated[str, strawberry.argument(description="The table's own name.")],
) -> Dataset | None:
    """The dataset of this name; null, and an error, where there is none."""
    return await get_dataset(info, DatasetName.checked(namespace, name))


async def list_datasets(
    info: Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    namespace: Annotated[str | None, strawberry.argument(description="Only those of this very namespace.")] = None,
    name_prefix: Annotated[str | None, strawberry.argument(description="Only names that begin so.")] = None,
    tag: Annotated[str | None, strawberry.argument(description="Only those that have a tag of this name.")] = None,
) -> Connection[Dataset]:
    """All datasets, by namespace and name. Only `tag` loads tables; each field of a dataset does if it needs to."""
    request = page_request(first, after, last, before)
    if namespace is not None:
        check_namespace(namespace)
    page = await info.context.datasets.list_page(request, namespace=namespace, name_prefix=name_prefix, tag=tag)
    return connect(page, lambda name: Dataset(dataset_name=name))
