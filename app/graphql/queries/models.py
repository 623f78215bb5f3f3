"""model and models."""

from __future__ import annotations

from typing import Annotated

import strawberry

from app.graphql.context import Info
from app.graphql.pages import After, Before, Connection, First, Last, connect, page_request
from app.graphql.types.models import Model, find_model


async def find_model_of_name(
    info: Info, name: Annotated[str, strawberry.argument(description="The model's name.")]
) -> Model | None:
    """The model of this name; null, and an error with the closest names, where there is none."""
    return await find_model(info, name) or Model(model=await info.context.models.get(name))


async def list_models(
    info: Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    name_prefix: Annotated[str | None, strawberry.argument(description="Only names that begin so.")] = None,
) -> Connection[Model]:
    """All models, by name."""
    request = page_request(first, after, last, before)
    page = await info.context.models.page(request, name_prefix=name_prefix or "")
    return connect(page, lambda model: Model(model=model))
