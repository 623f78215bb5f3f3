"""What a run of compaction may use, and how its files and snapshots tell whose they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pyiceberg.catalog import Catalog

from app.errors import BackendUnavailableError
from app.lake.arrow_memory import thrifty_memory_pool
from app.lake.catalog import translated_errors
from app.lake.compact.making import MERGE_MIN_CHUNK_BYTES, BinMaker
from app.lake.compact.outcomes import CompactionOutcome, Way
from app.lake.compact.planning import PlannedTable
from app.lake.compact.running import MAX_ROUNDS, CompactionRun, OnCommit, OnProgress
from app.lake.compact.spark import SparkCompactionRun, SparkJob
from app.lake.metadata_cache import MetadataCache
from app.lake.table import LakeTable


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionJob:
    """Memory is that of all bins together, of which several are made at once, and each of large ones by all threads.

    `name` becomes part of the names of new files, `properties` of the summaries of new snapshots. With one of `rounds`
    nothing is done beyond the plan; with `way` bins are made so wherever they can be. Pages stay as they are where the
    column chunks of files have `merge_min_chunk_bytes` on average. With `spark` all of it is done
    there, by the means that are there.
    """

    name: str
    properties: Mapping[str, str]
    scratch: Path
    memory_bytes: int
    threads: int
    rounds: int = MAX_ROUNDS
    way: Way | None = None
    merge_min_chunk_bytes: int = MERGE_MIN_CHUNK_BYTES
    spark: SparkJob | None = None


class Run(Protocol):
    """A run in one of the engines. `run` is called once, in a thread that may block; `stop` from any."""

    def run(self, planned: PlannedTable) -> CompactionOutcome:
        """Carry a plan out."""

    def stop(self) -> None:
        """Let `run` end soon, with what is done until then."""


def prepare_run(
    catalog: Catalog,
    load: Callable[[], LakeTable],
    cache: MetadataCache,
    job: CompactionJob,
    *,
    on_progress: OnProgress,
    on_commit: OnCommit,
) -> Run:
    """A run that is yet to be begun."""
    if job.spark is not None:
        return SparkCompactionRun(
            catalog,
            load,
            cache,
            job.spark,
            properties=job.properties,
            on_progress=on_progress,
            on_commit=on_commit,
        )
    maker = BinMaker(
        name=job.name,
        memory_bytes=job.memory_bytes,
        threads=job.threads,
        scratch=job.scratch,
        way=job.way,
        merge_min_chunk_bytes=job.merge_min_chunk_bytes,
    )
    return CompactionRun(
        catalog,
        load,
        cache,
        maker,
        properties=job.properties,
        threads=job.threads,
        on_progress=on_progress,
        on_commit=on_commit,
        rounds=job.rounds,
    )


def carry_out(run: Run, planned: PlannedTable) -> CompactionOutcome:
    """What the run comes to, with what stores raise in our words.

    Raises: as `CompactionRun.run` and `SparkCompactionRun.run`; and
        DatasetNotFoundError: the table is gone, or another one has its name.
        BackendUnavailableError: manifests cannot be written.
    """
    name = planned.table.state.name
    with translated_errors(name), thrifty_memory_pool():
        try:
            return run.run(planned)
        except OSError as error:
            # What is read is translated where it is read: this is of a file that is written.
            raise BackendUnavailableError("lake", f"{name}: {error.strerror or error}") from error
