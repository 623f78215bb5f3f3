"""`GET …/data`: the rows of a version, streamed with bounded memory."""

from __future__ import annotations

from collections import deque
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from app.lake.encoding import ArrowBatch, Encoder, RowFormat, encoder_for, media_types, slices
from app.lake.reading import RowRequest
from app.rest.caching import cache_control, entity_tag, is_not_modified
from app.rest.parameters import dataset_name, read_columns, read_format, read_limit, read_query
from app.rest.problems import ProblemResponse
from app.telemetry.tracing import current_trace_id

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.lake.reading import RowStream

PARAMETERS = ("version", "columns", "filter", "limit", "format")
# Decoded bytes that are read before the status is sent, so that small answers can say in a header whether they are cut.
PEEK_BYTES = 4 * 1024 * 1024


async def answer_data(request: Request) -> Response:
    """Rows as JSON, CSV, Arrow or Parquet, or a 304 where the client has them already."""
    query = read_query(request, PARAMETERS)
    row_format = read_format(query.get("format"), request.headers.get("accept"))
    if row_format is None:
        known = ", ".join(media_type.partition(";")[0] for media_type in media_types().values())
        return ProblemResponse(
            request,
            status=HTTPStatus.NOT_ACCEPTABLE,
            code="NOT_ACCEPTABLE",
            detail=f"Rows can be had as {known}.",
            headers={"Vary": "Accept"},
        )
    asked = RowRequest(
        columns=read_columns(query.get("columns")),
        row_filter=query.get("filter"),
        limit=read_limit(query.get("limit")),
    )
    services: Services = request.app.state.services
    name, reference = dataset_name(request), query.get("version")
    table = await services.datasets.load(name)
    resolved = await services.datasets.resolve_with_record(table, reference)
    encoder = encoder_for(row_format)
    etag = entity_tag(
        table.state,
        resolved,
        {
            "format": row_format.value,
            "columns": None if asked.columns is None else list(asked.columns),
            "filter": asked.row_filter,
            "limit": asked.limit,
        },
    )
    headers = {
        "ETag": etag,
        "Cache-Control": cache_control(reference),
        "Vary": "Accept",
        "X-Snapshot-Id": str(resolved.snapshot_id),
    }
    if is_not_modified(condition := request.headers.get("if-none-match"), etag):
        if condition != etag:
            # "*" matches whatever there would be, and of a query that is wrong there would be nothing.
            await (await services.datasets.stream_rows(table, reference, asked)).aclose()
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    headers["Content-Type"] = encoder.media_type
    if row_format is not RowFormat.JSON:
        file_name = f"{name.name}-{resolved.snapshot_id}.{encoder.suffix}".encode("ascii", "replace").decode()
        headers["Content-Disposition"] = f'attachment; filename="{_header_safe(file_name)}"'
    stream = await services.datasets.stream_rows(table, reference, asked)
    if request.method == "HEAD":
        await stream.aclose()
        response = Response(status_code=HTTPStatus.OK, headers=headers)
        del response.headers["content-length"]  # it would be that of the rows, which is not known before they are read
        return response
    return await _begin(stream, encoder, asked, headers)


async def _begin(stream: RowStream, encoder: Encoder, asked: RowRequest, headers: dict[str, str]) -> RowsResponse:
    # Read ahead a little: what fails at the first file is still a problem document, and small answers know their end.
    try:
        head = await _peek(stream)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await stream.aclose()
        raise
    if asked.limit is None:
        headers["X-Truncated"] = "false"
    elif head.is_whole:
        headers["X-Truncated"] = "true" if stream.truncated else "false"
    else:
        headers["X-Truncated"] = "unknown"
    return RowsResponse(stream, head, encoder, headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The first batches of a stream, and whether they are all of it."""

    batches: deque[ArrowBatch]
    is_whole: bool


async def _peek(stream: RowStream) -> Head:
    batches: deque[ArrowBatch] = deque()
    size_bytes = 0
    while (batch := await _next(stream)) is not None:
        batches.append(batch)
        size_bytes += batch.nbytes
        if size_bytes >= PEEK_BYTES:
            return Head(batches=batches, is_whole=False)
    return Head(batches=batches, is_whole=True)


async def _next(stream: RowStream) -> ArrowBatch | None:
    # A batch that is being read in a thread is waited for: the stream cannot be closed under it.
    batch: ArrowBatch | None = None
    with anyio.CancelScope(shield=True):
        batch = await anext(stream, None)
    return batch  # noqa: RET504  a scope may swallow what is raised in it, so that mypy misses a return there


class RowsResponse(Response):
    """Sends encoded rows as they are read; owns the stream, and closes it however the answer ends.

    An error after the status was sent is raised on: the server then drops the connection without the end of the body,
    so that no client takes half an answer for a whole one.
    """

    def __init__(self, stream: RowStream, head: Head, encoder: Encoder, headers: dict[str, str]) -> None:
        super().__init__(status_code=HTTPStatus.OK, headers=headers)
        del self.headers["content-length"]
        self._stream = stream
        self._head = head
        self._encoder = encoder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, or stop reading as soon as the client has gone."""
        async with aclosing(_Shielded(self._stream)):
            try:
                await self._send_or_stop(receive, send)
            except Exception as error:
                error.add_note(f"while sending rows; trace id {current_trace_id()}")
                raise

    async def _send_or_stop(self, receive: Receive, send: Send) -> None:
        failures: list[Exception] = []
        async with anyio.create_task_group() as tasks:

            async def run() -> None:
                # Kept aside, because a task group would wrap it in an ExceptionGroup.
                try:
                    await self._send_all(send)
                except Exception as error:  # noqa: BLE001  raised again below
                    failures.append(error)
                tasks.cancel_scope.cancel()

            tasks.start_soon(run)
            message: Message = {"type": "http.request"}
            while message["type"] != "http.disconnect":
                message = await receive()
            tasks.cancel_scope.cancel()
        if failures:
            raise failures[0]

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await self._send(send, self._encoder.start(self._stream.schema))
        batches = self._head.batches
        while batches:
            await self._send_batch(send, batches.popleft())
        if not self._head.is_whole:
            while (batch := await _next(self._stream)) is not None:
                await self._send_batch(send, batch)
        end = await to_thread.run_sync(lambda: self._encoder.finish(truncated=self._stream.truncated))
        await send({"type": "http.response.body", "body": end, "more_body": False})

    async def _send_batch(self, send: Send, batch: ArrowBatch) -> None:
        for piece in slices(batch):
            await self._send(send, await to_thread.run_sync(self._encoder.write, piece))

    async def _send(self, send: Send, data: bytes) -> None:
        if data:
            await send({"type": "http.response.body", "body": data, "more_body": True})


class _Shielded:
    """Closes a stream also when the request is being cancelled."""

    def __init__(self, stream: RowStream) -> None:
        self._stream = stream

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._stream.aclose()


def _header_safe(text: str) -> str:
    return "".join(char if char.isalnum() or char in "._-" else "_" for char in text)
