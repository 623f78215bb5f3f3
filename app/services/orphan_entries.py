"""Orphans as plain entries: the one shape in which REST, GraphQL and the CLI show them."""

from __future__ import annotations

from typing import TypedDict

from app.services.orphans import MAX_LISTED, OrphanReport


class OrphanEntry(TypedDict):
    """A file that a table does not reach."""

    path: str
    kind: str
    bytes: int
    modified_ms: int


class OrphansEntry(TypedDict):
    """What was found under a table's location, and what became of it.

    `files` are all, of which `reached` are the table's, and `young` too young to tell; `orphans` and `bytes` are of the
    others, by kind. `left` could not be removed, with a few reasons in `examples`. Counts are of all, `listed` may be
    cut. `warnings` say why removing them would be refused.
    """

    dataset: str
    dry_run: bool
    files: int
    reached: int
    young: int
    orphans: dict[str, int]
    bytes: dict[str, int]
    listed: list[OrphanEntry]
    listed_truncated: bool
    removed: int
    removed_bytes: int
    left: int
    examples: list[str]
    warnings: list[str]


def orphans_entry(report: OrphanReport, *, dry_run: bool, limit: int = MAX_LISTED) -> OrphansEntry:
    """The entry of a report, with at most so many files."""
    tally = report.tally
    return OrphansEntry(
        dataset=str(report.dataset),
        dry_run=dry_run,
        files=tally.files,
        reached=tally.reached,
        young=tally.young,
        orphans={kind.value: count for kind, count in tally.orphans.items()},
        bytes={kind.value: size for kind, size in tally.bytes.items()},
        listed=[
            OrphanEntry(
                path=orphan.path, kind=orphan.kind.value, bytes=orphan.size_bytes, modified_ms=orphan.modified_ms
            )
            for orphan in report.listed[:limit]
        ],
        listed_truncated=report.is_cut or len(report.listed) > limit,
        removed=report.removed,
        removed_bytes=report.removed_bytes,
        left=report.left,
        examples=report.examples,
        warnings=report.warnings,
    )
