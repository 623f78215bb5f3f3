"""What became of the metrics of a model from one version to another, in decimal arithmetic.

A metric is compared as the number that people wrote: 0.85 to 0.92 is 0.07, and 0.80 to 0.76 is five per cent exactly,
which no arithmetic on binary fractions says.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal

from app.domain.json_diff import DeltaKind
from app.domain.models import Metric, guess_higher_is_better
from app.domain.versions import closest
from app.errors import InvalidArgumentError

DEFAULT_THRESHOLD = Decimal("0.05")
# What a threshold that is wrong is called in errors: the arguments of the GraphQL schema.
OVERALL, BY_METRIC = "regressionThreshold", "metricThresholds"
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", re.ASCII)
_MAX_NUMBER_CHARS = 60
# Doubles have 17 digits and lie at most some 640 places apart: sums, differences and products of two are exact.
_EXACT = Context(prec=2_000)
_QUOTIENT = Context(prec=40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """How much of its earlier value a metric may lose before it has regressed: fractions from 0 to 1."""

    overall: Decimal = DEFAULT_THRESHOLD
    by_metric: Mapping[str, Decimal] = field(default_factory=dict)

    def of(self, metric: str) -> Decimal:
        """The threshold of a metric."""
        return self.by_metric.get(metric, self.overall)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDelta:
    """What became of one metric; `before`, `after` and what is made of both are None where there is no number.

    `kind` tells a metric that one side lacks from one that was not a number there. `delta` is exact;
    `percent_change` is of the amount of the earlier value, so that it has the sign of `delta`, and None of zero.
    """

    name: str
    kind: DeltaKind
    before: Decimal | None
    after: Decimal | None
    delta: Decimal | None
    percent_change: Decimal | None
    higher_is_better: bool
    is_direction_declared: bool
    threshold: Decimal
    regressed: bool

    @property
    def is_lost(self) -> bool:
        """Whether it was a number and is none any more, so that nobody can say whether it regressed."""
        return self.before is not None and self.after is None


def diff_metrics(
    before: Sequence[Metric], after: Sequence[Metric], thresholds: Thresholds | None = None
) -> tuple[MetricDelta, ...]:
    """What became of each metric that either side has, by name.

    A metric has regressed when it got worse by more than its threshold of the amount of its earlier value; from zero,
    by anything at all. Which way is worse is what the later version declared, else the earlier one, else what the name
    suggests (`app.domain.models.guess_higher_is_better`).

    Raises:
        InvalidArgumentError: a threshold for a metric that neither side has, with the closest names.
    """
    thresholds = thresholds or Thresholds()
    old, new = ({metric.name: metric for metric in side} for side in (before, after))
    names = sorted(old.keys() | new.keys())
    for name in thresholds.by_metric:
        if name not in old and name not in new:
            close = " or ".join(map(repr, closest(name, names)))
            hint = f"; did you mean {close}?" if close else ""
            raise InvalidArgumentError(BY_METRIC, f"neither version has a metric {name[:60]!r}{hint}")
    return tuple(_delta(name, old.get(name), new.get(name), thresholds.of(name)) for name in names)


def check_threshold(value: float | Decimal, argument: str) -> Decimal:
    """A threshold as it was given, as a decimal.

    Raises:
        InvalidArgumentError: it is no fraction from 0 to 1; five per cent are 0.05.
    """
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    # Five would be 500 per cent, which nearly nothing exceeds: whoever writes it means something else.
    if not number.is_finite() or not 0 <= number <= 1:
        raise InvalidArgumentError(argument, f"{value} is no fraction from 0 to 1; write 0.05, or 5%, for 5 per cent")
    return number


def parse_threshold(text: str, argument: str) -> Decimal:
    """A threshold as a text: `0.05`, or `5%`. Raises InvalidArgumentError."""
    digits, percent = (text[:-1].rstrip(), 2) if text.endswith("%") else (text, 0)
    if len(digits) > _MAX_NUMBER_CHARS or not _NUMBER.fullmatch(digits):
        raise InvalidArgumentError(argument, f"{text[:60]!r} is no number; write 0.05, or 5%, for 5 per cent")
    return check_threshold(Decimal(digits).scaleb(-percent, _EXACT), argument)


def parse_thresholds(texts: Iterable[str]) -> Thresholds:
    """Thresholds as texts: `0.05` is that of all metrics, `auc=1%` that of one; the last `=` separates.

    Raises:
        InvalidArgumentError: one that is none, or that is given twice.
    """
    overall: Decimal | None = None
    by_metric: dict[str, Decimal] = {}
    for text in texts:
        name, equals, value = text.rpartition("=")
        if not equals:
            if overall is not None:
                raise InvalidArgumentError(OVERALL, "the one of all metrics is given twice")
            overall = parse_threshold(value.strip(), OVERALL)
        elif not name or name in by_metric:
            raise InvalidArgumentError(BY_METRIC, f"{name[:60]!r} is {'given twice' if name else 'no name'}")
        else:
            by_metric[name] = parse_threshold(value.strip(), BY_METRIC)
    return Thresholds(overall=DEFAULT_THRESHOLD if overall is None else overall, by_metric=by_metric)


def to_float(number: Decimal | None) -> float | None:
    """The nearest double, which is the number that was written; None where there is none, or none so large."""
    if number is None:
        return None
    # No negative zero: nobody wrote one.
    nearest = float(number) + 0.0
    return nearest if math.isfinite(nearest) else None


def _delta(name: str, old: Metric | None, new: Metric | None, threshold: Decimal) -> MetricDelta:
    before, after = _number(old), _number(new)
    declared = next((m.higher_is_better for m in (new, old) if m is not None and m.higher_is_better is not None), None)
    higher = guess_higher_is_better(name) if declared is None else declared
    delta = percent = None
    regressed = False
    if before is not None and after is not None:
        delta = _EXACT.subtract(after, before)
        amount = before.copy_abs()
        percent = None if before.is_zero() else _QUOTIENT.divide(_EXACT.multiply(delta, Decimal(100)), amount)
        worse_by = delta.copy_negate() if higher else delta
        regressed = worse_by > _EXACT.multiply(threshold, amount)
    return MetricDelta(
        name=name,
        kind=_kind(old, new, before, after),
        before=before,
        after=after,
        delta=delta,
        percent_change=percent,
        higher_is_better=higher,
        is_direction_declared=declared is not None,
        threshold=threshold,
        regressed=regressed,
    )


def _kind(old: Metric | None, new: Metric | None, before: Decimal | None, after: Decimal | None) -> DeltaKind:
    if old is None:
        return DeltaKind.ADDED
    if new is None:
        return DeltaKind.REMOVED
    return DeltaKind.UNCHANGED if before == after else DeltaKind.CHANGED


def _number(metric: Metric | None) -> Decimal | None:
    if metric is None or metric.value is None or not math.isfinite(metric.value):
        return None
    # The shortest text that reads back as this double: what people wrote, wherever that had up to 15 digits.
    return Decimal(repr(float(metric.value)))
