"""pipeline, pipelines and run."""

from __future__ import annotations

from typing import Annotated

import strawberry

from app.graphql.context import Info
from app.graphql.entities import get_run
from app.graphql.pages import After, Before, Connection, First, Last, connect, page_request
from app.graphql.scalars import parse_uuid
from app.graphql.types.pipelines import Pipeline, find_pipeline
from app.graphql.types.runs import PipelineRun


async def find_pipeline_of_id(
    info: Info, pipeline_id: Annotated[str, strawberry.argument(description="The id that it was registered under.")]
) -> Pipeline | None:
    """The pipeline of this id; null, and an error with the closest ids, where there is none."""
    return await find_pipeline(info, pipeline_id) or Pipeline(pipeline=await info.context.pipelines.get(pipeline_id))


async def list_pipelines(
    info: Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    name_prefix: Annotated[str | None, strawberry.argument(description="Only pipelineIds that begin so.")] = None,
) -> Connection[Pipeline]:
    """All pipelines, by their ids."""
    request = page_request(first, after, last, before)
    page = await info.context.pipelines.page(request, id_prefix=name_prefix or "")
    return connect(page, lambda pipeline: Pipeline(pipeline=pipeline))


async def find_run(
    info: Info, run_id: Annotated[strawberry.ID, strawberry.argument(description="The run's UUID, as it was reported.")]
) -> PipelineRun | None:
    """The run of this UUID; null, and an error, where none was reported."""
    return await get_run(info, parse_uuid(run_id, "runId"))
