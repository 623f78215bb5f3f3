"""Opening catalogs that pyiceberg's configuration names, and errors in this project's words."""

import gzip
import os
import zlib
from pathlib import Path

import pyarrow as pa
import pytest
import requests
from pydantic import TypeAdapter
from pydantic import ValidationError as PydanticValidationError
from pyiceberg.catalog.memory import InMemoryCatalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    ForbiddenError,
    NoSuchNamespaceError,
    NoSuchTableError,
    ResolveError,
    ServerError,
    ServiceUnavailableError,
    UnauthorizedError,
    ValidationError,
)
from pyiceberg.schema import Schema
from pyiceberg.types import IntegerType, NestedField
from sqlalchemy.exc import InvalidRequestError, OperationalError

from app.domain.names import DatasetName
from app.errors import (
    AppError,
    BackendUnavailableError,
    DatasetForbiddenError,
    DatasetNotFoundError,
    InvalidSettingError,
    NamespaceForbiddenError,
    NamespaceNotFoundError,
    UnreadableTableError,
    UnsupportedTableError,
)
from app.lake.catalog import open_configured_catalog, reading_files, translated_errors
from app.lake.deleted_positions import naming_file
from app.lake.internals import CachingSqlCatalog, read_metadata
from app.lake.metadata_cache import MetadataCache
from app.lake.named_files import AbsentFileError
from tests.unit.lake.local_tables import NAME, create_table


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pyiceberg's configuration, empty; its file is the one answered. Set long after pyiceberg was imported."""
    for variable in list(os.environ):
        if variable.upper().startswith("PYICEBERG_"):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYICEBERG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".pyiceberg.yaml"


@pytest.mark.usefixtures("configuration")
def test_the_environment_is_read_when_the_catalog_is_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__URI", f"sqlite:///{tmp_path}/catalog.db")
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__WAREHOUSE", f"file://{tmp_path}/warehouse")

    catalog = open_configured_catalog("lake", MetadataCache(0))

    assert isinstance(catalog, CachingSqlCatalog)
    assert (catalog.name, catalog.properties["warehouse"]) == ("lake", f"file://{tmp_path}/warehouse")
    assert catalog.list_namespaces() == []
    catalog.close()


def test_the_file_is_read_and_names_are_in_any_case(configuration: Path, tmp_path: Path) -> None:
    configuration.write_text(f"catalog:\n  Lake:\n    type: SQL\n    uri: sqlite:///{tmp_path}/catalog.db\n")

    catalog = open_configured_catalog("LAKE", MetadataCache(0))

    assert isinstance(catalog, CachingSqlCatalog)
    catalog.close()


@pytest.mark.parametrize(
    ("case", "properties"),
    [
        ("by its type", {"TYPE": "in-memory"}),
        ("by its class", {"PY_CATALOG_IMPL": "pyiceberg.catalog.memory.InMemoryCatalog"}),
    ],
)
@pytest.mark.usefixtures("configuration")
def test_any_other_catalog_is_pyicebergs_own(
    monkeypatch: pytest.MonkeyPatch, case: str, properties: dict[str, str]
) -> None:
    for key, value in properties.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__LAKE__{key}", value)

    catalog = open_configured_catalog("lake", MetadataCache(0))

    assert type(catalog) is InMemoryCatalog, case
    catalog.close()


def test_an_unknown_name_is_refused_with_the_known_ones(configuration: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration.write_text("catalog:\n  prod:\n    uri: http://localhost\n")
    monkeypatch.setenv("PYICEBERG_CATALOG__STAGING__URI", "http://localhost")

    with pytest.raises(InvalidSettingError) as refused:
        open_configured_catalog("lake", MetadataCache(0))

    assert refused.value.fields["setting"] == "STRATIGRAPH_CATALOG"
    assert "no catalog 'lake' (it has: prod, staging)" in refused.value.message
    assert "PYICEBERG_CATALOG__LAKE__URI" in refused.value.message


@pytest.mark.parametrize(
    ("case", "environment", "reason"),
    [
        ("none at all", {}, "it has: none"),
        (
            "wrong type",
            {"LAKE__TYPE": "nosuch", "LAKE__URI": "http://localhost"},
            "'nosuch' is not a valid",
        ),
        ("no uri for sql", {"LAKE__TYPE": "sql"}, "URI missing"),
        ("no uri for rest", {"LAKE__TYPE": "rest"}, "URI missing"),
        ("no uri and no type", {"LAKE__WAREHOUSE": "file:///x"}, "URI missing"),
        ("uri of no catalog", {"LAKE__URI": "gopher://localhost"}, "Could not infer the catalog type"),
        ("text for properties", {"LAKE": "sqlite"}, "needs to be an object"),
        ("class that is not there", {"LAKE__PY_CATALOG_IMPL": "no.such.Catalog"}, "no.such.Catalog"),
        (
            "type and class",
            {"LAKE__TYPE": "sql", "LAKE__PY_CATALOG_IMPL": "pyiceberg.catalog.memory.InMemoryCatalog"},
            "Must not set both",
        ),
        ("driver that is not installed", {"LAKE__TYPE": "sql", "LAKE__URI": "mysql://localhost/x"}, "MySQLdb"),
        ("type that is not installed", {"LAKE__TYPE": "hive", "LAKE__URI": "thrift://localhost:1"}, "pyiceberg[hive]"),
    ],
)
@pytest.mark.usefixtures("configuration")
def test_properties_that_do_not_fit_are_refused(
    monkeypatch: pytest.MonkeyPatch, case: str, environment: dict[str, str], reason: str
) -> None:
    for key, value in environment.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__{key}", value)

    with pytest.raises(InvalidSettingError) as refused:
        open_configured_catalog("lake", MetadataCache(0))

    assert refused.value.fields["setting"] == "STRATIGRAPH_CATALOG", case
    assert reason in refused.value.message
    assert "'lake'" in refused.value.message


@pytest.mark.parametrize(
    ("case", "uri"), [("file", "sqlite:////no/such/folder/catalog.db"), ("server", "http://127.0.0.1:9/")]
)
@pytest.mark.usefixtures("configuration")
def test_a_catalog_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch, case: str, uri: str) -> None:
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__URI", uri)

    with pytest.raises(BackendUnavailableError) as refused:
        open_configured_catalog("lake", MetadataCache(0))

    assert refused.value.fields["backend"] == "catalog", case


