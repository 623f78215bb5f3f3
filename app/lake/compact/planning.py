"""A plan of compaction from the manifests of a table's head."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from pyiceberg.manifest import DataFile, FileFormat
from pyiceberg.table import FileScanTask
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import Snapshot

from app.domain.compaction.files import Place, TableFile
from app.domain.compaction.obstacles import CompactionEngine, Obstacle
from app.domain.compaction.packing import Bin
from app.domain.compaction.planning import CompactionPlan, plan_compaction
from app.domain.compaction.policy import CompactionPolicy
from app.errors import MissingFileError, UnsupportedTableError
from app.lake.catalog import reading_files
from app.lake.compact.commit import Base, base_of
from app.lake.compact.obstacles import find_obstacles
from app.lake.reading import READABLE_FORMATS
from app.lake.row_diff.manifests import Tasks, counted_files, live_files
from app.lake.table import LakeTable

_ATTEMPTS = 8
# Of a file and what its manifest tells of each of its columns, by tracemalloc, on CPython 3.11.
_FILE_BYTES, _COLUMN_BYTES = 2_000, 250


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPlan:
    """A plan without its table, which is good for as long as the table's metadata file is this one.

    Metadata files and the manifests that they lead to never change, and those of a table's head are not deleted.
    `memory_bytes` is about what it takes.
    """

    metadata_location: str
    plan: CompactionPlan
    files: Tasks
    memory_bytes: int

    def is_of(self, table: LakeTable, policy: CompactionPolicy) -> bool:
        """Whether planning for the table by this policy would find the same."""
        # Which a catalog need not tell.
        location = self.metadata_location
        return bool(location) and table.state.metadata_location == location and self.plan.policy == policy


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTable:
    """A plan, and what carrying it out has to know of the snapshot that it is of; None for a table without any."""

    table: LakeTable
    plan: CompactionPlan
    head: Snapshot | None
    files: Tasks

    @property
    def table_files(self) -> list[TableFile]:
        """All live files, as the plan was made of them."""
        return list(_table_files(self.table.metadata, self.files))

    @property
    def known(self) -> KnownPlan:
        """What to keep of it, where it may be needed again."""
        columns = len(self.table.metadata.schema().field_ids)
        return KnownPlan(
            metadata_location=self.table.state.metadata_location,
            plan=self.plan,
            files=self.files,
            memory_bytes=len(self.files) * (_FILE_BYTES + _COLUMN_BYTES * columns),
        )

    @property
    def base(self) -> Base:
        """What commits of the bins need. Only where there are any."""
        if self.head is None:
            raise ValueError(f"{self.table.state.name} has no snapshot to start from")
        return base_of(self.table, self.head, self.files)

    def only(self, places: Collection[Place]) -> PlannedTable:
        """The same with the bins of these partitions alone."""
        return replace(
            self, plan=replace(self.plan, bins=tuple(some for some in self.plan.bins if some.place in places))
        )

    def tasks_of(self, some: Bin) -> Tasks:
        """How the files of a bin are read, in their order."""
        return {found.file: self.files[found.file] for found in some.files}


def plan_table(
    table: LakeTable, policy: CompactionPolicy, *, asked_for: Collection[str] = (), branch: str = MAIN_BRANCH
) -> PlannedTable:
    """What compaction would do to the head of a branch. Costs reading its manifests; memory grows with its files.

    Where an engine cannot carry it out, the plan says so. Files of the paths that are `asked_for` are rewritten
    whatever their size, if the head has them.

    Raises:
        MissingFileError, UnreadableTableError: a manifest is missing or broken.
    """
    head = table.metadata.snapshot_by_name(branch)
    files: Tasks = {}
    obstacles: dict[CompactionEngine, Obstacle] = {}
    if head is not None:
        with reading_files(table.state.name):
            files = counted_files(table, head)
            obstacles = find_obstacles(table, head, files)
    plan = plan_compaction(list(_table_files(table.metadata, files, asked_for)), policy, obstacles)
    return PlannedTable(table=table, plan=plan, head=head, files=files)


def refuse_obstacle(planned: PlannedTable, engine: CompactionEngine) -> None:
    """Raise UnsupportedTableError where the engine cannot carry the plan out."""
    obstacle = planned.plan.obstacle(engine)
    if obstacle is not None:
        raise UnsupportedTableError(str(planned.table.state.name), obstacle.feature, obstacle.reason)


def plan_current(
    load: Callable[[], LakeTable],
    policy: CompactionPolicy,
    *,
    asked_for: Collection[str] = (),
    known: KnownPlan | None = None,
) -> PlannedTable:
    """The plan for the table as it is now, also where an expiry deletes manifests that are being read.

    Reads none where a plan that is `known`, with nothing asked for, is still good.

    Raises: as `plan_table`, and as `load`.
    """
    for _ in range(_ATTEMPTS - 1):
        table = load()
        if known is not None and not asked_for and known.is_of(table, policy):
            head = table.metadata.snapshot_by_name(MAIN_BRANCH)
            return PlannedTable(table=table, plan=known.plan, head=head, files=known.files)
        try:
            return plan_table(table, policy, asked_for=asked_for)
        except MissingFileError:
            if load().state.metadata_location == table.state.metadata_location:
                raise
    return plan_table(load(), policy, asked_for=asked_for)


def is_still_there(table: LakeTable, files: Tasks, *, branch: str = MAIN_BRANCH) -> bool:
    """Whether the head of a branch has all these files, with the very deletes. Costs reading its manifests."""
    head = table.metadata.snapshot_by_name(branch)
    if head is None:
        return False
    with reading_files(table.state.name):
        live = live_files(table, head)
    return all(file in live for file in files)


def partitions_of(planned: PlannedTable) -> Sequence[str]:
    """The partitions that the table has files in, as they are shown."""
    return sorted({file.place.partition for file in planned.table_files})


def _table_files(metadata: TableMetadata, files: Tasks, asked_for: Collection[str] = ()) -> Iterable[TableFile]:
    times = Counter(file.path for file in files)
    places = _Places(metadata)
    for file, task in files.items():
        yield TableFile(
            file=file,
            size_bytes=task.file.file_size_in_bytes,
            rows=task.file.record_count,
            place=places.of(task.file),
            is_left_alone=_fault_of(task, times[file.path]),
            is_asked_for=file.path in asked_for,
        )


def _fault_of(task: FileScanTask, times: int) -> str | None:
    """Why a file cannot be rewritten."""
    if times > 1:
        # Removing it by its path would remove all of them.
        return "in the table more than once"
    if task.file.file_format not in READABLE_FORMATS:
        return f"{FileFormat(task.file.file_format).value} files"
    return None


def place_of(metadata: TableMetadata, file: DataFile) -> Place:
    """The partition that a file is in."""
    return _Places(metadata).of(file)


class _Places:
    """The partitions of files, each made once: many files are in the same."""

    def __init__(self, metadata: TableMetadata) -> None:
        self._metadata = metadata
        self._specs = metadata.specs()
        self._known: dict[tuple[int, str], Place] = {}

    def of(self, file: DataFile) -> Place:
        """The partition that a file is in."""
        spec_id = file.spec_id
        values = [file.partition[place] for place in range(len(self._specs[spec_id].fields))]
        shown = repr(values) if values else ""
        found = self._known.get((spec_id, shown))
        if found is None:
            found = Place(spec_id, shown, _shown(self._metadata, file, values))
            self._known[spec_id, shown] = found
        return found


def _shown(metadata: TableMetadata, file: DataFile, values: Sequence[object]) -> str:
    spec, schema = metadata.specs()[file.spec_id], metadata.schema()
    if not values:
        return ""
    if all(field.source_id in schema.field_ids for field in spec.fields):
        return str(spec.partition_to_path(file.partition, schema))
    # What a column was that the table has no more cannot be told.
    return "/".join(f"{field.name}={value}" for field, value in zip(spec.fields, values, strict=True))
