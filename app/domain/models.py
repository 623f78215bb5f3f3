"""Models and their versions: what was trained, on which data, and how good it is."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from app.domain.changes import Actor
from app.domain.names import is_storable
from app.domain.uses import VersionUse
from app.errors import InvalidArgumentError, InvalidNameError, JsonValue

MAX_NAME_CHARS = 200
MAX_TEXT_CHARS = 10_000
MAX_URI_CHARS = 2_000
MAX_METRICS = 1_000
MAX_TRAINING_DATA = 200
MAX_PARAMETERS_BYTES = 1_000_000
MAX_PARAMETERS_NESTING = 32
# What the database's numbers are read back as without loss.
_INTEGERS = range(-(2**63), 2**63)

# What is better low, by the words in its name (`val_rmse`, `p95_latency_ms`). All else is taken for better high.
_LOWER_IS_BETTER = frozenset(
    {
        "aic", "bias", "bic", "brier", "cer", "cost", "crps", "deviance", "distance", "divergence", "duration", "ece",
        "entropy", "error", "errors", "false", "fdr", "fnr", "fpr", "inertia", "latency", "logloss", "loss", "losses",
        "mae", "mape", "mdae", "medae", "mse", "msle", "nll", "nrmse", "perplexity", "pinball", "regret", "residual",
        "residuals", "rmse", "rmsle", "runtime", "smape", "time", "wape", "wer",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One measure of a model version; `value` is None where it was not a number.

    `higher_is_better` is what was declared, None where nothing was.
    """

    name: str
    value: float | None
    higher_is_better: bool | None = None

    @property
    def is_better_high(self) -> bool:
        """Which way it improves: as declared, else guessed from its name."""
        return guess_higher_is_better(self.name) if self.higher_is_better is None else self.higher_is_better


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model: the name that its versions have in common."""

    name: str
    description: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewModelVersion:
    """A version as it is registered. The server gives it its number."""

    model: str
    description: str | None = None
    framework: str | None = None
    artifact_uri: str | None = None
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    run_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """One immutable version of a model. Only its archiving is ever added to it."""

    model: str
    number: int
    created_at: datetime
    created_by: Actor
    reason: str | None
    framework: str | None
    artifact_uri: str | None
    parameters: Mapping[str, JsonValue]
    metrics: tuple[Metric, ...]
    training_data: tuple[VersionUse, ...]
    run_id: UUID | None
    archived_at: datetime | None

    @property
    def label(self) -> str:
        """The version as people call it: `v3`."""
        return f"v{self.number}"

    @property
    def is_archived(self) -> bool:
        """Whether it was archived, and keeps no data any more."""
        return self.archived_at is not None


def check_model_name(name: str) -> str:
    """The name itself, once a model may have it.

    Slashes and colons are left out as MLflow does, because names are parts of URLs and URIs.

    Raises:
        InvalidNameError: empty, too long, or with a character that is not allowed.
    """
    return _check_name("model", name, forbidden="/:")


def check_new_version(new: NewModelVersion, training: Sequence[VersionUse] = ()) -> None:
    """That a version may be registered.

    Raises:
        InvalidNameError, InvalidArgumentError: what is wrong, by the name of the argument.
    """
    check_model_name(new.model)
    for argument, text, limit in (
        ("description", new.description, MAX_TEXT_CHARS),
        ("framework", new.framework, MAX_NAME_CHARS),
        ("artifactUri", new.artifact_uri, MAX_URI_CHARS),
    ):
        check_text(argument, text, limit)
    if new.artifact_uri is not None and (not new.artifact_uri.strip() or not new.artifact_uri.isprintable()):
        raise InvalidArgumentError("artifactUri", "a URI of printable characters is needed")
    check_parameters(new.parameters)
    check_metrics(new.metrics)
    if len(training) > MAX_TRAINING_DATA:
        raise InvalidArgumentError("trainingData", f"{len(training)} entries, at most {MAX_TRAINING_DATA} are taken")
    seen: set[tuple[UUID, int, str]] = set()
    for use in training:
        key = (use.table_uuid, use.snapshot_id, use.role.value)
        if key in seen:
            raise InvalidArgumentError(
                "trainingData", f"{use.dataset} at {use.snapshot_id} is given twice as {use.role.value}"
            )
        seen.add(key)


def check_parameters(parameters: JsonValue | Mapping[str, JsonValue]) -> None:
    """That the parameters are a JSON object that can be kept, and read back as it was.

    Raises:
        InvalidArgumentError: they are none, or too large or nested too deeply; with the JSON pointer of a value in them
            that no database can keep.
    """
    if not isinstance(parameters, Mapping):
        raise InvalidArgumentError("parameters", 'an object is needed, such as {"depth": 3}')
    # A list of its own, and not recursion: what is nested a thousand levels deep is to be refused, not to be a crash.
    pending: list[tuple[str, int, object]] = [("", 1, parameters)]
    while pending:
        pointer, depth, value = pending.pop()
        if isinstance(value, (Mapping, list)) and depth > MAX_PARAMETERS_NESTING:
            raise _bad_parameter(pointer, f"it is nested deeper than {MAX_PARAMETERS_NESTING} levels")
        if isinstance(value, Mapping):
            for key, item in value.items():
                if not isinstance(key, str) or not is_storable(key):
                    raise _bad_parameter(pointer, "a name in it has a NUL or a lone surrogate")
                step = key.replace("~", "~0").replace("/", "~1")
                pending.append((f"{pointer}/{step}", depth + 1, item))
        elif isinstance(value, list):
            pending += [(f"{pointer}/{place}", depth + 1, item) for place, item in enumerate(value)]
        else:
            _check_parameter(pointer, value)
    size = len(json.dumps(dict(parameters), ensure_ascii=False, separators=(",", ":")).encode())
    if size > MAX_PARAMETERS_BYTES:
        raise InvalidArgumentError(
            "parameters", f"they take {size} bytes as JSON, at most {MAX_PARAMETERS_BYTES} are kept"
        )


def check_metrics(metrics: Sequence[Metric]) -> None:
    """That no metric is told twice, and that their names can be kept. Raises InvalidArgumentError."""
    if len(metrics) > MAX_METRICS:
        raise InvalidArgumentError("metrics", f"{len(metrics)} metrics, at most {MAX_METRICS} are taken")
    seen: set[str] = set()
    for metric in metrics:
        if not metric.name.strip() or len(metric.name) > MAX_NAME_CHARS or not metric.name.isprintable():
            raise InvalidArgumentError(
                "metrics", f"a metric's name has 1 to {MAX_NAME_CHARS} printable characters, not {metric.name[:50]!r}"
            )
        if metric.name in seen:
            raise InvalidArgumentError("metrics", f"{metric.name!r} is given twice")
        if metric.value is not None and not math.isfinite(metric.value):
            raise InvalidArgumentError("metrics", f"{metric.name!r} is {metric.value}, which is no number")
        seen.add(metric.name)


def check_text(argument: str, text: str | None, limit: int) -> None:
    """That a text can be kept. Raises InvalidArgumentError."""
    if text is None:
        return
    if len(text) > limit:
        raise InvalidArgumentError(argument, f"it has {len(text)} characters, at most {limit} are kept")
    if not is_storable(text):
        raise InvalidArgumentError(argument, "it has a character that cannot be kept: NUL or a lone surrogate")


def guess_higher_is_better(metric: str) -> bool:
    """Whether a metric of this name is better when it is higher."""
    words = set(re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", metric).lower()))
    if words & {"neg", "negative"} and "false" not in words:
        # scikit-learn's scorers turn losses round, so that all of them are better high: `neg_log_loss`, and from
        # `cross_validate` `test_neg_log_loss`. A likelihood that is turned round is a loss.
        return "likelihood" not in words
    return not words & _LOWER_IS_BETTER


def sorted_metrics(metrics: Iterable[Metric]) -> tuple[Metric, ...]:
    """Metrics by name."""
    return tuple(sorted(metrics, key=lambda metric: metric.name))


def _check_parameter(pointer: str, value: object) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        if not is_storable(value):
            raise _bad_parameter(pointer, "it has a NUL or a lone surrogate")
    elif isinstance(value, int):
        if value not in _INTEGERS:
            raise _bad_parameter(pointer, "it is a whole number beyond 64 bits; write it as a text")
    elif not isinstance(value, float):
        raise _bad_parameter(pointer, "it is no JSON value")
    elif not math.isfinite(value):
        raise _bad_parameter(pointer, "NaN and infinity are no numbers of JSON; write them as texts")


def _bad_parameter(pointer: str, reason: str) -> InvalidArgumentError:
    shown = pointer if len(pointer) <= 200 else pointer[:197] + "..."
    return InvalidArgumentError("parameters", f"{shown or 'the whole'}: {reason}")


def _check_name(kind: str, name: str, *, forbidden: str) -> str:
    if not name.strip():
        raise InvalidNameError(kind, name, "it is empty")
    if name != name.strip():
        raise InvalidNameError(kind, name, "it begins or ends with a space")
    if len(name) > MAX_NAME_CHARS:
        raise InvalidNameError(kind, name, f"it has {len(name)} characters, at most {MAX_NAME_CHARS} are allowed")
    if not name.isprintable() or not is_storable(name):
        raise InvalidNameError(kind, name, "it has an unprintable character")
    if found := next((char for char in name if char in forbidden), None):
        raise InvalidNameError(kind, name, f"{found!r} is not allowed")
    return name
