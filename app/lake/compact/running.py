"""Carrying out a plan: bins are made several at once, and committed in groups, so that little is lost at an early end.

Files that no commit took are removed: of bins that were overtaken, and of those that had not been committed when a run
failed. Not where the catalog did not say what became of a commit: its snapshot may yet come to be.

A file that is missing although the plan was made of it may have been removed from the table since, and deleted by an
expiry: then its bin is overtaken. Only a file that the table has, and storage has not, is a fault.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field, replace

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError

from app.domain.compaction.obstacles import CompactionEngine
from app.domain.compaction.packing import Bin
from app.domain.compaction.policy import MIB
from app.errors import MissingFileError
from app.lake.commits import CommitOutcomeUnknownError
from app.lake.compact.commit import RewrittenBin, commit_bins
from app.lake.compact.manifest_codecs import manifest_codec
from app.lake.compact.outcomes import CommittedBin, CompactionOutcome, MadeBin
from app.lake.compact.planning import PlannedTable, is_still_there, plan_current, refuse_obstacle
from app.lake.expire.deletion import delete_files
from app.lake.metadata_cache import MetadataCache
from app.lake.table import LakeTable

# Bins are committed once they have come to so much, or have waited for so long, and at the end: less would be lost if
# there were more commits, but each stays in the history.
_GROUP_BYTES = 4 * 1024 * MIB
_GROUP_S = 120.0
# How often a run plans anew after what it has done.
MAX_ROUNDS = 4

IsStopped = Callable[[], bool]
# Makes the files of a bin; raises CompactionStoppedError, with nothing left, where it is to stop.
MakeBin = Callable[[PlannedTable, Bin, IsStopped], MadeBin]
OnProgress = Callable[[float], None]
# Told of bins once they are in the table, in the thread of the run.
OnCommit = Callable[[Sequence[CommittedBin]], None]


class CompactionStoppedError(Exception):
    """The run was told to stop."""


@dataclass(slots=True, kw_only=True)
class _Ledger:
    """What has come of a run so far."""

    committed: list[CommittedBin] = field(default_factory=list)
    overtaken: list[Bin] = field(default_factory=list)
    dropped_deletes: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)


class CompactionRun:
    """Compaction of one table. `run` is called once, in a thread that may block; `stop` from any.

    After a plan is carried out what is left is planned anew, up to `rounds` times: with one, nothing is done beyond it.
    """

    def __init__(
        self,
        catalog: Catalog,
        load: Callable[[], LakeTable],
        cache: MetadataCache,
        make: MakeBin,
        *,
        properties: Mapping[str, str],
        threads: int,
        on_progress: OnProgress | None = None,
        on_commit: OnCommit | None = None,
        rounds: int = MAX_ROUNDS,
    ) -> None:
        self._catalog = catalog
        self._load = load
        self._cache = cache
        self._make = make
        self._properties = properties
        self._threads = threads
        self._on_progress = on_progress or (lambda _: None)
        self._on_commit = on_commit or (lambda _: None)
        self._rounds = rounds
        self._stopped = threading.Event()
        self._failed = threading.Event()
        self._ledger = _Ledger()

    def stop(self) -> None:
        """Let `run` end soon, with what is done until then."""
        self._stopped.set()

    def run(self, planned: PlannedTable) -> CompactionOutcome:
        """Carry out the plan, and what is left of it where others wrote meanwhile.

        Raises:
            CommitRefusedError: others were always faster with their commits.
            DatasetForbiddenError: the catalog does not let us load or change it; the new files are removed.
            CommitOutcomeUnknownError: the catalog did not say; the new files are left where they are.
            NoSuchTableError: the table is gone, or another one has its name.
            MissingFileError, UnreadableTableError: a file is missing or broken.
            UnsupportedTableError: the table is one that cannot be compacted here, or has become one.
            InvalidTablePropertyError: a table property on how files are written has a value that it cannot have.
            BackendUnavailableError: an object store, or the folder for what does not fit, does not answer.
            What was committed before it failed counts all the same.
        """
        ledger, asked = self._ledger, planned.plan.policy
        is_all, policy = asked.rewrite_all, replace(asked, rewrite_all=False)
        for number in range(self._rounds):
            refuse_obstacle(planned, CompactionEngine.LOCAL)
            # Told before any file is made, not by the commit of them.
            manifest_codec(planned.table.metadata.properties)
            ledger.overtaken = []
            self._round(planned)
            if self._stopped.is_set() or number == self._rounds - 1:
                break
            # What more files than a bin may hold came to, files that have become so small by being rewritten that they
            # fit together, and what others overtook: of all files that were to be rewritten those of these bins alone,
            # as the others have been.
            table_uuid = planned.table.state.table_uuid
            again = {file.file.path for some in ledger.overtaken for file in some.files} if is_all else frozenset()
            planned = plan_current(self._load, policy, asked_for=again)
            if planned.table.state.table_uuid != table_uuid:
                raise NoSuchTableError(f"{planned.table.state.name} is another table than the one that was begun with")
            if not planned.plan.bins:
                ledger.overtaken = []
                break
        return CompactionOutcome(
            committed=tuple(ledger.committed),
            overtaken=tuple(ledger.overtaken),
            dropped_deletes=tuple(ledger.dropped_deletes),
            leftovers=tuple(ledger.leftovers),
            is_stopped=self._stopped.is_set(),
        )

    def _round(self, planned: PlannedTable) -> None:
        total, done = max(1, planned.plan.bytes_to_rewrite), 0
        group_bytes, begun = 0, time.monotonic()
        group: list[tuple[Bin, MadeBin]] = []
        try:
            with closing(self._made(planned)) as bins_made:
                for some, made in bins_made:
                    group.append((some, made))
                    done, group_bytes = done + some.size_bytes, group_bytes + some.size_bytes
                    if group_bytes >= _GROUP_BYTES or time.monotonic() - begun >= _GROUP_S:
                        self._commit(planned, group)
                        group, group_bytes, begun = [], 0, time.monotonic()
                    self._on_progress(done / total)
            if group:
                self._commit(planned, group)
        except CommitOutcomeUnknownError:
            raise
        except Exception:
            # Whatever it was, and it goes on: nothing names these files.
            self._remove(planned.table, [made for _, made in group])
            raise

    def _made(self, planned: PlannedTable) -> Generator[tuple[Bin, MadeBin], None, None]:
        """The bins as they are made, until it is to stop. Where one fails, the others are stopped, and removed."""
        waiting = list(reversed(planned.plan.bins))
        making: dict[Future[MadeBin], Bin] = {}
        with ThreadPoolExecutor(self._threads, thread_name_prefix="compaction-") as threads:
            try:
                while waiting or making:
                    while waiting and len(making) < self._threads and not self._is_stopped():
                        some = waiting.pop()
                        making[threads.submit(self._make, planned, some, self._is_stopped)] = some
                    if not making:
                        return
                    for future in wait(making, return_when=FIRST_COMPLETED).done:
                        some = making.pop(future)
                        try:
                            made = future.result()
                        except CompactionStoppedError:
                            continue
                        except MissingFileError:
                            if is_still_there(self._load(), planned.tasks_of(some)):
                                raise
                            self._ledger.overtaken.append(some)
                            continue
                        yield some, made
            finally:
                # Also where whoever asks for them fails, or one of them did.
                self._failed.set()
                for future in list(making):
                    error = future.exception()
                    if error is None:
                        self._remove(planned.table, [future.result()])
                self._failed.clear()

    def _is_stopped(self) -> bool:
        return self._stopped.is_set() or self._failed.is_set()

    def _commit(self, planned: PlannedTable, group: Sequence[tuple[Bin, MadeBin]]) -> None:
        rewritten = [RewrittenBin(removed=planned.tasks_of(some), added=made.added) for some, made in group]
        of = {id(bin_): pair for bin_, pair in zip(rewritten, group, strict=True)}
        found = commit_bins(
            self._catalog, self._load, planned.base, rewritten, self._cache, properties=self._properties
        )
        if found.snapshot_id is not None:
            pairs = [of[id(each)] for each in found.committed]
            committed = [CommittedBin(some=some, made=made, snapshot_id=found.snapshot_id) for some, made in pairs]
            self._ledger.committed += committed
            self._on_commit(committed)
        self._ledger.dropped_deletes += found.dropped_deletes
        self._ledger.overtaken += [of[id(each)][0] for each in found.overtaken]
        self._remove(planned.table, [of[id(each)][1] for each in found.overtaken])

    def _remove(self, table: LakeTable, bins: Sequence[MadeBin]) -> None:
        """What cannot be removed is told, and found as an orphan later: what made it useless matters more."""
        done = delete_files(table.io, [file.file_path for made in bins for file in made.added])
        self._ledger.leftovers += [file.path for file in done.left]
