"""Looking at what is passed: notebooks have no type checker, so that a mistake is told by the argument's name."""

from __future__ import annotations

from collections.abc import Sequence

from app.domain.names import DatasetName
from app.domain.versions import check_snapshot_id, parse_snapshot_id
from app.errors import InvalidArgumentError, InvalidReferenceError
from app.services.retention_sweeps import Chosen


def dataset(namespace: object, table_name: object) -> DatasetName:
    """The table of two names."""
    return DatasetName.checked(text("namespace", namespace), text("table_name", table_name))


def text(argument: str, value: object) -> str:
    """A text."""
    if not isinstance(value, str):
        raise InvalidArgumentError(argument, f"a text is needed, not {type(value).__name__}")
    return value


def optional_text(argument: str, value: object) -> str | None:
    """A text, or None."""
    return None if value is None else text(argument, value)


def names(argument: str, value: object) -> tuple[str, ...]:
    """Texts in a list."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) for name in value):
        raise InvalidArgumentError(argument, "a list of texts is needed")
    return tuple(value)


def list_chosen(namespaces: Sequence[str] | None, table: tuple[str, str] | None) -> list[Chosen]:
    """The tables that are meant: one by its namespace and name, those of namespaces, or all."""
    if table is not None:
        return [Chosen(dataset=dataset(*table))]
    if namespaces is None:
        return [Chosen(is_all=True)]
    return [Chosen(namespace=namespace) for namespace in names("namespaces", namespaces)]


def whole_number(argument: str, value: object) -> int:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidArgumentError(argument, f"a whole number is needed, not {type(value).__name__}")
    return value


def snapshot_id_of(value: int | str) -> int:
    """A snapshot id, which may be a text."""
    if isinstance(value, str):
        return parse_snapshot_id(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidReferenceError(repr(value), "a snapshot id is a whole number")
    return check_snapshot_id(value)


def reference(argument: str, value: object) -> str:
    """A version of a dataset: a reference, or a snapshot id."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(snapshot_id_of(value))
    return text(argument, value)


def optional_reference(argument: str, value: object) -> str | None:
    """A version of a dataset, or None for the latest."""
    return None if value is None else reference(argument, value)