def of_pydantic() -> PydanticValidationError:
    try:
        TypeAdapter(int).validate_python("x")
    except PydanticValidationError as error:
        return error
    raise AssertionError("it was valid")


# Each with the error where no table is meant, but a namespace, and where one is.
TRANSLATIONS: dict[str, tuple[Exception, type[AppError], type[AppError]]] = {
    "no table": (NoSuchTableError("x"), DatasetNotFoundError, DatasetNotFoundError),
    "no namespace": (NoSuchNamespaceError("x"), NamespaceNotFoundError, DatasetNotFoundError),
    "database is gone": (
        OperationalError("SELECT", {}, OSError("it is gone\nand more")),
        BackendUnavailableError,
        BackendUnavailableError,
    ),
    "database is misused": (InvalidRequestError("x"), BackendUnavailableError, BackendUnavailableError),
    "server failed": (ServerError("x"), BackendUnavailableError, UnreadableTableError),
    "server is busy": (ServiceUnavailableError("x"), BackendUnavailableError, BackendUnavailableError),
    "server wants a login": (UnauthorizedError("x"), BackendUnavailableError, BackendUnavailableError),
    "server forbids": (ForbiddenError("x"), NamespaceForbiddenError, DatasetForbiddenError),
    "no connection": (requests.ConnectionError("x"), BackendUnavailableError, BackendUnavailableError),
    "no answer in time": (requests.Timeout("x"), BackendUnavailableError, BackendUnavailableError),
    "no file": (FileNotFoundError("x"), BackendUnavailableError, UnreadableTableError),
    "no permission": (PermissionError("x"), BackendUnavailableError, UnreadableTableError),
    "broken metadata": (ValidationError("x"), BackendUnavailableError, UnreadableTableError),
    "broken answer": (of_pydantic(), BackendUnavailableError, UnreadableTableError),
    "broken data": (pa.ArrowInvalid("x"), BackendUnavailableError, UnreadableTableError),
    "no text": (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), BackendUnavailableError, UnreadableTableError),
    "cut file": (EOFError(), BackendUnavailableError, UnreadableTableError),
    "no gzip": (gzip.BadGzipFile("x"), BackendUnavailableError, UnreadableTableError),
    "broken gzip": (zlib.error("x"), BackendUnavailableError, UnreadableTableError),
}


def test_what_is_forbidden_of_the_catalog_itself_is_no_namespace() -> None:
    with pytest.raises(BackendUnavailableError, match="ForbiddenError: x"), translated_errors():
        raise ForbiddenError("x")


@pytest.mark.parametrize("dataset", [None, NAME], ids=["of a namespace", "of a table"])
@pytest.mark.parametrize("case", TRANSLATIONS)
def test_each_error_becomes_one_of_ours(case: str, dataset: DatasetName | None) -> None:
    error, of_catalog, of_table = TRANSLATIONS[case]

    with pytest.raises(AppError) as translated, translated_errors(dataset, namespace="sales"):
        raise error

    assert type(translated.value) is (of_catalog if dataset is None else of_table)
    assert translated.value.__cause__ is error
    assert "\n" not in translated.value.message
    assert len(translated.value.message) < 500


