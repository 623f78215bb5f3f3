"""Why one snapshot stays or goes, and what would change that, in sentences."""

from __future__ import annotations

from app.domain.retention.instants import DAY_MS, shown_count, shown_instant, shown_span
from app.domain.retention.overrides import TableRules
from app.domain.retention.plans import RetentionPlan, Verdict
from app.domain.retention.policy import MAX_KEEP_DAYS
from app.domain.retention.reasons import Reason, ReasonKind


def explain_snapshot(plan: RetentionPlan, verdict: Verdict) -> list[str]:
    """Sentences on one snapshot of the plan: the verdict, each reason, when it expires, and what would change it."""
    snapshot = verdict.snapshot
    name = f"Snapshot {snapshot.snapshot_id} of {shown_instant(snapshot.timestamp_ms)}"
    sentences = [f"{name} is kept: {', '.join(verdict.texts)}." if verdict.is_kept else f"{name} expires."]
    if verdict.made_ms > snapshot.timestamp_ms:
        sentences.append(
            f"Its timestamp is earlier than that of what it was made from, so it counts as of "
            f"{shown_instant(verdict.made_ms)}."
        )
    if verdict.is_kept:
        sentences += [_said(reason) for reason in verdict.reasons]
        sentences += _end(verdict)
    else:
        sentences += _why_expired(plan, verdict)
    return sentences


def _said(reason: Reason) -> str:
    """What a reason is, and until when."""
    return _SAID[reason.kind].format(
        ref=reason.ref,
        holder=reason.holder,
        number=reason.number,
        limit=reason.limit,
        span="" if reason.limit is None else shown_span(reason.limit),
        commits=_commits(reason),
        place="" if reason.commits is None or reason.limit is None else _nth(reason.limit - reason.commits),
        detail="" if reason.detail is None else f" ({reason.detail})",
        until="for ever" if reason.until_ms is None else f"until {shown_instant(reason.until_ms)}",
    )


_SAID = {
    ReasonKind.HEAD: "It is the head of branch {ref}; heads are always kept.",
    ReasonKind.RECENT: "It is the {place} of branch {ref}, whose newest {limit} are kept: until at least {commits}.",
    ReasonKind.WITHIN_RETENTION: "Every snapshot is kept for {span}: this one {until}.",
    ReasonKind.PRODUCTION: "The dataset is a production one, whose snapshots are kept for {span}: this one {until}.",
    ReasonKind.TAGGED: "Tag {ref} names it, and keeps it {until} unless the tag is deleted or moved.",
    ReasonKind.TRAINING_DATA: "Version {number} of model {holder}, which is live, was trained on it; archiving that "
    "version ends this.",
    ReasonKind.RELEASE: "Release {holder} was made of it.",
    ReasonKind.HOLD: "Hold {holder}{detail} is on it, until the hold is released.",
    ReasonKind.UNDO_PIN: "A rollback left it, and can be undone with it: tag {ref} keeps it {until}.",
    ReasonKind.MIN_SNAPSHOTS_TO_KEEP: "It is the {place} of branch {ref}, for which Iceberg's min-snapshots-to-keep is "
    "{limit}: until at least {commits}.",
    ReasonKind.MAX_SNAPSHOT_AGE: "Iceberg's max-snapshot-age-ms for it is {span}, which keeps it {until}.",
    ReasonKind.GC_DISABLED: "The table has gc.enabled=false, so nothing of it expires.",
    ReasonKind.CIRCULAR: "The metadata is broken: its parents run in a circle, and nobody can say how old it is.",
}

# What has to happen before a reason ends that time alone does not end; None of what commits end (`_levers`).
_LEVER = {
    ReasonKind.HEAD: "branch {ref} moves on",
    ReasonKind.RECENT: None,
    ReasonKind.TAGGED: "tag {ref} is deleted",
    ReasonKind.TRAINING_DATA: "version {number} of {holder} is archived",
    ReasonKind.RELEASE: "release {holder} is withdrawn",
    ReasonKind.HOLD: "hold {holder} is released",
    ReasonKind.UNDO_PIN: "tag {ref} is deleted",
    ReasonKind.MIN_SNAPSHOTS_TO_KEEP: None,
    ReasonKind.GC_DISABLED: "gc.enabled is true again",
    ReasonKind.CIRCULAR: "the metadata is repaired",
}


