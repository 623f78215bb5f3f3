"""Iceberg's `rewrite_data_files` as a statement that does what a policy asks for.

Its options are those of Iceberg 1.10 (documentation, "Spark procedures"); one that it does not know it refuses.
"""

from __future__ import annotations

from pyiceberg.manifest import DataFileContent
from pyiceberg.table.metadata import TableMetadata

from app.domain.compaction.policy import MIB
from app.lake.compact.planning import PlannedTable
from app.lake.spark.names import literal, quoted, table_name

# As much as is committed together here, in at most so many commits as it makes by default.
_COMMIT_BYTES = 4 * 1024 * MIB
_MAX_COMMITS = 10
# Above the target, which is its own default: it would split what is larger.
_LARGEST = 1.8


def rewrite_statement(catalog: str, planned: PlannedTable) -> str:
    """The statement that carries a plan out, of the whole table."""
    options = ", ".join(f"{literal(name)}, {literal(value)}" for name, value in rewrite_options(planned).items())
    strategy = "sort" if is_sorted(planned.table.metadata) else "binpack"
    # With the catalog, or a namespace of a catalog's name would be taken for it.
    table = literal(table_name(catalog, planned.table.state.name))
    return (
        f"CALL {quoted(catalog)}.system.rewrite_data_files("
        f"table => {table}, strategy => '{strategy}', options => map({options}))"
    )


def rewrite_options(planned: PlannedTable) -> dict[str, str]:
    """What the policy is in the procedure's options."""
    plan = planned.plan
    policy = plan.policy
    largest = max((file.size_bytes for file in planned.table_files), default=0)
    return {
        "target-file-size-bytes": str(policy.target_bytes),
        "min-file-size-bytes": str(policy.candidate_bytes),
        # Larger files stay as they are.
        "max-file-size-bytes": str(max(int(policy.target_bytes * _LARGEST), largest + 1)),
        "min-input-files": "2",
        # All deletes are applied, however few.
        "delete-file-threshold": "1",
        # That would take deletes by value of a spec without partitions for those of its own files alone; those that are
        # about nothing are dropped here afterwards.
        "remove-dangling-deletes": "false",
        # New files are as old as what they are made of only where later deletes by value may be about them. Else they
        # are new, so that no position delete of before seems to be about them.
        "use-starting-sequence-number": _text(_has_equality_deletes(planned)),
        "rewrite-all": _text(policy.rewrite_all),
        "partial-progress.enabled": "true",
        # Groups that failed are told by the answer.
        "partial-progress.max-commits": str(min(_MAX_COMMITS, 1 + plan.bytes_to_rewrite // _COMMIT_BYTES)),
    }


def is_sorted(metadata: TableMetadata) -> bool:
    """Whether the table has an order, in which Spark then writes its rows."""
    return not metadata.sort_order().is_unsorted


def _has_equality_deletes(planned: PlannedTable) -> bool:
    deletes = (file for task in planned.files.values() for file in task.delete_files)
    return any(file.content == DataFileContent.EQUALITY_DELETES for file in deletes)


def _text(flag: bool) -> str:
    return str(flag).lower()
