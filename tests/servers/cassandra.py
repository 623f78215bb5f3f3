"""A Cassandra for tests, in which a JanusGraph keeps its graph; needs Java and `make test-cassandra`."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import janusgraph
from tests.servers.process import ready_process

_HOME = Path(__file__).resolve().parents[2] / "deploy" / "dev" / "cassandra"
_START_TIMEOUT_S = 120


def find_missing() -> str | None:
    """Return what this machine lacks to start Cassandra and JanusGraph, in plain words, or None."""
    if shutil.which("java") is None:
        return "Java is not installed: Cassandra needs Java 17"
    if not (_HOME / "target" / "built").exists():
        return "Cassandra is not built: run `make test-cassandra`"
    return janusgraph.find_missing()


@contextmanager
def cassandra(tmp: Path) -> Iterator[int]:
    """Yield the port of a new, empty Cassandra on 127.0.0.1, which keeps its data in the folder `tmp`.

    Raises:
        RuntimeError: it is not built, or did not start.
    """
    if missing := find_missing():
        raise RuntimeError(missing)
    command = [str(_HOME / "cassandra"), str(tmp / "cassandra"), str(_free_port()), str(_free_port())]
    with ready_process(command, log=tmp / "cassandra.log", timeout_s=_START_TIMEOUT_S) as address:
        yield int(address.rpartition(":")[2])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
