"""A session of Spark Connect, and what goes wrong in it in our words. The client is an optional part."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from app.errors import BackendUnavailableError, InvalidSettingError, MissingExtraError
from app.lake.row_diff.stopping import RowDiffStoppedError

EXTRA, BACKEND = "spark", "spark"
# What answers and comparisons depend on, whatever the server's own defaults are.
_SETTINGS = {"spark.sql.session.timeZone": "UTC", "spark.sql.caseSensitive": "true"}
# The view in which a session may keep rows; they are given back in the end.
KEPT_ROWS = "stratigraph_differing_rows"
_INTERRUPT_EVERY_S = 0.5
_LONGEST_MESSAGE = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkAddress:
    """Where Spark Connect answers, and the name under which it has the catalog of our tables."""

    remote: str = field(repr=False)  # it may hold a token
    catalog: str


@contextmanager
def spark_session(remote: str, stopped: threading.Event) -> Iterator[Any]:
    """A session of its own, given back in the end. Once `stopped` is set, whatever runs in it ends, again and again.

    Errors of Spark inside are raised as RowDiffStoppedError where it was stopped, else as BackendUnavailableError.

    Raises:
        MissingExtraError: the client is not installed.
        InvalidSettingError: `remote` is no address of Spark Connect.
        BackendUnavailableError: nothing answers there.
    """
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql.connect.client.retries import DefaultPolicy
        from pyspark.sql.connect.session import SparkSession
    except ImportError as error:
        raise MissingExtraError(EXTRA, str(error)) from error
    try:
        session = SparkSession(connection=remote)
    except ValueError:
        # Without the message, and without the error, which have the token in them.
        raise InvalidSettingError("STRATIGRAPH_SPARK_REMOTE", "it is not sc://host:port/;name=value…") from None
    ended = threading.Event()
    try:
        # Five seconds, where the client's own default is to try for ten minutes.
        session.client.set_retry_policies([DefaultPolicy(max_retries=4)])
        session.release_session_on_close = False
        for name, value in _SETTINGS.items():
            session.conf.set(name, value)
        session.release_session_on_close = True
        interrupting = threading.Thread(target=_interrupt, args=(session, stopped, ended), name="spark-interrupt")
        interrupting.start()
        try:
            yield session
            if stopped.is_set():
                raise RowDiffStoppedError
        finally:
            ended.set()
            interrupting.join()
            # They would stay on the cluster after the session. A server that is gone has them no more.
            with suppress(PySparkException):
                session.sql(f"UNCACHE TABLE IF EXISTS {KEPT_ROWS}").collect()
    except PySparkException as error:
        if stopped.is_set():
            raise RowDiffStoppedError from error
        raise BackendUnavailableError(BACKEND, _message(error)) from error
    finally:
        session.stop()


def _interrupt(session: Any, stopped: threading.Event, ended: threading.Event) -> None:
    from pyspark.errors import PySparkException

    while not ended.wait(_INTERRUPT_EVERY_S):
        if stopped.is_set():
            # What runs may only be on its way to the server, so once is not enough. Where the server is gone, what
            # runs fails by itself.
            with suppress(PySparkException):
                session.interruptAll()


def _message(error: BaseException) -> str:
    cause = error.__cause__ or error.__context__
    text = str(error) if cause is None or "RETRIES_EXCEEDED" not in str(error) else str(cause)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    details = [line.removeprefix("details = ").strip('"') for line in lines if line.startswith("details = ")]
    return (details or lines or [type(error).__name__])[0][:_LONGEST_MESSAGE]
