"""What a commit said about itself."""

from __future__ import annotations

from collections.abc import Mapping

import strawberry

from app.domain.versions import INT64_MAX
from app.graphql.scalars import JSON, BigInt

# Iceberg spec, "Optional Snapshot Summary Fields".
_COUNTS = {
    "added-records": "added_records",
    "deleted-records": "deleted_records",
    "total-records": "total_records",
    "added-data-files": "added_files",
    "deleted-data-files": "deleted_files",
    "total-data-files": "total_files",
    "total-files-size": "total_bytes",
}


@strawberry.type(description="What a commit said about itself. A number is null where its writer left it out.")
class SnapshotSummary:
    """What a commit said about itself."""

    added_records: BigInt | None = strawberry.field(default=None, description="Rows it added.")
    deleted_records: BigInt | None = strawberry.field(default=None, description="Rows it removed.")
    total_records: BigInt | None = strawberry.field(default=None, description="Rows of the version.")
    added_files: BigInt | None = strawberry.field(default=None, description="Data files it added.")
    deleted_files: BigInt | None = strawberry.field(default=None, description="Data files it removed.")
    total_files: BigInt | None = strawberry.field(default=None, description="Data files of the version.")
    total_bytes: BigInt | None = strawberry.field(default=None, description="Size of the version's files.")
    extra: JSON = strawberry.field(description="Everything else, as its writer put it.")


def show_summary(summary: Mapping[str, str]) -> SnapshotSummary:
    """The summary as GraphQL has it; what should be a number and is none stays in `extra`."""
    counts: dict[str, BigInt] = {}
    extra: dict[str, str] = {}
    for key, text in summary.items():
        name = _COUNTS.get(key)
        if name and text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= INT64_MAX:
            counts[name] = BigInt(int(text))
        else:
            extra[key] = text
    return SnapshotSummary(extra=JSON(extra), **counts)
