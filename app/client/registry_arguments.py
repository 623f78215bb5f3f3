"""Looking at what is passed about models, pipelines and runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypedDict, TypeVar
from uuid import UUID

from app.client.arguments import snapshot_id_of, text, whole_number
from app.domain.metrics_diff import BY_METRIC, OVERALL, Thresholds, check_threshold
from app.domain.models import Metric
from app.domain.names import DatasetName
from app.domain.numbered import NumberSelector
from app.domain.roles import InputRole
from app.domain.uses import parse_dataset_at
from app.domain.versions import VersionSelector, parse_instant
from app.errors import InvalidArgumentError, InvalidReferenceError
from app.services.versioning import Version

Choice = TypeVar("Choice", bound=StrEnum)


class Use(TypedDict, total=False):
    """A version of a dataset as it is passed: `dataset` is needed, `at` is a reference or an id, the latest without."""

    dataset: str
    at: str | int
    role: str


class Measure(TypedDict, total=False):
    """A metric whose direction is told: `value` is needed."""

    value: float
    higher_is_better: bool


def optional_text(argument: str, value: object) -> str | None:
    """A text, or None."""
    return None if value is None else text(argument, value)


def optional_number(argument: str, value: object) -> int | None:
    """A whole number, or None."""
    return None if value is None else whole_number(argument, value)


def version_of(value: object) -> NumberSelector | str | None:
    """A version of a model or pipeline: its number, or a reference; None is the latest."""
    if value is None or isinstance(value, str):
        return value
    return NumberSelector(number=whole_number("version", value))


def reference_of(value: object) -> str | None:
    """A version of a model or pipeline, as a reference."""
    return value if value is None or isinstance(value, str) else str(whole_number("version", value))


def flag(argument: str, value: object) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise InvalidArgumentError(argument, f"True or False is needed, not {type(value).__name__}")
    return value


def uuid_of(argument: str, value: object) -> UUID:
    """A UUID, which may be a text."""
    if isinstance(value, UUID):
        return value
    try:
        return UUID(text(argument, value))
    except ValueError as error:
        raise InvalidArgumentError(argument, f"{str(value)[:80]!r} is not a UUID") from error


def choice_of(argument: str, value: object, kind: type[Choice]) -> Choice:
    """One of the choices, in whatever case."""
    given = text(argument, value).upper()
    known = [choice.value for choice in kind]
    if given not in known:
        raise InvalidArgumentError(argument, f"{str(value)[:40]!r} is none of {', '.join(known)}")
    return kind(given)


def instant_of(argument: str, value: object) -> datetime | None:
    """An instant with a zone, which may be a text; None for none."""
    if value is None or isinstance(value, datetime):
        return value
    try:
        return parse_instant(text(argument, value))
    except InvalidReferenceError as error:
        raise InvalidArgumentError(argument, f"{str(value)[:60]!r}: {error.fields['reason']}") from error


def metrics_of(value: object) -> tuple[Metric, ...]:
    """Metrics by their names: numbers, or dicts that tell which way is better."""
    if not isinstance(value, Mapping):
        raise InvalidArgumentError("metrics", 'a dict is needed, such as {"auc": 0.91}')
    found = []
    for name, measure in value.items():
        told = measure if isinstance(measure, Mapping) else {"value": measure}
        if unknown := told.keys() - {"value", "higher_is_better"}:
            raise InvalidArgumentError("metrics", f"{name!r}: there is no {min(map(str, unknown))!r}")
        higher = told.get("higher_is_better")
        found.append(
            Metric(
                name=text("metrics", name),
                value=_number(str(name), told.get("value")),
                higher_is_better=None if higher is None else flag("metrics", higher),
            )
        )
    return tuple(found)


def uses_of(argument: str, value: object, default: InputRole) -> list[tuple[DatasetName, Version, InputRole]]:
    """Versions of datasets: texts such as `silver.sales@main~1`, or dicts of `dataset`, `at` and `role`."""
    if not isinstance(value, (list, tuple)):
        raise InvalidArgumentError(argument, 'a list is needed, such as ["silver.sales@main~1"]')
    return [_use(argument, each, default) for each in value]


def dataset_at_of(argument: str, value: object) -> tuple[DatasetName, Version]:
    """A version of a dataset, as in `uses_of` but for the role."""
    if isinstance(value, str):
        return parse_dataset_at(value)
    if not isinstance(value, Mapping) or "dataset" not in value:
        raise InvalidArgumentError(
            argument, 'write "silver.sales@main~1", or {"dataset": "silver.sales", "at": "main~1"}'
        )
    if unknown := value.keys() - {"dataset", "at", "role"}:
        raise InvalidArgumentError(argument, f"there is no {min(map(str, unknown))!r}; known are dataset, at, role")
    at = value.get("at")
    if isinstance(at, int) and not isinstance(at, bool):
        return DatasetName.parse(text(argument, value["dataset"])), VersionSelector(snapshot_id=snapshot_id_of(at))
    return DatasetName.parse(text(argument, value["dataset"])), optional_text(argument, at)


def _use(argument: str, value: object, default: InputRole) -> tuple[DatasetName, Version, InputRole]:
    name, at = dataset_at_of(argument, value)
    role = value.get("role") if isinstance(value, Mapping) else None
    return name, at, default if role is None else choice_of(argument, role, InputRole)


def _number(name: str, value: object) -> float:
    # A number of numpy is one too, and converts itself.
    if isinstance(value, (bool, str, bytes)) or not hasattr(value, "__float__"):
        raise InvalidArgumentError("metrics", f"{name!r}: a number is needed, not {type(value).__name__}")
    try:
        return float(value)
    except OverflowError as error:
        raise InvalidArgumentError("metrics", f"{name!r}: the number is too large") from error


def number_reference(argument: str, value: object) -> str:
    """A version of a model or pipeline: a reference, or a number."""
    return value if isinstance(value, str) else str(whole_number(argument, value))


def optional_number_reference(argument: str, value: object) -> str | None:
    """A version of a model or pipeline, or None for the latest."""
    return None if value is None else number_reference(argument, value)


def thresholds_of(overall: object, by_metric: object) -> Thresholds:
    """How much metrics may lose, one of all and those of single ones."""
    if by_metric is not None and not isinstance(by_metric, Mapping):
        raise InvalidArgumentError(BY_METRIC, 'a dict is needed, such as {"auc": 0.01}')
    return Thresholds(
        overall=fraction(OVERALL, overall),
        by_metric={text(BY_METRIC, name): fraction(BY_METRIC, value) for name, value in (by_metric or {}).items()},
    )


def fraction(argument: str, value: object) -> Decimal:
    """A fraction from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise InvalidArgumentError(argument, f"a number is needed, not {type(value).__name__}")
    return check_threshold(value, argument)