@pytest.mark.parametrize(
    ("case", "error", "dataset", "message"),
    [
        (
            "driver's own words, without the statement",
            OperationalError("SELECT secret", {}, OSError("it is gone\nand more")),
            None,
            "catalog is not available: OSError: it is gone",
        ),
        (
            "server's words about a table",
            ServerError("broken"),
            NAME,
            "sales.orders cannot be read: the catalog answered ServerError: broken",
        ),
        (
            "server's words where it forbids a table",
            ForbiddenError("NotAuthorized: not you"),
            NAME,
            "The catalog forbids this of sales.orders: ForbiddenError: NotAuthorized: not you",
        ),
        ("no words", EOFError(), NAME, "sales.orders cannot be read: EOFError: no message"),
        ("many words", OSError("x" * 999), None, f"catalog is not available: OSError: {'x' * 291}"),
    ],
)
def test_messages_say_what_it_was_and_about_what(
    case: str, error: Exception, dataset: DatasetName | None, message: str
) -> None:
    with pytest.raises(AppError) as translated, translated_errors(dataset):
        raise error

    assert translated.value.message == message, case


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), RuntimeError("x"), InvalidSettingError("x", "y")])
def test_what_is_nobodys_fault_but_ours_stays_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, translated_errors(NAME):
        raise error

    assert raised.value is error


@pytest.mark.parametrize(
    ("case", "error", "expected"),
    [
        ("another schema", ResolveError("x"), UnsupportedTableError),
        ("decoder's index", IndexError("x"), UnreadableTableError),
        ("decoder's value", ValueError("x"), UnreadableTableError),
        ("broken compression", zlib.error("x"), UnreadableTableError),
        ("no file", FileNotFoundError("x"), UnreadableTableError),
        ("server failed", ServerError("x"), UnreadableTableError),
    ],
)
def test_whatever_a_decoder_says_is_a_broken_file(case: str, error: Exception, expected: type[AppError]) -> None:
    with pytest.raises(expected) as translated, reading_files(NAME):
        raise error

    assert translated.value.fields["dataset"] == str(NAME), case


def test_a_broken_file_is_told_whole_however_long_its_location_is() -> None:
    location = f"s3://lake/{'a' * 900}/00000.parquet"

    with pytest.raises(UnreadableTableError) as translated, reading_files(NAME), naming_file(location):
        raise ValueError("it is empty\nand more")

    assert translated.value.fields == {"dataset": str(NAME), "reason": "ValueError: it is empty", "file": location}
    assert translated.value.message == f"{NAME} cannot be read: {location}: ValueError: it is empty"


@pytest.mark.parametrize(
    ("case", "error", "expected"),
    [
        (
            "a file that names itself",
            OSError("00001.parquet is a folder"),
            ("UNREADABLE_TABLE", "s3://lake/00001.parquet"),
        ),
        ("a decoder", ValueError("no magic"), ("UNREADABLE_TABLE", "s3://lake/00001.parquet")),
        (
            "no file",
            AbsentFileError(2, "No such file", "s3://lake/00001.parquet"),
            ("MISSING_FILE", "s3://lake/00001.parquet"),
        ),
        ("no storage", BackendUnavailableError("storage", "it is full"), ("BACKEND_UNAVAILABLE", None)),
    ],
)
def test_what_is_read_for_the_sake_of_another_file_is_told_itself(
    case: str, error: Exception, expected: tuple[str, str | None]
) -> None:
    with (
        pytest.raises(AppError) as translated,
        reading_files(NAME),
        naming_file("s3://lake/00000.parquet"),
        naming_file("s3://lake/00001.parquet"),
    ):
        raise error

    assert (translated.value.code, translated.value.fields.get("file")) == expected, case


@pytest.mark.parametrize("case", ["cut", "no gzip", "broken gzip", "no json", "no metadata", "no text"])
def test_a_broken_metadata_file_makes_the_table_unreadable_and_is_named(catalog: SqlCatalog, case: str) -> None:
    table = create_table(catalog, Schema(NestedField(1, "id", IntegerType())))
    packed = gzip.compress(Path(table.metadata_location.removeprefix("file://")).read_bytes())
    content, reason = {
        "cut": (packed[:-20], "Compressed file ended before the end-of-stream marker was reached"),
        "no gzip": (b"{}", "Not a gzipped file (b'{}')"),
        "broken gzip": (packed[:10] + b"\xff" * 40, "Error -3 while decompressing data: invalid block type"),
        "no json": (gzip.compress(b"{"), "Invalid JSON: EOF while parsing an object at line 1 column 1"),
        "no metadata": (gzip.compress(b'{"format-version": 2}'), "2.location: Field required"),
        "no text": (gzip.compress(b"\xff"), "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    }[case]
    location = f"{table.location()}/metadata/broken.gz.metadata.json"
    with table.io.new_output(location).create() as stream:
        stream.write(content)

    with pytest.raises(UnreadableTableError) as caught, translated_errors(NAME):
        read_metadata(table.io, location, MetadataCache(0))

    assert caught.value.fields["reason"] == f"BrokenMetadataError: {location} is no table metadata: {reason}"
