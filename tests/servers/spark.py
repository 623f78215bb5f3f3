"""Spark as another engine on the same tables, for tests; needs Java and `make servers`."""

import importlib.util
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_HOME = Path(__file__).resolve().parents[2] / "deploy" / "dev" / "spark"
# Java's zone, beside the session's: timestamps cross to Python through it.
_UTC = "-Duser.timezone=UTC"
# Settings of one that answers about tables of a few rows: without the compiler that pays only where a JVM lives long,
# which took a quarter of all processor time of such tests.
SHORT_LIVED = {"spark.driver.extraJavaOptions": f"{_UTC} -XX:+UseSerialGC -XX:TieredStopAtLevel=1"}
# And of one whose answers matter and not the way to them: it makes no Java of each query, which took longer than to
# answer it.
INTERPRETED = {
    **SHORT_LIVED,
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}


def find_missing() -> str | None:
    """Return what this machine lacks to run Spark, in plain words, or None when nothing is missing."""
    if shutil.which("java") is None:
        return "Java is not installed: Spark needs Java 17"
    if not (_HOME / "target" / "built").exists():
        return "the jars for Spark are not here: run `make servers`"
    if importlib.util.find_spec("pyspark") is None:
        return "pyspark is not installed: run `make servers`"
    return None


@contextmanager
def spark_session(tmp: Path, more: Mapping[str, str] | None = None) -> Iterator["SparkSession"]:
    """Yield a local Spark (two threads, UTC, 127.0.0.1, no UI) with Iceberg's SQL extensions and no catalog yet.

    It starts in about ten seconds, so share one among many tests: `add_catalog` works at any time. Afterwards the
    JVM is gone, and another one can be started by the same process. `more` are settings of Spark's own.

    Raises:
        RuntimeError: Java, the jars or pyspark are missing.
    """
    if missing := find_missing():
        raise RuntimeError(missing)
    from pyspark.sql import SparkSession

    # Spark would otherwise resolve the host's name and listen on that address.
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    jars = sorted((_HOME / "target" / "jars").glob("*.jar"))
    builder = SparkSession.builder.master("local[2]").appName("stratigraph-tests")
    for key, value in {
        # On the JVM's own class path: java.sql.DriverManager does not see drivers of `spark.jars`.
        "spark.driver.extraClassPath": os.pathsep.join(map(str, jars)),
        "spark.driver.memory": "1536m",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraJavaOptions": _UTC,
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        "spark.sql.warehouse.dir": str(tmp / "spark-warehouse"),
        "spark.local.dir": str(tmp / "spark-local"),
        # Small tables: 200 shuffle partitions would be 200 tiny files.
        "spark.sql.shuffle.partitions": "2",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        **(more or {}),
    }.items():
        builder = builder.config(key, value)
    handler = signal.getsignal(signal.SIGINT)
    spark = builder.getOrCreate()
    # Spark takes Ctrl-C for itself, and would keep it from the tests that follow.
    signal.signal(signal.SIGINT, handler)
    spark.sparkContext.setLogLevel("ERROR")
    try:
        yield spark
    finally:
        spark.stop()
        _end_jvm()


def add_catalog(spark: "SparkSession", name: str, settings: Mapping[str, str]) -> None:
    """Let `spark` use the Iceberg catalog `name`; it connects at first use.

    A name is loaded once in a session: take another one for another database.
    """
    spark.conf.set(f"spark.sql.catalog.{name}", "org.apache.iceberg.spark.SparkCatalog")
    for key, value in settings.items():
        spark.conf.set(f"spark.sql.catalog.{name}.{key}", value)
    # Others commit to the same tables: a cached one would show their past.
    spark.conf.set(f"spark.sql.catalog.{name}.cache-enabled", "false")


def sql_catalog_settings(database_url: str, warehouse: str) -> dict[str, str]:
    """Return settings of a catalog that shares the tables of pyiceberg's `SqlCatalog` in Postgres.

    `database_url` is `postgresql://user:password@host:port/database`, with or without a driver (`+psycopg2`).
    Spark's name of the catalog must be pyiceberg's: it is part of the key of the shared rows.
    """
    url = urlsplit(database_url)
    settings = {
        "type": "jdbc",
        "uri": f"jdbc:postgresql://{url.hostname}:{url.port or 5432}{url.path}",
        "warehouse": warehouse,
        # pyiceberg's tables have the column iceberg_type of V1.
        "jdbc.schema-version": "V1",
    }
    if url.username is not None:
        settings["jdbc.user"] = unquote(url.username)
    if url.password is not None:
        settings["jdbc.password"] = unquote(url.password)
    return settings


def rest_catalog_settings(url: str) -> dict[str, str]:
    """Return settings of the Iceberg REST catalog at `url`."""
    return {"type": "rest", "uri": url}


def _end_jvm() -> None:
    # SparkSession.stop leaves the JVM alive until Python ends; its memory is worth more to the next suite.
    from pyspark import SparkContext

    gateway = SparkContext._gateway
    if gateway is None:
        return
    SparkContext._gateway = None
    SparkContext._jvm = None
    gateway.shutdown()
    process = gateway.proc
    process.stdin.close()
    process.wait(timeout=30)
