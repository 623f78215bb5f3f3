"""A session of Spark Connect, and what goes wrong in it in our words. The client is an optional part."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from app.errors import BackendUnavailableError, InvalidSettingError, MissingExtraError

EXTRA, BACKEND = "spark", "spark"
# What answers and comparisons depend on, whatever the server's own defaults are.
_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.caseSensitive": "true",
    # As `app.lake.spark.names.literal` writes texts.
    "spark.sql.parser.escapedStringLiterals": "false",
}
_INTERRUPT_EVERY_S = 0.5
_LONGEST_MESSAGE = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkAddress:
    """Where Spark Connect answers, and the name under which it has the catalog of our tables."""

    remote: str = field(repr=False)  # it may hold a token
    catalog: str


class SparkStoppedError(Exception):
    """What ran in a session was stopped by its caller; it is raised in the thread of the session."""


class SparkRefusedError(Exception):
    """Spark answers, and would not do a statement. `message` is the first line of why, `report` all of it."""

    def __init__(self, report: str) -> None:
        self.message = _first_line(report)
        self.report = report
        super().__init__(self.message)


@contextmanager
def spark_session(remote: str, stopped: threading.Event, *, in_the_end: Sequence[str] = ()) -> Iterator[Any]:
    """A session of its own, given back in the end. Once `stopped` is set, whatever runs in it ends, again and again.

    `in_the_end` are statements that are tried then, also after it was stopped. Errors of Spark inside are raised as
    SparkStoppedError where it was stopped, else as BackendUnavailableError.

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
        with warnings.catch_warnings():
            # Spark 4 deprecates saying how texts are escaped; a server may have been told another way all the same.
            warnings.simplefilter("ignore", UserWarning)
            for name, value in _SETTINGS.items():
                session.conf.set(name, value)
        session.release_session_on_close = True
        interrupting = threading.Thread(target=_interrupt, args=(session, stopped, ended), name="spark-interrupt")
        interrupting.start()
        try:
            yield session
            if stopped.is_set():
                raise SparkStoppedError
        finally:
            ended.set()
            interrupting.join()
            for statement in in_the_end:
                # A server that is gone has nothing left to give back.
                with suppress(PySparkException):
                    session.sql(statement).collect()
    except (PySparkException, SparkRefusedError) as error:
        if stopped.is_set():
            raise SparkStoppedError from error
        if isinstance(error, SparkRefusedError):
            raise
        raise BackendUnavailableError(BACKEND, _message(error)) from error
    finally:
        session.stop()


@contextmanager
def telling_refusals() -> Iterator[None]:
    """Within a session: raise SparkRefusedError where Spark answers, and would not do it."""
    from pyspark.errors.exceptions.connect import SparkConnectGrpcException

    try:
        yield
    except SparkConnectGrpcException as error:
        # What never came to Spark, or not back from it, has no class of Spark's own.
        if type(error) is SparkConnectGrpcException:
            raise
        raise SparkRefusedError(str(error)) from error


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
    return _first_line(str(error) if cause is None or "RETRIES_EXCEEDED" not in str(error) else str(cause))


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    details = [line.removeprefix("details = ").strip('"') for line in lines if line.startswith("details = ")]
    return (details or lines or ["it says nothing"])[0][:_LONGEST_MESSAGE]
