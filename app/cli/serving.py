"""`serve`: the server, and all it needs, until Ctrl-C."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.demo import DEFAULT_SCALE, build_with_progress
from app.cli.memory import settle_memory
from app.cli.output import print_json, print_line, print_note
from app.cli.session import log_to_stderr, with_services
from app.cli.worker_process import WorkerProcess
from app.errors import InvalidSettingError

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.settings import Settings

GRACE_S = 5
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  shown, not bound


def serve(
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option("--port", help="Port to listen on; 0 takes a free one.")] = None,
    demo: Annotated[
        bool | None, typer.Option("--demo/--no-demo", help="Whether an empty home gets the sample lake.")
    ] = None,
    worker: Annotated[
        bool | None, typer.Option("--worker/--no-worker", help="Whether a worker is started beside the server.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Start the server; Ctrl-C stops it and everything it started."""
    from app.postgres.locks import ServerLock
    from app.settings import load_settings

    settings = load_settings(host=host, port=port, demo_on_serve=demo, worker_on_serve=worker)
    log_to_stderr(settings)
    lock = ServerLock(settings.home)
    lock.acquire()
    with contextlib.ExitStack() as stack:
        stack.callback(lock.release)
        listening = stack.enter_context(_listen(settings))
        url = _url_of(listening, settings.host)
        lock.announce(url)
        # Ctrl-C and SIGTERM are the way to end a server, not a failure.
        with contextlib.suppress(KeyboardInterrupt):
            stack.enter_context(_postgres_held(settings))
            with_services(lambda services: _prepare(services, settings))
            worker_process = WorkerProcess() if settings.worker_on_serve else None
            if worker_process is not None:
                # Before Postgres is left, which the worker uses too.
                stack.callback(worker_process.stop)
            _run(settings, listening, url, worker_process, as_json=json)


async def _prepare(services: Services, settings: Settings) -> None:
    # Also without a sample to build this has opened everything once: what is missing is a plain error here, and would
    # be a traceback in the server's log later.
    if not (settings.is_catalog_embedded and settings.is_database_embedded and settings.demo_on_serve):
        return
    unfinished = settings.home / "sample-lake.unfinished"
    if not unfinished.exists() and await services.datasets.list_names():
        return
    print_note("Building the sample lake, once; STRATIGRAPH_DEMO_ON_SERVE=false starts without it.")
    _mark(unfinished)
    await build_with_progress(services, DEFAULT_SCALE)
    unfinished.unlink(missing_ok=True)


def _mark(path: Path) -> None:
    # So that the next start completes what this one may not live to.
    path.touch()


def _run(
    settings: Settings, listening: socket.socket, url: str, worker_process: WorkerProcess | None, *, as_json: bool
) -> None:
    import uvicorn

    from app.asgi import create_app

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                settle_memory()
                _announce(url, as_json=as_json)
                # Not earlier: its imports would take the processor from the server's own start.
                _start_worker(worker_process)

    config = uvicorn.Config(
        create_app(settings),
        log_config=None,
        log_level=settings.log_level,
        access_log=settings.log_level == "debug",
        lifespan="on",
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
    )
    server = Server(config)
    server.run(sockets=[listening])
    if not server.started:
        raise RuntimeError("the server did not start; its log is above")


def _start_worker(worker_process: WorkerProcess | None) -> None:
    if worker_process is None:
        print_note(
            "No worker is started: what is reported is kept, and does not get into the lineage graph before one runs "
            "(`stratigraph worker`)."
        )
    else:
        worker_process.start()


def _announce(url: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"url": url, "graphql": f"{url}/graphql", "ready": f"{url}/readyz"})
        sys.stdout.flush()
        return
    print_line()
    print_line(f"Stratigraph is at {url}")
    print_line(f"  GraphiQL   {url}/graphql    (open it in a browser; its tabs hold queries to start with)")
    print_line(f"  Health     {url}/healthz  {url}/readyz")
    print_line("Next, in another terminal:")
    print_line("  stratigraph datasets")
    print_line("  stratigraph snapshots gold.customers")
    print_line("Ctrl-C stops it.")
    sys.stdout.flush()


@contextlib.contextmanager
def _listen(settings: Settings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listening = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        raise InvalidSettingError(
            "STRATIGRAPH_PORT",
            f"cannot listen on port {settings.port} of {settings.host}: {error.strerror or error}. "
            "Stop the program that has it, or choose another one with --port; 0 takes a free one.",
        ) from error
    with listening:
        yield listening


def _url_of(listening: socket.socket, host: str) -> str:
    shown = _WILDCARDS.get(host, host)
    port = listening.getsockname()[1]
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


@contextlib.contextmanager
def _postgres_held(settings: Settings) -> Iterator[None]:
    """Keep the embedded Postgres up from the sample lake to the last request, instead of starting it twice."""
    if not settings.is_database_embedded:
        yield
        return
    from app.postgres.embedded import EmbeddedPostgres

    with EmbeddedPostgres(settings.home):
        yield
