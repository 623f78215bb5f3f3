"""Where an MLflow registry is, and opening it so that nothing can be written to it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import requests
import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError

from app.errors import (
    AppError,
    BackendUnavailableError,
    InvalidArgumentError,
    MissingExtraError,
    UnsupportedSourceError,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

BACKEND = "MLflow"
EXTRA = "mlflow"
_CONNECT_TIMEOUT_S = 10
_READ_ONLY = "-c default_transaction_read_only=on"
_MANY_SLASHES = re.compile(r"sqlite:/{3,}")


def open_client(uri: str) -> MlflowClient:
    """MLflow's own client of the registry at a URI: `sqlite:///…`, `postgresql://…`, `http://…` or `https://…`.

    Databases are opened so that they refuse to be written to: MLflow would make its tables where there are none, and
    migrate those of an older version.

    Raises:
        InvalidArgumentError: no such URI, or no such file.
        MissingExtraError: MLflow is not installed.
        UnsupportedSourceError: there is no registry, or one of another version of MLflow.
        BackendUnavailableError: nothing answers.
    """
    scheme = uri.partition(":")[0].lower()
    if scheme in ("http", "https"):
        client = _load_mlflow()
        _check_server(uri)
        return client(tracking_uri=uri, registry_uri=uri)
    if scheme == "sqlite":
        opened = _read_only_sqlite(uri)
    elif scheme.partition("+")[0] in ("postgresql", "postgres"):
        opened = _read_only_postgres(uri)
    else:
        raise InvalidArgumentError("uri", "write sqlite:////path, postgresql://host/database or http(s)://host")
    client = _load_mlflow()
    _check_database(uri, opened)
    with translated_errors(uri):
        return client(tracking_uri=opened, registry_uri=opened)


@contextmanager
def translated_errors(uri: str) -> Iterator[None]:
    """What MLflow raises inside, in our words and without the URI's password."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except AppError:
        raise
    except (MlflowException, SQLAlchemyError, requests.RequestException, OSError) as error:
        raise BackendUnavailableError(BACKEND, _without_password(uri, str(error))) from error


def _load_mlflow() -> type[MlflowClient]:
    # It would report its use to its makers, which is not ours to decide. Read when it is imported.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        import alembic as alembic
        from mlflow import MlflowClient
    except ImportError as error:
        raise MissingExtraError(EXTRA, str(error)) from error
    return MlflowClient


def _read_only_sqlite(uri: str) -> str:
    if not _MANY_SLASHES.match(uri):
        raise InvalidArgumentError("uri", "write sqlite:////absolute/path or sqlite:///relative/path")
    path = Path(uri[len("sqlite:///") :].partition("?")[0])
    if not path.is_file():
        raise InvalidArgumentError("uri", f"there is no file {path.absolute()}")
    # With the driver's name: MLflow makes the folder of what it takes to be a path.
    return f"sqlite+pysqlite:///file:{quote(str(path.absolute()))}?mode=ro&uri=true"


def _read_only_postgres(uri: str) -> str:
    parts = urlsplit(uri)
    own = {"options": quote(_READ_ONLY), "connect_timeout": str(_CONNECT_TIMEOUT_S)}
    given = [one for one in parts.query.split("&") if one and one.partition("=")[0] not in own]
    query = "&".join([*given, *(f"{name}={value}" for name, value in own.items())])
    # The driver that the lake has, where none is named.
    scheme = f"postgresql+{parts.scheme.partition('+')[2] or 'psycopg2'}"
    return urlunsplit(parts._replace(scheme=scheme, query=query))


def _check_database(uri: str, opened: str) -> None:
    """That there is a registry, of the version of MLflow that is installed."""
    from alembic.script import ScriptDirectory
    from mlflow import __file__ as package
    from mlflow import __version__ as version

    shown = _without_password(uri, uri)
    try:
        engine = sqlalchemy.create_engine(opened)
        try:
            with engine.connect() as connection:
                tables = set(sqlalchemy.inspect(connection).get_table_names())
                if not {"registered_models", "alembic_version"} <= tables:
                    raise UnsupportedSourceError(shown, "the database holds no registry of MLflow")
                found = connection.execute(sqlalchemy.text("SELECT version_num FROM alembic_version")).scalar()
        finally:
            engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        raise BackendUnavailableError(BACKEND, _without_password(uri, str(error).partition("\n")[0])) from error
    expected = ScriptDirectory(str(Path(package).parent / "store" / "db_migrations")).get_current_head()
    if found != expected:
        reason = (
            f"its schema is {found}, that of MLflow {version} is {expected}; install the MLflow that it belongs to, "
            "upgrade it by `mlflow db upgrade`, or name the address of its server instead"
        )
        raise UnsupportedSourceError(shown, reason)


def _check_server(uri: str) -> None:
    """That something answers at all: MLflow's client would try for minutes."""
    parts = urlsplit(uri)
    if not parts.hostname:
        raise InvalidArgumentError("uri", "it has no host")
    try:
        requests.get(uri.rstrip("/") + "/health", timeout=_CONNECT_TIMEOUT_S)
    except requests.RequestException as error:
        raise BackendUnavailableError(BACKEND, _without_password(uri, str(error))) from error


def _without_password(uri: str, text: str) -> str:
    password = urlsplit(uri).password
    if not password:
        return text
    for spelling in {password, unquote(password)}:
        text = text.replace(spelling, "***")
    return text
