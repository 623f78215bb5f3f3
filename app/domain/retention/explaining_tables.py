"""The three classic questions about the retention of a table, answered in sentences.

Why does nothing expire? Why does storage grow although the policy runs? Which tags cost most?
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.retention.explaining import joined
from app.domain.retention.instants import DAY_MS, shown_count, shown_instant
from app.domain.retention.overrides import GC_ENABLED
from app.domain.retention.plans import RetentionPlan
from app.domain.retention.reasons import ReasonKind

_SHOWN = 5
_BY_COUNT = (ReasonKind.RECENT, ReasonKind.MIN_SNAPSHOTS_TO_KEEP)
_NAMED = (
    ReasonKind.TAGGED,
    ReasonKind.TRAINING_DATA,
    ReasonKind.RELEASE,
    ReasonKind.HOLD,
    ReasonKind.UNDO_PIN,
)
_UNITS = ("bytes", "KB", "MB", "GB", "TB", "PB")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableBytes:
    """What a table's files weigh, as far as it is known.

    `live` is what the head of main reads, `total` what all snapshots reach, `freed` what the plan frees. `by_holder` is
    what would be freed if this one holder let go, by the text of its reason (`Reason.text`): sets, not sums, so what
    two holders keep together is in neither.
    """

    total: int | None = None
    live: int | None = None
    freed: int | None = None
    by_holder: Mapping[str, int] = field(default_factory=dict)


def explain_table(plan: RetentionPlan, table_bytes: TableBytes) -> list[str]:
    """The answers to all three questions, one after the other."""
    return [
        *explain_what_stays(plan),
        *explain_growth(plan, table_bytes),
        *explain_costs(plan, table_bytes),
        *(warning.text for warning in plan.warnings),
    ]


def explain_what_stays(plan: RetentionPlan) -> list[str]:
    """Why nothing expires, or so little: which rules keep how many snapshots, which alone, and what expires next."""
    total = len(plan.verdicts)
    if not total:
        return ["The table has no snapshots, so there is nothing to expire."]
    if not plan.rules.is_gc_enabled:
        return [
            (
                f"Nothing expires, because the table has {GC_ENABLED}=false: its files may be another table's too. "
                f"All {shown_count(total, 'snapshot')} stay until that is taken back."
            )
        ]
    if plan.expired:
        sentences = [
            f"Of {shown_count(total, 'snapshot')}, the plan keeps {len(plan.kept):,} and expires {len(plan.expired):,}."
        ]
    else:
        sentences = [f"Nothing expires: each of {shown_count(total, 'snapshot')} is kept by at least one rule."]
    alone = Counter(verdict.texts[0] for verdict in plan.kept if len(verdict.texts) == 1)
    for text, count in Counter(text for verdict in plan.kept for text in verdict.texts).most_common(_SHOWN):
        sentences.append(f"{text}: keeps {count:,}, {alone[text]:,} of them alone.")
    return [*sentences, *_next_expiry(plan)]


def explain_growth(plan: RetentionPlan, table_bytes: TableBytes) -> list[str]:
    """Why storage grows though the policy runs: what the data itself weighs, what history adds, and what holds it."""
    sentences: list[str] = []
    total, live, freed = table_bytes.total, table_bytes.live, table_bytes.freed
    if plan.expired and freed == 0:
        sentences.append(
            "What expires frees nothing: all of its files are still read by snapshots that stay. A table that is only "
            "appended to frees no data by expiry, whatever the policy."
        )
    if total and live is not None:
        sentences.append(
            f"The current data is {shown_bytes(live)} of {shown_bytes(total)}; history adds "
            f"{shown_bytes(max(0, total - live))}, which is all that expiry can ever free."
        )
    week = sum(1 for verdict in plan.verdicts if 0 <= plan.now_ms - verdict.made_ms < 7 * DAY_MS)
    policy = plan.rules.policy
    days = max(policy.keep_days, policy.production_keep_days if plan.rules.is_production else 0)
    if week and days:
        sentences.append(
            f"{shown_count(week, 'snapshot')} made in the last 7 days: at that pace there are about "
            f"{week * days // 7:,} in the {shown_count(days, 'day')} that each is kept. Rewritten files stay as long."
        )
    pinned = [verdict for verdict in plan.kept if all(reason.kind in _NAMED for reason in verdict.reasons)]
    if pinned:
        oldest = min(pinned, key=lambda verdict: verdict.made_ms)
        sentences.append(
            f"Kept only for what names them: {shown_count(len(pinned), 'snapshot')}. The oldest, "
            f"{oldest.snapshot.snapshot_id} of {shown_instant(oldest.made_ms)}: {joined(list(oldest.texts))}."
        )
    branches = {reason.ref for verdict in plan.kept for reason in verdict.reasons if reason.kind is ReasonKind.HEAD}
    if len(branches) > 1:
        sentences.append(
            f"There are {len(branches):,} branches, and of each the head and the newest "
            f"{plan.rules.policy.keep_last_n:,} stay."
        )
    sentences.append(
        "Files that no snapshot reaches, as writers that failed leave them, are not freed by expiry but by the removal "
        "of orphans."
    )
    return sentences


def explain_costs(plan: RetentionPlan, table_bytes: TableBytes) -> list[str]:
    """Which tags, models, releases and holds cost most: what each keeps that nothing else does, most first."""
    named = sorted({reason.text for verdict in plan.kept for reason in verdict.reasons if reason.kind in _NAMED})
    if not named:
        return ["No tag, model, release or hold keeps anything."]
    known = sorted(
        ((table_bytes.by_holder[text], text) for text in named if text in table_bytes.by_holder),
        key=lambda each: (-each[0], each[1]),
    )
    costly = [(size, text) for size, text in known if size > 0]
    sentences = [f"{text} alone keeps {shown_bytes(size)}." for size, text in costly[:_SHOWN]]
    if len(costly) > _SHOWN:
        rest = costly[_SHOWN:]
        sentences.append(f"{len(rest):,} more keep {shown_bytes(sum(size for size, _ in rest))}, each its own part.")
    if len(known) > len(costly):
        free = len(known) - len(costly)
        sentences.append(f"Kept otherwise too, and so at no cost now: {free:,} of {len(named):,}.")
    if len(known) < len(named):
        sentences.append(f"Not measured: {len(named) - len(known):,} of {len(named):,}.")
    return sentences


def shown_bytes(size: int) -> str:
    """`512 bytes`, `1.5 KB`, `142.5 GB`; a KB is 1,024 bytes."""
    amount, unit = float(size), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{size:,} {_UNITS[0]}" if unit == 0 else f"{amount:,.1f} {_UNITS[unit]}"


def _next_expiry(plan: RetentionPlan) -> list[str]:
    ends = [verdict.expires_at_ms for verdict in plan.kept if verdict.expires_at_ms is not None]
    if ends:
        return [
            (
                f"If nothing changes, the next one expires after {shown_instant(min(ends) - 1)}, and "
                f"{len(plan.kept) - len(ends):,} never."
            )
        ]
    if all(any(reason.kind in _BY_COUNT for reason in verdict.reasons) for verdict in plan.kept):
        return ["As things are nothing ever expires: all that stays is among the newest of a branch, as it is kept."]
    return ["As things are, nothing of what stays ever expires."]
