"""Spark Connect for tests: a Spark in a process of its own, which clients reach at `sc://127.0.0.1:port`.

Needs Java and `make servers`, as `tests.servers.spark`. Run as a program it is that process.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from tests.servers.process import ready_process
from tests.servers.spark import SHORT_LIVED, find_missing, spark_session

_PORT = "spark.connect.grpc.binding.port"


@contextmanager
def spark_connect(tmp: Path, catalogs: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yield the URL of a Spark Connect server that knows these Iceberg catalogs, as people would configure them.

    It starts in about ten seconds, so share one among many tests.

    Raises:
        RuntimeError: Java, the jars or pyspark are missing, or it did not start.
    """
    if missing := find_missing():
        raise RuntimeError(missing)
    settings = {}
    for name, own in catalogs.items():
        settings[f"spark.sql.catalog.{name}"] = "org.apache.iceberg.spark.SparkCatalog"
        settings |= {f"spark.sql.catalog.{name}.{key}": value for key, value in own.items()}
    command = [sys.executable, "-m", "tests.servers.spark_connect", str(tmp), json.dumps(settings)]
    with ready_process(command, log=tmp / "spark-connect.log") as url:
        yield url


class Pausing:
    """Holds a server of `spark_connect` where it is, so that what a test does in between comes before all that follows.

    It runs at first, and again at the end of the block.
    """

    def __init__(self, url: str) -> None:
        self._jvm = _jvm_at(url)

    def __enter__(self) -> Pausing:
        return self

    def __exit__(self, *_: object) -> None:
        self.resume()

    def pause(self) -> None:
        self._jvm.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._jvm.send_signal(signal.SIGCONT)


def _jvm_at(url: str) -> psutil.Process:
    own = psutil.Process().children(recursive=True)
    option = f"{_PORT}={urlsplit(url).port}"
    return next(child for child in own if child.name() == "java" and option in child.cmdline())


def _serve(tmp: Path, settings: Mapping[str, str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    more = {
        **SHORT_LIVED,
        **settings,
        "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        _PORT: str(port),
        # By its own default every two seconds, in which what a test asks for may be done.
        "spark.connect.progress.reportInterval": "100ms",
    }
    with spark_session(tmp, more):
        print(f"READY sc://127.0.0.1:{port}", flush=True)
        # Until whoever started it closes the pipe or is gone.
        sys.stdin.read()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), json.loads(sys.argv[2]))
