"""The check of a model: no metric got worse by more than it may."""

from __future__ import annotations

from collections.abc import Iterator

from app.domain.checks.results import CheckKind, CheckResult, CheckSubject, Finding
from app.domain.metrics_diff import MetricDelta, to_float
from app.domain.model_diff import ModelDiff


def check_model(diff: ModelDiff, *, allow_missing: bool = False) -> CheckResult:
    """Whether the later version of a model may take the place of the earlier one.

    It may not where a metric got worse by more than its threshold (those of `app.domain.model_diff.diff_models`, 5 %
    unless told), nor, unless `allow_missing`, where a metric is gone or is no number any more, or no metric could be
    compared at all: what nobody can tell is no pass.
    """
    compared = sum(delta.delta is not None for delta in diff.metrics)
    findings = list(_findings(diff.metrics, may_be_missing=allow_missing))
    if not compared:
        message = "the two versions have no metric in common that is a number in both, so that nothing was compared"
        findings.append(Finding(subject=diff.after.model, message=message, is_failure=not allow_missing))
    subject = CheckSubject(
        kind=CheckKind.MODEL, name=diff.after.model, before=diff.before.label, after=diff.after.label
    )
    return CheckResult(subject=subject, checked=compared, findings=tuple(findings))


def _findings(deltas: tuple[MetricDelta, ...], *, may_be_missing: bool) -> Iterator[Finding]:
    for delta in deltas:
        before, after = to_float(delta.before), to_float(delta.after)
        if delta.regressed:
            yield Finding(subject=delta.name, message=f"{delta.name} went from {before} to {after}{_how_much(delta)}")
        elif delta.is_lost:
            message = f"{delta.name} was {before}, and is told no more"
            yield Finding(subject=delta.name, message=message, is_failure=not may_be_missing)


def _how_much(delta: MetricDelta) -> str:
    percent, allowed = to_float(delta.percent_change), to_float(delta.threshold.scaleb(2))
    change = "" if percent is None else f" ({percent:+.3g} %)"
    way = "higher" if delta.higher_is_better else "lower"
    source = "" if delta.is_direction_declared else ", by its name"
    return f"{change}; {way} is better{source}, and {allowed:g} % are allowed"
