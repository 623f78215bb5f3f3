"""The rows, files and statistics that two versions of a dataset differ in."""

from __future__ import annotations

from typing import Annotated

import strawberry

from app.domain import column_stats, file_diffs, row_diffs
from app.graphql.fields import field
from app.graphql.scalars import JSON, BigInt
from app.graphql.types.enums import DiffSide, KeyFault, RowDiffEngine, RowDiffMethod
from app.graphql.types.schema_version import ColumnStats, show_column_stats
from app.services.row_diffs import RowDiffAnswer


@strawberry.type(description="A row that is in both versions, by its key, with other values.")
class RowChange:
    """A row that is in both versions."""

    key: JSON = strawberry.field(description="The key columns.")
    before: JSON = strawberry.field(description="The row in `from`.")
    after: JSON = strawberry.field(description="The row in `to`.")
    columns: list[str] = strawberry.field(description="The columns whose values differ.")


@strawberry.type(description="The first of the rows that differ, the same whenever they are asked for.")
class RowSample:
    """The first of the rows that differ."""

    added: list[JSON] = strawberry.field(description="Rows that only `to` has.")
    removed: list[JSON] = strawberry.field(description="Rows that only `from` has.")
    changed: list[RowChange] = strawberry.field(description="Rows whose key both have.")
    truncated: bool = strawberry.field(description="Whether more rows differ than are shown.")


@strawberry.type(description="Why the keys identify no rows.")
class KeyProblem:
    """Why the keys identify no rows."""

    fault: KeyFault = strawberry.field(description="What is wrong.")
    side: DiffSide = strawberry.field(description="In which version.")
    example: JSON = strawberry.field(description="A key that shows it.")
    message: str = strawberry.field(description="In words.")


@strawberry.type(
    description="The rows that two versions differ in. Columns are matched by field id; one that a version has not yet "
    "is null there, one that it has no more is not compared."
)
class RowDiff:
    """The rows that two versions differ in."""

    rows_from: BigInt = strawberry.field(description="Rows of `from`.")
    rows_to: BigInt = strawberry.field(description="Rows of `to`.")
    rows_added: BigInt = strawberry.field(description="Rows that only `to` has.")
    rows_removed: BigInt = strawberry.field(description="Rows that only `from` has.")
    rows_changed: BigInt | None = strawberry.field(
        description="Rows whose key both have and whose values differ. Null where rows have no keys: a changed row is "
        "then one removed and one added."
    )
    keys: list[str] = strawberry.field(description="The columns that were to identify rows.")
    keys_checked: BigInt = strawberry.field(
        description="Among how many rows the keys were seen to be unique: those that were read, not all."
    )
    key_problem: KeyProblem | None = strawberry.field(
        description="Why the keys identify no rows; these were then counted as a multiset."
    )
    columns_not_compared: list[str] = strawberry.field(description="Columns that one of the versions has no more.")
    sample: RowSample = strawberry.field(description="The first of the rows that differ.")
    method: RowDiffMethod = strawberry.field(description="How it was found.")
    engine: RowDiffEngine | None = strawberry.field(
        description="Where rows were joined or counted; null where manifests told all."
    )
    bytes_read: BigInt = strawberry.field(description="Bytes that were read to find it.")
    files_read: BigInt = strawberry.field(description="Data files that were read to find it.")
    cached: bool = strawberry.field(description="Whether it had been found before, and nothing was read now.")

    @classmethod
    def of(cls, answer: RowDiffAnswer) -> RowDiff:
        """A row diff as GraphQL shows it."""
        diff, problem = answer.diff, answer.diff.key_problem
        return cls(
            rows_from=BigInt(diff.rows_from),
            rows_to=BigInt(diff.rows_to),
            rows_added=BigInt(diff.rows_added),
            rows_removed=BigInt(diff.rows_removed),
            rows_changed=None if diff.rows_changed is None else BigInt(diff.rows_changed),
            keys=list(diff.keys),
            keys_checked=BigInt(diff.keys_checked),
            key_problem=None
            if problem is None
            else KeyProblem(
                fault=problem.fault, side=problem.side, example=JSON(dict(problem.example)), message=problem.message
            ),
            columns_not_compared=list(diff.not_compared),
            sample=_sample(diff.sample),
            method=diff.method,
            engine=diff.engine,
            bytes_read=BigInt(diff.bytes_read),
            files_read=BigInt(diff.files_read),
            cached=answer.is_cached,
        )


