"""Comparing the rows of two versions as planned: group by group, in bounded memory, to be stopped at any time."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from app.domain import row_diffs
from app.domain.row_diffs import KeyProblem, Method, RowDiff
from app.domain.version_relation import DiffSide
from app.errors import BackendUnavailableError
from app.lake.file_schemas import to_arrow_schema
from app.lake.json_rows import to_json_rows
from app.lake.row_diff import joining
from app.lake.row_diff.aligning import is_increasing
from app.lake.row_diff.batching import Batch, batches_of
from app.lake.row_diff.engine import Engine, Source
from app.lake.row_diff.engine_values import engine_schema
from app.lake.row_diff.feeding import Feed, read_part, telling_failures
from app.lake.row_diff.joining import KeyFinding, Outcome
from app.lake.row_diff.known_keys import KnownKeys
from app.lake.row_diff.left_overs import HasOriginals, LeftOvers
from app.lake.row_diff.outcomes import outcome_of, with_original_key, with_originals
from app.lake.row_diff.planning import PlannedSide, RowDiffPlan
from app.lake.row_diff.reducing import Reducing
from app.lake.row_diff.resources import Resources
from app.lake.row_diff.samples import SampleMaker
from app.lake.row_diff.stopping import RowDiffStoppedError
from app.lake.scratch import make_scratch

# A stream is read for its keys first, then whole.
_PASSES_BY_KEY = 2
# Steps of progress that are worth telling.
_LEAST_STEP = 0.005

OnProgress = Callable[[float], None]


@dataclass(slots=True, kw_only=True)
class _Counts:
    added: int = 0
    removed: int = 0
    changed: int = 0

    def add(self, outcome: Outcome) -> None:
        self.added += outcome.added
        self.removed += outcome.removed
        self.changed += outcome.changed


@dataclass(slots=True, kw_only=True)
class _Streaming:
    """A batch that is read as a stream: where its share of the work begins, and how many of its rows were read; all
    are `rows`, in so many passes.
    """

    begin: float
    share: float
    rows: int
    passes: int = 1
    seen: int = 0


class RowDiffRun:
    """One comparison. `run` is called once, in a thread that may block; `stop` from any."""

    def __init__(self, plan: RowDiffPlan, resources: Resources, on_progress: OnProgress | None = None) -> None:
        self._plan = plan
        self._resources = resources
        self._on_progress = on_progress or (lambda _: None)
        self._stopped = threading.Event()
        self._engine: Engine | None = None
        self._bytes_read = plan.delete_bytes
        self._files_read: set[str] = set()
        self._progress = 0.0
        self._streaming = _Streaming(begin=0.0, share=0.0, rows=1)

    def stop(self) -> None:
        """Let `run` end with RowDiffStoppedError, soon."""
        self._stopped.set()
        engine = self._engine
        if engine is not None:
            engine.stop()

    def run(self) -> RowDiff:
        """The difference.

        Raises:
            MissingFileError, UnreadableTableError: a file is missing or broken; nothing is answered then.
            RowDiffMemoryError: it does not fit into the memory allowed, and cannot be spilled.
            BackendUnavailableError: an object store, or the folder for what does not fit, does not answer.
            RowDiffStoppedError: it was stopped.
        """
        self._raise_if_stopped()
        if not self._plan.to_join:
            return self._answer(_Counts(), self._sample_maker(), Method.METADATA, None)
        try:
            scratch = make_scratch(self._resources.scratch, "row-diff")
        except OSError as error:
            raise BackendUnavailableError("scratch space", str(error)) from error
        try:
            return self._run_in(scratch)
        finally:
            self._engine = None
            shutil.rmtree(scratch, ignore_errors=True)

    def _run_in(self, scratch: Path) -> RowDiff:
        schema = engine_schema(to_arrow_schema(self._plan.columns.to_schema))
        with Engine(
            schema,
            scratch=scratch,
            memory_bytes=self._resources.memory_bytes,
            threads=self._resources.threads,
            is_stopped=self._stopped.is_set,
        ) as engine:
            self._engine = engine
            problem = None
            if self._plan.columns.keys:
                counts, maker = _Counts(), self._sample_maker()
                found = self._compare_all(engine, self._plan.columns.keys, counts, maker)
                if found is None:
                    return self._answer(counts, maker, Method.KEYS, None)
                (example,) = maker.key_rows(found.example)
                problem = KeyProblem(fault=found.fault, side=found.side, example=example)
            counts, maker = _Counts(), self._sample_maker()
            self._compare_all(engine, None, counts, maker)
            return self._answer(counts, maker, Method.MULTISET, problem)

    def _compare_all(
        self, engine: Engine, keys: tuple[int, ...] | None, counts: _Counts, maker: SampleMaker
    ) -> KeyFinding | None:
        total, done = max(1, self._plan.size_bytes), 0
        batches = batches_of(
            self._plan, self._plan.to_join, is_stopped=self._stopped.is_set, on_read=self._note, on_rows=self._streamed
        )
        kept = LeftOvers()
        with contextlib.closing(batches):
            for batch in batches:
                from_feed, to_feed = batch.from_feed, batch.to_feed
                self._raise_if_stopped()
                passes = 1 if keys is None else _PASSES_BY_KEY
                self._streaming = _Streaming(
                    begin=done / total,
                    share=batch.size_bytes / total,
                    rows=max(1, passes * (from_feed.rows + to_feed.rows)),
                    passes=passes,
                )
                with telling_failures(from_feed, to_feed):
                    found = self._compare(engine, batch, kept, keys, counts, maker)
                if found is not None:
                    return found
                done += batch.size_bytes
                self._advance(done / total)
            return self._join_left_over(engine, kept, keys, counts, maker)

    def _advance(self, fraction: float) -> None:
        # Rows that have no keys are compared twice, which is no step back.
        self._progress = max(self._progress, min(1.0, fraction))
        self._on_progress(self._progress)

    def _streamed(self, rows: int) -> None:
        """So many rows more of the batch that is being compared were read."""
        streaming = self._streaming
        streaming.seen += rows
        fraction = streaming.begin + streaming.share * min(1.0, streaming.seen / streaming.rows)
        if fraction - self._progress >= _LEAST_STEP:
            self._advance(fraction)

    def _compare(
        self,
        engine: Engine,
        batch: Batch,
        kept: LeftOvers,
        keys: tuple[int, ...] | None,
        counts: _Counts,
        maker: SampleMaker,
    ) -> KeyFinding | None:
        """Compare a batch, or keep what is left of it to be joined with what is left of others."""
        left = batch.left_over(keys or ())
        if batch.is_streamed:
            # In the order of batches, whose rows are shown in that of their keys.
            found = self._join_left_over(engine, kept, keys, counts, maker)
            if found is not None or self._compare_rest(engine, batch, keys, counts, maker):
                return found
        if keys is not None:
            # Keys that are on several rows of the earlier side show in a join, if that is of all of them.
            found = _find_key_fault(engine, batch.to_feed, keys, DiffSide.TO, is_unique=True)
            found = found or _find_key_fault(engine, batch.from_feed, keys, DiffSide.FROM, is_unique=left is not None)
            if found is not None:
                return found
        if left is not None:
            batch.from_feed.check(left[0])
            batch.to_feed.check(left[1])
            kept.add(left, batch.from_feed, batch.to_feed)
            return self._join_left_over(engine, kept, keys, counts, maker) if kept.are_many else None
        # In the order of batches, whose rows are shown in that of their keys.
        found = self._join_left_over(engine, kept, keys, counts, maker)
        return found or self._join(
            engine,
            (batch.from_feed.open, batch.to_feed.open),
            (batch.from_feed.rows, batch.to_feed.rows),
            keys,
            (batch.from_feed, batch.to_feed),
            counts,
            maker,
        )

    def _compare_rest(
        self, engine: Engine, batch: Batch, keys: tuple[int, ...] | None, counts: _Counts, maker: SampleMaker
    ) -> bool:
        """Compare what is left of a batch once equal rows of files that look alike are left out; False where that is
        all of it, and where it may be that keys do not identify rows, of which all rows are to tell.
        """
        known = None if keys is None else KnownKeys(engine, keys)
        passes = self._streaming.passes
        rest = Reducing(
            self._plan,
            keys or (),
            is_stopped=self._stopped.is_set,
            on_read=self._note,
            on_rows=self._streamed,
            on_compared=lambda rows: self._streamed(passes * rows),
        ).rest_of(batch.groups, known)
        if rest is None or (known is not None and known.may_have_faults(batch.to_feed.rows)):
            return False
        with telling_failures(rest.from_feed, rest.to_feed):
            outcome = outcome_of(engine, rest.sources(), rest.rows, keys, maker.room)
        if isinstance(outcome, KeyFinding) or (known is not None and known.may_be_of_removed()):
            return False
        counts.add(outcome)
        maker.take(with_originals(outcome, *rest.feeds()))
        return True

    def _join_left_over(
        self,
        engine: Engine,
        kept: LeftOvers,
        keys: tuple[int, ...] | None,
        counts: _Counts,
        maker: SampleMaker,
    ) -> KeyFinding | None:
        """Join what is left of batches, whose keys are apart, at once: queries cost more than so few rows."""
        if kept.are_none:
            return None
        from_rows, to_rows = kept.tables()
        found = self._join(
            engine,
            (_source_of(from_rows), _source_of(to_rows)),
            (from_rows.num_rows, to_rows.num_rows),
            keys,
            kept.feeds(),
            counts,
            maker,
        )
        kept.clear()
        return found

    def _join(
        self,
        engine: Engine,
        rows: tuple[Source, Source],
        row_counts: tuple[int, int],
        keys: tuple[int, ...] | None,
        feeds: tuple[HasOriginals, HasOriginals],
        counts: _Counts,
        maker: SampleMaker,
    ) -> KeyFinding | None:
        outcome = outcome_of(engine, rows, row_counts, keys, maker.room)
        if isinstance(outcome, KeyFinding):
            return with_original_key(outcome, *feeds)
        counts.add(outcome)
        maker.take(with_originals(outcome, *feeds))
        return None

    def _answer(self, counts: _Counts, maker: SampleMaker, method: Method, problem: KeyProblem | None) -> RowDiff:
        plan = self._plan
        joined = sum(map(plan.rows_of, plan.to_join))
        for side, is_added in ((plan.to_side, True), (plan.from_side, False)):
            alone = [
                place
                for group in plan.groups
                if group.is_one_sided
                for place in (group.to_places if is_added else group.from_places)
            ]
            rows = sum(side.parts[place].rows for place in alone)
            counts.added += rows if is_added else 0
            counts.removed += 0 if is_added else rows
            self._show_first(side, sorted(alone), maker, is_added=is_added)
        is_keyed = bool(plan.columns.keys) and problem is None
        return RowDiff(
            rows_from=plan.rows_from,
            rows_to=plan.rows_to,
            rows_added=counts.added,
            rows_removed=counts.removed,
            rows_changed=counts.changed if is_keyed else None,
            keys=plan.columns.key_names,
            sample=maker.sample(added=counts.added, removed=counts.removed, changed=counts.changed),
            method=method,
            engine=None if method is Method.METADATA else row_diffs.Engine.DUCKDB,
            bytes_read=self._bytes_read,
            files_read=len(self._files_read),
            keys_checked=joined if is_keyed else 0,
            key_problem=problem,
            not_compared=plan.columns.not_compared,
        )

    def _show_first(self, side: PlannedSide, places: list[int], maker: SampleMaker, *, is_added: bool) -> None:
        """Rows that need no comparison, from the first files on, as many as are still to be shown."""
        for place in places:
            if not maker.missing(is_added=is_added):
                return
            self._note(side, [place], range(len(side.schema.fields)))
            with contextlib.closing(read_part(side, side.parts[place])) as batches:
                for batch in batches:
                    self._raise_if_stopped()
                    maker.show(to_json_rows(batch.slice(0, maker.missing(is_added=is_added))), is_added=is_added)
                    if not maker.missing(is_added=is_added):
                        break

    def _note(self, side: PlannedSide, places: Sequence[int], columns: Sequence[int]) -> None:
        """Count files as read, with the bytes of these columns."""
        self._bytes_read += side.size_bytes(places, columns)
        self._files_read |= {side.parts[place].task.file.file_path for place in places}

    def _raise_if_stopped(self) -> None:
        if self._stopped.is_set():
            raise RowDiffStoppedError

    def _sample_maker(self) -> SampleMaker:
        return SampleMaker(self._plan.columns, self._plan.request.sample_size)


def _find_key_fault(
    engine: Engine, feed: Feed, keys: tuple[int, ...], side: DiffSide, *, is_unique: bool
) -> KeyFinding | None:
    rows = feed.held()
    if rows is not None and is_increasing(rows.select([f"c{place}" for place in keys])):
        return None
    found = joining.find_key_fault(engine, feed.open, keys, side, is_unique=is_unique)
    return None if found is None else with_original_key(found, feed, feed)


def _source_of(rows: pa.Table) -> Source:
    return lambda places: rows.select([f"c{place}" for place in places])
