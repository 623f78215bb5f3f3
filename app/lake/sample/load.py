"""Builds the sample lake: once, resumably, and beside other loads of the same lake."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.table import Table
from sqlalchemy.exc import IntegrityError

from app.domain.datasets import LAYER_PROPERTY
from app.errors import CommitConflictError, InvalidArgumentError
from app.lake.sample.plans import SampleTable
from app.lake.sample.steps import (
    COMPLETE,
    SAMPLE_NAME,
    SAMPLE_PROPERTY,
    SCALE_PROPERTY,
    STATE_PROPERTY,
    STEP_PROPERTY,
    WHILE_BUILDING,
    Marks,
    Step,
)
from app.lake.sample.tables import SAMPLE_TABLES
from app.lake.sample.tpch import TpchFiles, generate, part_count, scratch_folder

DEFAULT_SCALE = 0.01
MIN_SCALE, MAX_SCALE = 0.001, 100.0
MAX_ATTEMPTS_WITHOUT_PROGRESS = 10

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleStep:
    """What a load is about to do, and how many of its steps are done; `done == total` at the very end."""

    done: int
    total: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleReport:
    """What a load did, as `namespace.table` names.

    `created`: made and completed now. `resumed`: found half-made, completed now. `skipped`: complete already.
    `foreign`: a table of that name exists that the sample did not make; it was not touched.
    """

    created: tuple[str, ...]
    resumed: tuple[str, ...]
    skipped: tuple[str, ...]
    foreign: tuple[str, ...]
    scale: float


def load_sample_lake(
    catalog: Catalog,
    work_dir: Path,
    *,
    scale: float = DEFAULT_SCALE,
    progress: Callable[[SampleStep], None],
) -> SampleReport:
    """The sample lake, complete: tables that lack steps get them, complete and foreign ones are left alone.

    Blocks: about ten seconds at scale 0.01, nothing but one `load_table` per table where all is there. It may be killed
    at any moment and run again, and several may run at once. Where the lake holds sample tables already, their scale
    counts instead of the one asked for, so that tables always fit together. TPC-H files are written below `work_dir`
    and removed; memory does not grow with the scale but for gold.customers (30 MB per 150,000 customers).

    Raises:
        InvalidArgumentError: a scale out of range.
        BackendUnavailableError: the data generator does not run.
        CommitConflictError: another writer kept changing a table that is being built.
    """
    if not MIN_SCALE <= scale <= MAX_SCALE:
        raise InvalidArgumentError("scale", f"{scale:g} is not between {MIN_SCALE:g} and {MAX_SCALE:g}")
    found = {wanted.dataset: _find(catalog, wanted) for wanted in SAMPLE_TABLES}
    foreign = tuple(dataset for dataset, table in found.items() if table is not None and not _is_ours(table))
    skipped = tuple(dataset for dataset, table in found.items() if table is not None and _is_complete(table))
    scale = next((_scale_of(table) for table in found.values() if table is not None and _is_ours(table)), scale)
    wanted = [wanted for wanted in SAMPLE_TABLES if wanted.dataset not in (*foreign, *skipped)]
    if wanted:
        load = _Load(catalog, scale, [(table, found[table.dataset]) for table in wanted], progress)
        with scratch_folder(work_dir) as folder:
            load.run(folder)
    return SampleReport(
        created=tuple(table.dataset for table in wanted if found[table.dataset] is None),
        resumed=tuple(table.dataset for table in wanted if found[table.dataset] is not None),
        skipped=skipped,
        foreign=foreign,
        scale=scale,
    )


class _Load:
    """One run over the tables that are not complete; counts the steps for the progress shown."""

    def __init__(
        self,
        catalog: Catalog,
        scale: float,
        wanted: list[tuple[SampleTable, Table | None]],
        progress: Callable[[SampleStep], None],
    ) -> None:
        self._catalog, self._scale, self._wanted, self._progress = catalog, scale, wanted, progress
        parts = part_count(scale)
        self._total = 1 + sum(len(_steps_left(table.steps(parts), found)) for table, found in wanted)
        self._done = 0

    def run(self, folder: Path) -> None:
        self._tell(f"generating TPC-H at scale {self._scale:g}")
        files = generate(folder, self._scale)
        self._done += 1
        for wanted, _ in self._wanted:
            self._build(wanted, files)
        self._done = self._total
        self._tell("the sample lake is complete")

    def _build(self, wanted: SampleTable, files: TpchFiles) -> None:
        steps = wanted.steps(files.parts)
        table = _find(self._catalog, wanted) or self._create(wanted)
        attempts, last_seen = 0, None
        while _is_ours(table) and (left := _steps_left(steps, table)):
            step = left[0]
            if step.name != last_seen:
                attempts, last_seen = 0, step.name
                self._done = self._total - self._left_after(wanted, files.parts) - len(left)
                self._tell(f"{wanted.dataset}: {step.name}")
            attempts += 1
            try:
                step.commit(table, files, Marks(step=step.name, is_last=len(left) == 1))
            except (CommitFailedException, CommitStateUnknownException) as error:
                # Another load was faster, or the answer was lost: the table itself says how far it got.
                if attempts == MAX_ATTEMPTS_WITHOUT_PROGRESS:
                    raise CommitConflictError(wanted.dataset, attempts) from error
                _logger.info("sample step %s of %s is taken up again: %s", step.name, wanted.dataset, error)
            table = self._catalog.load_table((wanted.namespace, wanted.name))

    def _left_after(self, current: SampleTable, parts: int) -> int:
        position = next(number for number, (table, _) in enumerate(self._wanted) if table is current)
        return sum(len(_steps_left(table.steps(parts), found)) for table, found in self._wanted[position + 1 :])

    def _create(self, wanted: SampleTable) -> Table:
        self._ensure_namespace(wanted.namespace)
        try:
            return self._catalog.create_table(
                (wanted.namespace, wanted.name),
                wanted.schema,
                partition_spec=wanted.spec,
                sort_order=wanted.sort_order,
                properties={
                    "format-version": "2",
                    "comment": wanted.comment,
                    LAYER_PROPERTY: wanted.namespace,
                    SAMPLE_PROPERTY: SAMPLE_NAME,
                    SCALE_PROPERTY: f"{self._scale:g}",
                    **WHILE_BUILDING,
                },
            )
        except TableAlreadyExistsError:
            return self._catalog.load_table((wanted.namespace, wanted.name))

    def _ensure_namespace(self, namespace: str) -> None:
        try:
            self._catalog.create_namespace_if_not_exists(namespace)
        except (NamespaceAlreadyExistsError, IntegrityError):
            # pyiceberg's SQL catalog looks first and inserts then: a lost race surfaces as the database's own error.
            if not self._catalog.namespace_exists(namespace):
                raise

    def _tell(self, what: str) -> None:
        self._progress(SampleStep(done=self._done, total=self._total, what=what))


def _find(catalog: Catalog, wanted: SampleTable) -> Table | None:
    try:
        return catalog.load_table((wanted.namespace, wanted.name))
    except NoSuchTableError:
        return None


def _steps_left(steps: list[Step], table: Table | None) -> list[Step]:
    if table is None:
        return steps
    if _is_complete(table):
        return []
    done = table.properties.get(STEP_PROPERTY)
    return steps[[step.name for step in steps].index(done) + 1 :] if done else steps


def _is_ours(table: Table) -> bool:
    return table.properties.get(SAMPLE_PROPERTY) == SAMPLE_NAME


def _is_complete(table: Table) -> bool:
    return _is_ours(table) and table.properties.get(STATE_PROPERTY) == COMPLETE


def _scale_of(table: Table) -> float:
    return float(table.properties[SCALE_PROPERTY])