@strawberry.type(description="Files that came to a partition and left it; deletes are not taken off the records.")
class PartitionDelta:
    """Files that came to a partition and left it."""

    partition: JSON = strawberry.field(description="A text for each field of the partition spec; null for null.")
    spec_id: int = strawberry.field(description="The partition spec.")
    files_added: BigInt = strawberry.field(description="Data files that only `to` has.")
    files_removed: BigInt = strawberry.field(description="Data files that only `from` has.")
    records_added: BigInt = strawberry.field(description="Rows of the files added.")
    records_removed: BigInt = strawberry.field(description="Rows of the files removed.")


@strawberry.type(description="The files that two versions differ in, from manifests alone.")
class FileDiff:
    """The files that two versions differ in."""

    diff: strawberry.Private[file_diffs.FileDiff]
    files_added: BigInt = strawberry.field(description="Data files that only `to` has.")
    files_removed: BigInt = strawberry.field(description="Data files that only `from` has.")
    bytes_added: BigInt = strawberry.field(description="Bytes of the data files added.")
    bytes_removed: BigInt = strawberry.field(description="Bytes of the data files removed.")
    delete_files_added: BigInt = strawberry.field(description="Delete files that only `to` has.")
    delete_files_removed: BigInt = strawberry.field(description="Delete files that only `from` has.")
    partition_count: int = strawberry.field(description="In how many partitions data files came or went.")
    rewritten_only: bool = strawberry.field(
        description="Whether the files differ and are known to hold the same rows, as after a compaction."
    )

    @classmethod
    def of(cls, diff: file_diffs.FileDiff) -> FileDiff:
        """A file diff as GraphQL shows it."""
        return cls(
            diff=diff,
            files_added=BigInt(diff.files_added),
            files_removed=BigInt(diff.files_removed),
            bytes_added=BigInt(diff.bytes_added),
            bytes_removed=BigInt(diff.bytes_removed),
            delete_files_added=BigInt(diff.delete_files_added),
            delete_files_removed=BigInt(diff.delete_files_removed),
            partition_count=diff.partition_count,
            rewritten_only=diff.is_rewritten_only,
        )

    @field(
        description="The partitions in which most files came or went, those first; `partitionCount` says whether these "
        "are all."
    )
    def partitions(
        self,
        first: Annotated[
            int | None, strawberry.argument(description="At most so many, 1 to 1,000.")
        ] = file_diffs.DEFAULT_LISTED,
    ) -> list[PartitionDelta]:
        """The partitions in which most files came or went."""
        first = file_diffs.DEFAULT_LISTED if first is None else first
        return [
            PartitionDelta(
                partition=JSON(dict(delta.partition)),
                spec_id=delta.spec_id,
                files_added=BigInt(delta.files_added),
                files_removed=BigInt(delta.files_removed),
                records_added=BigInt(delta.records_added),
                records_removed=BigInt(delta.records_removed),
            )
            for delta in self.diff.first_partitions(first)
        ]


@strawberry.type(description="The statistics of a column in two versions.")
class ColumnStatsDelta:
    """The statistics of a column in two versions."""

    field_id: int = strawberry.field(description="Iceberg's id of the column.")
    path: str = strawberry.field(description="Its path.")
    before: ColumnStats | None = strawberry.field(description="In `from`; null where that has not the column.")
    after: ColumnStats | None = strawberry.field(description="In `to`; null where that has not the column.")
    null_rate_delta: float | None = strawberry.field(
        description="How much the share of nulls rose, -1 to 1; null where that is not known."
    )
    range_changed: bool = strawberry.field(description="Whether a bound is another one, as far as bounds are known.")

    @classmethod
    def of(cls, delta: column_stats.ColumnStatsDelta) -> ColumnStatsDelta:
        """A difference of statistics as GraphQL shows it."""
        return cls(
            field_id=delta.field_id,
            path=delta.path,
            before=None if delta.before is None else show_column_stats(delta.before),
            after=None if delta.after is None else show_column_stats(delta.after),
            null_rate_delta=delta.null_rate_delta,
            range_changed=delta.is_range_changed,
        )


def _sample(sample: row_diffs.RowSample) -> RowSample:
    return RowSample(
        added=[JSON(dict(row)) for row in sample.added],
        removed=[JSON(dict(row)) for row in sample.removed],
        changed=[
            RowChange(
                key=JSON(dict(change.key)),
                before=JSON(dict(change.before)),
                after=JSON(dict(change.after)),
                columns=list(change.columns),
            )
            for change in sample.changed
        ],
        truncated=sample.is_truncated,
    )
