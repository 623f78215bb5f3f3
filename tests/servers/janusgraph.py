"""A JanusGraph for tests, as deploy/dev runs it; needs Java and `make servers`."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.servers.process import _find_ready_line, ready_process

_HOME = Path(__file__).resolve().parents[2] / "deploy" / "dev" / "janusgraph"


def find_missing() -> str | None:
    """Return what this machine lacks to start JanusGraph, in plain words, or None when nothing is missing."""
    if shutil.which("java") is None:
        return "Java is not installed: JanusGraph needs Java 17"
    if not (_HOME / "target" / "built").exists():
        return "JanusGraph is not built: run `make servers`"
    return None


@contextmanager
def janusgraph(
    tmp: Path, *, port: int = 0, backend: str = "inmemory", properties: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Yield the WebSocket URL of a new JanusGraph with an empty graph; `berkeleyje` keeps it in the folder `tmp`.

    `properties` are JanusGraph's own; the backend `cql` needs `storage.port`.

    Raises:
        RuntimeError: it is not built, or did not start.
    """
    with ready_process(_command(tmp, port, backend, properties or {}), log=tmp / "janusgraph.log") as url:
        yield url


class FragileJanusGraph:
    """A JanusGraph that a test freezes, kills and starts again, always on the same port."""

    def __init__(self, tmp: Path, *, backend: str = "inmemory") -> None:
        self._tmp = tmp
        self._backend = backend
        self._port = 0
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self) -> None:
        """Start it; the graph is empty where it is in memory."""
        with (self._tmp / "janusgraph.log").open("a") as errors:
            process = subprocess.Popen(
                _command(self._tmp, self._port, self._backend, {}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                bufsize=1,
            )
        self._process = process
        url = _find_ready_line(process.stdout, 60)
        if url is None:
            self.kill()
            raise RuntimeError(f"JanusGraph did not start:\n{(self._tmp / 'janusgraph.log').read_text()[-4000:]}")
        self.url = url
        self._port = int(url.rpartition(":")[2].partition("/")[0])

    def freeze(self) -> None:
        """Let it neither answer nor go away."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it without a chance to say so."""
        process, self._process = self._process, None
        if process is None:
            return
        # Also one that is frozen.
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError("it does not run")
        os.kill(self._process.pid, number)


def _command(tmp: Path, port: int, backend: str, properties: Mapping[str, str]) -> list[str]:
    if missing := find_missing():
        raise RuntimeError(missing)
    target = _HOME / "target"
    if backend == "berkeleyje":
        properties = {"storage.directory": str(tmp / "janusgraph"), **properties}
    return [
        "java",
        *("-Xmx1g", "-XX:+UseSerialGC"),
        *("-cp", f"{target / 'classes'}:{target / 'lib'}/*", "dev.stratigraph.janusgraph.JanusGraphDevServer"),
        *(str(port), backend, "--exit-with-stdin"),
        *(f"{key}={value}" for key, value in properties.items()),
    ]
