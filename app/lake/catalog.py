"""Opening a catalog, and its errors in this project's words."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import requests
from pydantic import ValidationError as PydanticValidationError
from pyiceberg.catalog import (
    Catalog,
    CatalogType,
    _check_required_catalog_properties,
    infer_catalog_type,
    load_catalog,
)
from pyiceberg.exceptions import (
    ForbiddenError,
    NoSuchNamespaceError,
    NoSuchTableError,
    ResolveError,
    RESTError,
    ServerError,
    ValidationError,
)
from pyiceberg.typedef import RecursiveDict
from pyiceberg.utils.config import Config
from sqlalchemy.exc import SQLAlchemyError

from app.domain.names import DatasetName
from app.errors import (
    AppError,
    BackendUnavailableError,
    DatasetForbiddenError,
    DatasetNotFoundError,
    InvalidSettingError,
    MissingFileError,
    NamespaceForbiddenError,
    NamespaceNotFoundError,
    UnreadableTableError,
    UnsupportedTableError,
)
from app.lake.internals import CachingSqlCatalog
from app.lake.metadata_cache import MetadataCache
from app.lake.named_files import AbsentFileError, BrokenFileError

EMBEDDED_CATALOG = "stratigraph"
# pyiceberg's ValidationError is of metadata files, pydantic's (a ValueError) of a server's answers.
_BROKEN_FILES = (
    OSError,
    ValidationError,
    PydanticValidationError,
    pa.ArrowException,
    UnicodeDecodeError,
    EOFError,
    zlib.error,
)


def open_embedded_catalog(database_url: str, warehouse: str, cache: MetadataCache) -> Catalog:
    """The SQL catalog in our own Postgres, with data under `warehouse` (a URI)."""
    with translated_errors():
        return CachingSqlCatalog(
            EMBEDDED_CATALOG, cache, uri=_sqlalchemy_url(database_url), warehouse=warehouse, pool_pre_ping="true"
        )


def open_configured_catalog(name: str, cache: MetadataCache) -> Catalog:
    """The catalog of that name in pyiceberg's own configuration.

    A catalog of type sql gets our caching subclass, on the same properties; any other is pyiceberg's own.

    Raises:
        InvalidSettingError: no such catalog is configured, or its properties do not fit.
        BackendUnavailableError: it does not answer.
    """
    try:
        conf = _get_configuration(name)
        properties = {key: str(value) for key, value in conf.items() if not isinstance(value, dict)}
        if "py-catalog-impl" not in properties:
            declared = properties.get("type")
            kind = CatalogType(declared.lower()) if declared else infer_catalog_type(name, conf)
            if kind is CatalogType.SQL:
                _check_required_catalog_properties(name, kind, conf)
                with translated_errors():
                    return CachingSqlCatalog(name, cache, **{"pool_pre_ping": "true", **properties})
        with translated_errors():
            # With the properties: it would look the name up in what the environment was when pyiceberg was imported.
            return load_catalog(name, **conf)  # type: ignore[arg-type]
    except AppError:
        raise
    except Exception as error:
        # Each kind of catalog has a client of its own, which says in its own way that it was not given what it needs.
        raise InvalidSettingError("STRATIGRAPH_CATALOG", f"catalog {name!r}: {first_line(error)}") from error


def _get_configuration(name: str) -> RecursiveDict:
    config = Config()
    conf = config.get_catalog_config(name)
    if not conf:
        known = ", ".join(config.get_known_catalogs()) or "none"
        raise InvalidSettingError(
            "STRATIGRAPH_CATALOG",
            f"pyiceberg's configuration has no catalog {name!r} (it has: {known}); set it in .pyiceberg.yaml or by "
            f"PYICEBERG_CATALOG__{name.upper()}__URI.",
        )
    return conf


def _sqlalchemy_url(database_url: str) -> str:
    scheme, separator, rest = database_url.partition("://")
    if scheme in ("postgres", "postgresql"):
        scheme = "postgresql+psycopg2"
    return scheme + separator + rest


@contextmanager
def translated_errors(dataset: DatasetName | None = None, namespace: str | None = None) -> Iterator[None]:
    """Turn what catalogs, file systems and parsers raise into this project's errors.

    `dataset` is the table that the block is about, or `namespace` the namespace: what cannot be read or is forbidden
    then is that, not the catalog.
    """
    try:
        yield
    except NoSuchTableError as error:
        raise DatasetNotFoundError(str(dataset or "?")) from error
    except NoSuchNamespaceError as error:
        if dataset is not None:
            raise DatasetNotFoundError(str(dataset)) from error
        raise NamespaceNotFoundError(namespace or "?") from error
    except SQLAlchemyError as error:
        raise BackendUnavailableError("catalog", first_line(getattr(error, "orig", None) or error)) from error
    except ServerError as error:
        if dataset is None:
            raise BackendUnavailableError("catalog", first_line(error)) from error
        # The server is there and answers, but it could not answer about this table: it reads the metadata file for us.
        raise UnreadableTableError(str(dataset), f"the catalog answered {first_line(error)}") from error
    except ForbiddenError as error:
        raise _forbidden(error, dataset, namespace) from error
    except (RESTError, requests.RequestException) as error:
        raise BackendUnavailableError("catalog", first_line(error)) from error
    except _BROKEN_FILES as error:
        if dataset is None:
            raise BackendUnavailableError("catalog", first_line(error)) from error
        raise UnreadableTableError(str(dataset), first_line(error)) from error


def _forbidden(error: ForbiddenError, dataset: DatasetName | None, namespace: str | None) -> AppError:
    # Of this table or namespace alone: others may be allowed, and the catalog is there.
    if dataset is not None:
        return DatasetForbiddenError(str(dataset), first_line(error))
    if namespace is not None:
        return NamespaceForbiddenError(namespace, first_line(error))
    return BackendUnavailableError("catalog", first_line(error))


@contextmanager
def reading_files(dataset: DatasetName) -> Iterator[None]:
    """As `translated_errors`, for blocks that do nothing but read files of this table.

    A file that is not there is a MissingFileError: storage has answered, and will not answer otherwise. Where it did
    not answer, or the file is broken, the table is unreadable for now; and so it is where its metadata file is not
    there, of which the catalog may name another one a moment later. Of a broken file the error has the location.

    Decoders say of a broken file whatever their next step happens to trip over, and file systems of a location that
    they do not know. One such table must not cost the others of a listing.
    """
    with translated_errors(dataset):
        try:
            yield
        except ResolveError as error:
            raise UnsupportedTableError(
                str(dataset), "files of another schema", f"they do not fit the schema of this version ({error})"
            ) from error
        except AbsentFileError as error:
            raise MissingFileError(str(dataset), str(error.filename)) from error
        except BrokenFileError as error:
            raise UnreadableTableError(str(dataset), _short(error.reason), file=error.location) from error
        except _BROKEN_FILES:
            raise
        except (
            ArithmeticError,
            AssertionError,
            AttributeError,
            ImportError,
            LookupError,
            MemoryError,
            NotImplementedError,
            RecursionError,
            SystemError,
            TypeError,
            ValueError,
            struct.error,
        ) as error:
            raise UnreadableTableError(str(dataset), first_line(error)) from error


def first_line(error: BaseException) -> str:
    """What an error is and says, in one line of at most 300 characters."""
    lines = str(error).strip().splitlines()
    return _short(f"{type(error).__name__}: {lines[0] if lines else 'no message'}")


def _short(reason: str) -> str:
    return (reason.strip().splitlines() or ["no message"])[0][:300]
