"""Reading whole versions through the services."""

from __future__ import annotations

import pyarrow as pa

from app.bootstrap import Services
from app.domain.names import DatasetName
from app.lake.encoding import to_table
from app.lake.reading import RowRequest


async def read(services: Services, name: DatasetName, at: str | None = None, **request: object) -> pa.Table:
    """The rows of a version; further arguments are those of `RowRequest`."""
    table = await services.datasets.load(name)
    async with await services.datasets.stream_rows(table, at, RowRequest(**request)) as stream:  # type: ignore[arg-type]
        return to_table(stream.schema, [batch async for batch in stream])


async def read_ids(services: Services, name: DatasetName, at: str | None = None, **request: object) -> list[int]:
    """The values of column `id`, sorted."""
    return sorted((await read(services, name, at, **request)).column("id").to_pylist())
