"""Comparing the rows of two versions in Spark: both are read whole there, and only the answer comes here."""

from __future__ import annotations

import threading
from collections.abc import Callable

from app.domain.row_diffs import Engine, KeyProblem, Method, RowDiff
from app.domain.version_relation import DiffSide
from app.errors import BackendUnavailableError
from app.lake.catalog import reading_files
from app.lake.reading import bytes_of
from app.lake.row_diff.joining import KeyFinding, Outcome
from app.lake.row_diff.manifests import delete_bytes, find_snapshot, live_files
from app.lake.row_diff.planning import RowDiffPlan, TableVersion
from app.lake.row_diff.samples import SampleMaker
from app.lake.row_diff.spark.columns import side_query
from app.lake.row_diff.spark.joining import KEPT_ROWS, SparkJoiner
from app.lake.row_diff.stopping import RowDiffStoppedError
from app.lake.spark.names import table_name
from app.lake.spark.session import BACKEND, SparkAddress, SparkStoppedError, spark_session

OnProgress = Callable[[float], None]
# What of the work is done after each step, by how much is read and moved in it.
_CHECKED_TO, _CHECKED_BOTH, _JOINED = 0.2, 0.4, 0.99


class SparkRowDiffRun:
    """One comparison. `run` is called once, in a thread that may block; `stop` from any."""

    def __init__(
        self,
        plan: RowDiffPlan,
        before: TableVersion,
        after: TableVersion,
        address: SparkAddress,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._plan = plan
        self._versions = (before, after)
        self._address = address
        self._on_progress = on_progress or (lambda _: None)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Let `run` end with RowDiffStoppedError, soon."""
        self._stopped.set()

    def run(self) -> RowDiff:
        """The rows that differ. Keys are checked among all rows of both versions.

        Raises:
            RowDiffStoppedError: `stop` was called.
            MissingExtraError, InvalidSettingError, BackendUnavailableError: Spark cannot be reached, or failed.
            UnreadableTableError: a manifest cannot be read.
        """
        columns = self._plan.columns
        with reading_files(self._plan.to_side.table.state.name):
            size_bytes, files = self._cost()
        from_query, to_query = (
            side_query(self._address.catalog, version, schema)
            for version, schema in zip(self._versions, (columns.from_schema, columns.to_schema), strict=True)
        )
        maker = SampleMaker(columns, self._plan.request.sample_size)
        try:
            fault, outcome = self._ask(from_query, to_query)
        except SparkStoppedError as error:
            raise RowDiffStoppedError from error
        is_keyed = bool(columns.keys) and fault is None
        self._refuse_if_stopped()
        self._check(outcome)
        self._on_progress(_JOINED)
        maker.take(outcome)
        problem = None
        if fault is not None:
            (example,) = maker.key_rows(fault.example)
            problem = KeyProblem(fault=fault.fault, side=fault.side, example=example)
        return RowDiff(
            rows_from=self._plan.rows_from,
            rows_to=self._plan.rows_to,
            rows_added=outcome.added,
            rows_removed=outcome.removed,
            rows_changed=outcome.changed if is_keyed else None,
            keys=columns.key_names,
            sample=maker.sample(added=outcome.added, removed=outcome.removed, changed=outcome.changed),
            method=Method.KEYS if is_keyed else Method.MULTISET,
            engine=Engine.SPARK,
            bytes_read=size_bytes,
            files_read=files,
            keys_checked=self._plan.rows_from + self._plan.rows_to if is_keyed else 0,
            key_problem=problem,
            not_compared=columns.not_compared,
        )

    def _ask(self, from_query: str, to_query: str) -> tuple[KeyFinding | None, Outcome]:
        """What is wrong with the keys, and what differs: by key where nothing is."""
        columns, sample_size = self._plan.columns, self._plan.request.sample_size
        # What it keeps would stay on the cluster after the session.
        give_back = f"UNCACHE TABLE IF EXISTS {KEPT_ROWS}"
        with spark_session(self._address.remote, self._stopped, in_the_end=(give_back,)) as session:
            for version in self._versions:
                # Spark's catalogs keep tables for a while: without this it may not know the snapshot yet.
                table = table_name(self._address.catalog, version.table.state.name)
                session.sql(f"REFRESH TABLE {table}").collect()
            joiner = SparkJoiner(session, columns.to_schema, from_query, to_query)
            fault = self._find_key_fault(joiner)
            self._refuse_if_stopped()
            if columns.keys and fault is None:
                return None, joiner.compare_keys(columns.keys, sample_size)
            return fault, joiner.compare_multisets(sample_size)

    def _find_key_fault(self, joiner: SparkJoiner) -> KeyFinding | None:
        if not self._plan.columns.keys:
            return None
        for side, done in ((DiffSide.TO, _CHECKED_TO), (DiffSide.FROM, _CHECKED_BOTH)):
            self._refuse_if_stopped()
            found = joiner.find_key_fault(self._plan.columns.keys, side)
            if found is not None:
                return found
            self._on_progress(done)
        return None

    def _cost(self) -> tuple[int, int]:
        """Bytes and data files of both versions, of the columns that are compared; deletes whole."""
        plan = self._plan
        tasks = [live_files(v.table, find_snapshot(v.table, v.snapshot_id)).values() for v in self._versions]
        size_bytes = delete_bytes(task for some in tasks for task in some)
        for some, side in zip(tasks, (plan.from_side, plan.to_side), strict=True):
            size_bytes += sum(bytes_of(task, side.schema.field_ids, with_deletes=False) for task in some)
        return size_bytes, len({task.file.file_path for some in tasks for task in some})

    def _check(self, outcome: Outcome) -> None:
        # Manifests told the rows of both; what Spark read may be another table of this name and snapshots.
        plan = self._plan
        if plan.rows_from - outcome.removed != plan.rows_to - outcome.added:
            raise BackendUnavailableError(
                BACKEND,
                f"its answer does not add up: {outcome.added} rows added to {plan.rows_from} and {outcome.removed} "
                f"removed make no {plan.rows_to}",
            )

    def _refuse_if_stopped(self) -> None:
        if self._stopped.is_set():
            raise RowDiffStoppedError
