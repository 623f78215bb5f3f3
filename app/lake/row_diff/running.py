"""Comparing the rows of two versions as planned: group by group, in bounded memory, to be stopped at any time."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from app.domain.row_diffs import Engine, KeyProblem, Method, RowDiff
from app.domain.row_ranges import Group
from app.domain.version_relation import DiffSide
from app.errors import BackendUnavailableError
from app.lake.data_files import to_arrow_schema
from app.lake.json_rows import to_json_rows
from app.lake.row_diff.engine_values import engine_schema
from app.lake.row_diff.feeding import Feed, read_part
from app.lake.row_diff.joining import Joiner, KeyFinding, Outcome
from app.lake.row_diff.planning import PlannedSide, RowDiffPlan
from app.lake.row_diff.resources import Resources
from app.lake.row_diff.samples import SampleMaker
from app.lake.row_diff.scratch import make_scratch
from app.lake.row_diff.stopping import RowDiffStoppedError

# Of what is compared at once, both sides together: more makes the engine's tables fall out of the processor's caches,
# and less costs the time of its queries.
_BATCH_ROWS = 1_000_000
_BATCH_BYTES = 48 * 1024 * 1024
_READERS = 2
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
    """A batch that is read as a stream: where its share of the work begins, and how many of its rows were read."""

    begin: float
    share: float
    rows: int
    seen: int = 0


class RowDiffRun:
    """One comparison. `run` is called once, in a thread that may block; `stop` from any."""

    def __init__(self, plan: RowDiffPlan, resources: Resources, on_progress: OnProgress | None = None) -> None:
        self._plan = plan
        self._resources = resources
        self._on_progress = on_progress or (lambda _: None)
        self._stopped = threading.Event()
        self._joiner: Joiner | None = None
        self._bytes_read = plan.delete_bytes
        self._files_read: set[str] = set()
        self._progress = 0.0
        self._streaming = _Streaming(begin=0.0, share=0.0, rows=1)

    def stop(self) -> None:
        """Let `run` end with RowDiffStoppedError, soon."""
        self._stopped.set()
        joiner = self._joiner
        if joiner is not None:
            joiner.stop()

    def run(self) -> RowDiff:
        """The difference.

        Raises:
            UnreadableTableError: a file is missing or broken; nothing is answered then.
            RowDiffMemoryError: it does not fit into the memory allowed, and cannot be spilled.
            BackendUnavailableError: an object store, or the folder for what does not fit, does not answer.
            RowDiffStoppedError: it was stopped.
        """
        self._raise_if_stopped()
        if not self._plan.to_join:
            return self._answer(_Counts(), self._sample_maker(), Method.METADATA, None)
        try:
            scratch = make_scratch(self._resources.scratch)
        except OSError as error:
            raise BackendUnavailableError("scratch space", str(error)) from error
        try:
            return self._join(scratch)
        finally:
            self._joiner = None
            shutil.rmtree(scratch, ignore_errors=True)

    def _join(self, scratch: Path) -> RowDiff:
        schema = engine_schema(to_arrow_schema(self._plan.columns.to_schema))
        with Joiner(
            schema,
            scratch=scratch,
            memory_bytes=self._resources.memory_bytes,
            threads=self._resources.threads,
            is_stopped=self._stopped.is_set,
        ) as joiner:
            self._joiner = joiner
            problem = None
            if self._plan.columns.keys:
                counts, maker = _Counts(), self._sample_maker()
                found = self._compare_all(joiner, self._plan.columns.keys, counts, maker)
                if found is None:
                    return self._answer(counts, maker, Method.KEYS, None)
                (example,) = maker.key_rows(found.example)
                problem = KeyProblem(fault=found.fault, side=found.side, example=example)
            counts, maker = _Counts(), self._sample_maker()
            self._compare_all(joiner, None, counts, maker)
            return self._answer(counts, maker, Method.MULTISET, problem)

    def _compare_all(
        self, joiner: Joiner, keys: tuple[int, ...] | None, counts: _Counts, maker: SampleMaker
    ) -> KeyFinding | None:
        total, done = max(1, self._plan.size_bytes), 0
        with contextlib.closing(self._feeds()) as feeds:
            for from_feed, to_feed, size_bytes in feeds:
                self._raise_if_stopped()
                passes = 1 if keys is None else _PASSES_BY_KEY
                self._streaming = _Streaming(
                    begin=done / total,
                    share=size_bytes / total,
                    rows=max(1, passes * (from_feed.rows + to_feed.rows)),
                )
                try:
                    outcome = self._compare(joiner, from_feed, to_feed, keys)
                except Exception:
                    # Whatever the engine made of it.
                    from_feed.raise_failure()
                    to_feed.raise_failure()
                    raise
                if isinstance(outcome, KeyFinding):
                    return outcome
                counts.add(outcome)
                maker.take(outcome)
                done += size_bytes
                self._advance(done / total)
        return None

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
        self, joiner: Joiner, from_feed: Feed, to_feed: Feed, keys: tuple[int, ...] | None
    ) -> Outcome | KeyFinding:
        if keys is None:
            return joiner.compare_multisets(from_feed.open, to_feed.open, self._plan.request.sample_size)
        found = joiner.find_key_fault(to_feed.open, keys, DiffSide.TO, is_unique=True)
        found = found or joiner.find_key_fault(from_feed.open, keys, DiffSide.FROM, is_unique=False)
        return found or joiner.compare_keys(
            from_feed.open, to_feed.open, keys, (from_feed.rows, to_feed.rows), self._plan.request.sample_size
        )

    def _feeds(self) -> Generator[tuple[Feed, Feed, int], None, None]:
        """Both sides of each batch, and its bytes; the next one is being read while one is compared."""
        given_up = threading.Event()
        readers = ThreadPoolExecutor(_READERS, thread_name_prefix="row-diff-")
        try:
            ahead: tuple[Feed, Feed, int] | None = None
            for batch in self._batches():
                size_bytes = sum(map(self._bytes_of, batch))
                fits = size_bytes <= _BATCH_BYTES and self._rows_of(batch) <= _BATCH_ROWS
                from_feed, to_feed = (
                    Feed(
                        side,
                        places,
                        readers=readers if fits else None,
                        is_stopped=lambda: self._stopped.is_set() or given_up.is_set(),
                        on_read=self._note,
                        on_rows=self._streamed,
                    )
                    for side, places in (
                        (self._plan.from_side, [place for group in batch for place in group.from_places]),
                        (self._plan.to_side, [place for group in batch for place in group.to_places]),
                    )
                )
                from_feed.prefetch()
                to_feed.prefetch()
                if ahead is not None:
                    yield ahead
                ahead = (from_feed, to_feed, size_bytes)
            if ahead is not None:
                yield ahead
        finally:
            given_up.set()
            readers.shutdown(cancel_futures=True)

    def _batches(self) -> Iterator[list[Group]]:
        batch: list[Group] = []
        rows = size_bytes = 0
        for group in self._plan.to_join:
            more_rows, more_bytes = self._rows_of([group]), self._bytes_of(group)
            if batch and (rows + more_rows > _BATCH_ROWS or size_bytes + more_bytes > _BATCH_BYTES):
                yield batch
                batch, rows, size_bytes = [], 0, 0
            batch.append(group)
            rows, size_bytes = rows + more_rows, size_bytes + more_bytes
        if batch:
            yield batch

    def _answer(self, counts: _Counts, maker: SampleMaker, method: Method, problem: KeyProblem | None) -> RowDiff:
        plan = self._plan
        joined = sum(self._rows_of([group]) for group in plan.to_join)
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
            engine=None if method is Method.METADATA else Engine.DUCKDB,
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

    def _rows_of(self, groups: list[Group]) -> int:
        from_parts, to_parts = self._plan.from_side.parts, self._plan.to_side.parts
        return sum(
            sum(part.rows for part in chain((from_parts[p] for p in g.from_places), (to_parts[p] for p in g.to_places)))
            for g in groups
        )

    def _bytes_of(self, group: Group) -> int:
        return self._plan.from_side.size_bytes(group.from_places) + self._plan.to_side.size_bytes(group.to_places)

    def _sample_maker(self) -> SampleMaker:
        return SampleMaker(self._plan.columns, self._plan.request.sample_size)