def _end(verdict: Verdict) -> list[str]:
    if verdict.expires_at_ms is not None:
        return [f"If nothing changes, it expires after {shown_instant(verdict.expires_at_ms - 1)}."]
    sentences = ["As things are, it never expires."]
    lasting = [reason for reason in verdict.reasons if reason.until_ms is None]
    # An age without an end has no lever: it ends with the setting, which may be anybody's.
    if all(reason.kind in _LEVER for reason in lasting):
        ends = [reason.until_ms for reason in verdict.reasons if reason.until_ms is not None]
        when = f"after {shown_instant(max(ends))}" if ends else "with the next run"
        sentences.append(f"It expires {when} at the earliest, and only once {joined(_levers(lasting))}.")
    return sentences


def _levers(lasting: list[Reason]) -> list[str]:
    """What has to be done, each once: of several counts of one branch the longest. With a commit its head moves on."""
    commits: dict[str | None, int] = {}
    for reason in lasting:
        if reason.commits is not None:
            commits[reason.ref] = max(reason.commits, commits.get(reason.ref, 0))
    levers = [f"branch {branch} has {shown_count(count, 'more commit')}" for branch, count in commits.items()]
    for reason in lasting:
        form = _LEVER[reason.kind]
        if form is not None and not (reason.kind is ReasonKind.HEAD and reason.ref in commits):
            levers.append(form.format(ref=reason.ref, holder=reason.holder, number=reason.number))
    return levers


def _commits(reason: Reason) -> str:
    return "" if reason.commits is None else shown_count(reason.commits, "more commit")


def _why_expired(plan: RetentionPlan, verdict: Verdict) -> list[str]:
    rules, policy = plan.rules, plan.rules.policy
    if verdict.place is None:
        stands = "No branch leads to it"
    else:
        stands = (
            f"It is the {_nth(verdict.place)} of branch {verdict.branch}, whose newest {policy.keep_last_n} are kept"
        )
    age_ms = plan.now_ms - verdict.made_ms
    sentences = [
        (
            f"{stands}; it is {shown_count(age_ms // DAY_MS, 'day')} old, and {_kept_for(rules)}; no model version, "
            f"release or hold needs it, and no tag keeps it."
        ),
    ]
    gone = [each.ref.name for each in plan.removals if each.ref.snapshot_id == verdict.snapshot.snapshot_id]
    if gone:
        sentences.append(f"With it goes {joined([f'tag {name}' for name in gone])}.")
    if verdict.expires_at_ms is not None:
        sentences.append(f"Nothing has kept it since {shown_instant(verdict.expires_at_ms)}, as things are.")
    days = -(-age_ms // DAY_MS)
    changes = ["a hold on it"]
    if days <= MAX_KEEP_DAYS:
        changes.append(f"keep_days of {days:,} or more")
    if policy.keep_tagged:
        changes.insert(0, "a tag on it")
    if verdict.place is not None:
        changes.append(f"keep_last_n of {verdict.place + 1:,} or more")
    sentences.append(f"Any of these would keep it: {'; '.join(changes)}.")
    return sentences


def _kept_for(rules: TableRules) -> str:
    policy = rules.policy
    if rules.is_production:
        longest = max(policy.keep_days, policy.production_keep_days)
        return f"snapshots of a production dataset are kept for {shown_count(longest, 'day')}"
    return f"snapshots are kept for {shown_count(policy.keep_days, 'day')}"


def joined(texts: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def _nth(place: int) -> str:
    """`newest`, `2nd newest`, `13th newest`, for places that count from 0."""
    if place == 0:
        return "newest"
    number = place + 1
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending} newest"
