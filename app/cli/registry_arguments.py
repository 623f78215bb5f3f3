"""Reading what the commands about models, pipelines and runs are given."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from app.cli.output import print_line
from app.errors import InvalidArgumentError, InvalidReferenceError, JsonValue

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import datetime
    from uuid import UUID

    from app.domain.models import Metric
    from app.domain.names import DatasetName
    from app.domain.roles import InputRole

    Use = tuple[DatasetName, str | None, InputRole]

Choice = TypeVar("Choice", bound=StrEnum)

# Options whose name is not made of the argument's.
_OPTIONS = {
    "parameters": "--param",
    "metrics": "--metric",
    "trainingData": "--training",
    "name": "--name",
    "olderThanDays": "--older-than",
    "keepLastN": "--keep-last",
    "targetAt": "TARGET",
    "number": "NUMBER",
}
MAX_FILE_BYTES = 16 * 1024 * 1024

At = Annotated[str | None, typer.Argument(metavar="[REF]", help="The version; the latest unless given.")]
Training = Annotated[
    list[str] | None,
    typer.Option("--training", metavar="NS.TABLE@REF", help="Data it was trained on; may be repeated."),
]
Validation = Annotated[
    list[str] | None,
    typer.Option("--validation", metavar="NS.TABLE@REF", help="Data it was validated on; may be repeated."),
]
Test = Annotated[
    list[str] | None, typer.Option("--test", metavar="NS.TABLE@REF", help="Data it was tested on; may be repeated.")
]
Limit = Annotated[int, typer.Option("--limit", metavar="N", help="At most this many.")]
MAX_LISTED = 10_000


def named_as_options() -> AbstractContextManager[None]:
    """Within this, what is wrong is told by the options' names."""
    from app.services.argument_names import arguments_named, option_name

    return arguments_named(option_name, _OPTIONS)


def check_limit(limit: int) -> int:
    """A number of entries to list. Raises InvalidArgumentError."""
    if not 1 <= limit <= MAX_LISTED:
        raise InvalidArgumentError("--limit", f"{limit} is not between 1 and {MAX_LISTED}")
    return limit


def read_metric(text: str) -> Metric:
    """`auc=0.91`, or `rmse=1.2:lower` where it says which way is better. Raises InvalidArgumentError."""
    from app.domain.models import Metric

    # The last `=`, because a metric's name may have one.
    name, equals, told = text.rpartition("=")
    digits, colon, direction = told.partition(":")
    if not equals or (colon and direction not in ("lower", "higher")):
        raise InvalidArgumentError("--metric", f"{text[:80]!r}: write auc=0.91, or rmse=1.2:lower or …:higher")
    try:
        value = float(digits)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidArgumentError("--metric", f"{name[:50]!r}: {digits[:40]!r} is no number")
    return Metric(name=name, value=value, higher_is_better=direction == "higher" if colon else None)


def read_parameters(texts: list[str] | None) -> dict[str, JsonValue]:
    """`depth=3` for each parameter: a JSON value where it is one, else the text. Raises InvalidArgumentError."""
    found: dict[str, JsonValue] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InvalidArgumentError("--param", f"{text[:80]!r}: write depth=3")
        if name in found:
            raise InvalidArgumentError("--param", f"{name[:50]!r} is given twice")
        found[name] = _json_or_text(value)
    return found


def read_uses(texts: list[str] | None, role: InputRole) -> list[Use]:
    """`silver.sales@main~1` for each version of a dataset. Raises InvalidNameError."""
    from app.domain.uses import parse_dataset_at

    return [(*parse_dataset_at(text), role) for text in texts or ()]


def read_instant(option: str, text: str | None) -> datetime | None:
    """An instant with a zone. Raises InvalidArgumentError."""
    from app.domain.versions import parse_instant

    try:
        return None if text is None else parse_instant(text)
    except InvalidReferenceError as error:
        raise InvalidArgumentError(option, f"{(text or '')[:60]!r}: {error.fields['reason']}") from error


def read_uuid(option: str, text: str) -> UUID:
    """The UUID of something. Raises InvalidArgumentError."""
    from uuid import UUID

    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidArgumentError(option, f"{text[:80]!r} is not a UUID") from error


def read_dag(path: Path) -> Any:
    """The JSON of a DAG in a file.

    Raises:
        InvalidDagError: it is no JSON, or no DAG.
        InvalidArgumentError: the file cannot be read.
    """
    import json

    from app.domain.dags import parse_dag_text

    text = read_text("--dag", path)
    # Looked at here already, because only the text tells that a member is there twice.
    parse_dag_text(text)
    return json.loads(text)


def read_text(option: str, path: Path) -> str:
    """A file in UTF-8, of at most 16 MiB. Raises InvalidArgumentError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise InvalidArgumentError(option, f"{path} has more than {MAX_FILE_BYTES} bytes")
        return data.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise InvalidArgumentError(option, f"{path} cannot be read: {error}") from error


def read_choice(option: str, text: str, kind: type[Choice]) -> Choice:
    """One of the choices, in whatever case. Raises InvalidArgumentError."""
    known = [choice.value for choice in kind]
    if text.upper() not in known:
        raise InvalidArgumentError(option, f"{text[:40]!r} is none of {', '.join(known).lower()}")
    return kind(text.upper())


def print_fact(what: str, value: str | None) -> None:
    """A line on something, where there is something to say."""
    if value:
        print_line(f"{what}: {value}")


def to_second(instant: str) -> str:
    """An RFC 3339 instant in UTC without its fraction."""
    return instant.partition(".")[0].removesuffix("Z") + "Z"


def _json_or_text(text: str) -> JsonValue:
    import json

    def once(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
        if len(dict(pairs)) < len(pairs):
            raise InvalidArgumentError("--param", "a member is there twice")
        return dict(pairs)

    try:
        value: JsonValue = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError):
        # No JSON, or more digits or levels than anything could keep: then it is a text.
        return text
    return value
