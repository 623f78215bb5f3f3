"""Deleting files whose paths were written down: exactly those, many at once, and no loss of the account on the way."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from pyiceberg.io import FileIO

from app.domain.locations import normalise_location
from app.lake.bulk import MAX_KEYS, BulkStore, find_bulk_store, split_s3

WORKERS = 8
# File by file, this many are one step between two looks at whether to stop.
_STEP_FILES = 50
_MAX_EXAMPLES = 3
_MAX_REASON_CHARS = 200
# pyiceberg's file systems read a path as a URL: a query, a fragment and white space are left out of it, and what is
# left may be the path of another file, which the table needs.
_URL_MARKS = frozenset("?#\t\r\n")


@dataclass(frozen=True, slots=True)
class LeftFile:
    """A file that could not be deleted, and why."""

    path: str
    reason: str
    is_forbidden: bool


@dataclass(slots=True)
class Deletion:
    """What became of files that were to be deleted; each is in one of these, whatever happened.

    `gone` are not there any more, `missing` of them were not there before, as far as the store tells (S3 does not).
    `left` could not be deleted, and may be tried again; `untried` were not come to before it was stopped.
    `calls` are the requests that it took.
    """

    gone: list[str] = field(default_factory=list)
    missing: int = 0
    left: list[LeftFile] = field(default_factory=list)
    untried: list[str] = field(default_factory=list)
    calls: int = 0

    @property
    def forbidden(self) -> int:
        """How many are left for want of permission."""
        return sum(file.is_forbidden for file in self.left)

    @property
    def examples(self) -> list[LeftFile]:
        """A few of those that are left, with different reasons where there are some."""
        by_reason: dict[str, list[LeftFile]] = defaultdict(list)
        for file in self.left:
            by_reason[file.reason.partition(":")[0]].append(file)
        ranked = sorted(by_reason.values(), key=len, reverse=True)
        return [files[0] for files in ranked][:_MAX_EXAMPLES]

    @property
    def reasons(self) -> Counter[str]:
        """How many are left for each kind of reason."""
        return Counter(file.reason.partition(":")[0] for file in self.left)


def delete_files(
    io: FileIO,
    paths: Sequence[str],
    *,
    on_progress: Callable[[int], None] | None = None,
    is_stopped: Callable[[], bool] | None = None,
    workers: int = WORKERS,
) -> Deletion:
    """Delete these files and no others; never raises for what becomes of one.

    In S3 by requests for 1,000 each, elsewhere file by file; `workers` at a time. `on_progress` is told, in the calling
    thread, how many of the files were come to. `is_stopped` is asked between batches; those under way are ended.
    """
    done, seen = Deletion(), 0
    steps = _steps(io, list(dict.fromkeys(paths)))
    with ThreadPoolExecutor(workers, thread_name_prefix="delete-") as pool:
        running: set[Future[Deletion]] = set()
        for step in steps:
            if is_stopped is not None and is_stopped():
                done.untried += step.paths
                continue
            running.add(pool.submit(step.run))
            if len(running) > workers:
                seen = _take(running, done, seen, on_progress)
        while running:
            seen = _take(running, done, seen, on_progress)
    return done


class _Step:
    """Some files that are deleted in one go."""

    def __init__(self, io: FileIO, paths: list[str], bulk: BulkStore | None) -> None:
        self._io = io
        self._bulk = bulk
        self.paths = paths

    def run(self) -> Deletion:
        done = Deletion()
        if self._bulk is not None:
            self._delete_at_once(self._bulk, done)
        else:
            for path in self.paths:
                self._delete_one(path, done)
        return done

    def _delete_at_once(self, bulk: BulkStore, done: Deletion) -> None:
        by_key: dict[str, list[str]] = {}
        bucket = ""
        for path in self.paths:
            bucket, key = split_s3(path) or ("", "")
            by_key.setdefault(key, []).append(path)
        done.calls += 1
        try:
            left = bulk.delete(bucket, list(by_key))
        except Exception as error:  # noqa: BLE001  told of each of the files
            done.left += [_left(path, error) for path in self.paths]
            return
        for key, paths in by_key.items():
            if key in left:
                is_forbidden = left[key].startswith("AccessDenied")
                done.left += [LeftFile(path, left[key][:_MAX_REASON_CHARS], is_forbidden) for path in paths]
            else:
                done.gone += paths

    def _delete_one(self, path: str, done: Deletion) -> None:
        done.calls += 1
        try:
            if _URL_MARKS.isdisjoint(path):
                self._io.delete(path)
            else:
                _delete_as_named(path)
        except FileNotFoundError:
            done.missing += 1
            done.gone.append(path)
        except Exception as error:  # noqa: BLE001  each store's client has its own, and it is told of the file
            done.left.append(_left(path, error))
        else:
            done.gone.append(path)


def _steps(io: FileIO, paths: list[str]) -> Iterator[_Step]:
    by_bucket: dict[str, list[str]] = defaultdict(list)
    others: list[str] = []
    bulk = find_bulk_store(io) if any(split_s3(path) for path in paths) else None
    for path in paths:
        found = split_s3(path)
        if bulk is None or found is None:
            others.append(path)
        else:
            by_bucket[found[0]].append(path)
    for inside in by_bucket.values():
        for start in range(0, len(inside), MAX_KEYS):
            yield _Step(io, inside[start : start + MAX_KEYS], bulk)
    for start in range(0, len(others), _STEP_FILES):
        yield _Step(io, others[start : start + _STEP_FILES], None)


def _take(running: set[Future[Deletion]], done: Deletion, seen: int, on_progress: Callable[[int], None] | None) -> int:
    """Take in the steps that have ended, at least one."""
    ended, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in ended:
        running.remove(future)
        part = future.result()
        done.gone += part.gone
        done.missing += part.missing
        done.left += part.left
        done.calls += part.calls
        seen += len(part.gone) + len(part.left)
    if on_progress is not None:
        on_progress(seen)
    return seen


def _delete_as_named(path: str) -> None:
    """Raises ValueError where no file system here takes the path for what it is, and OSError as `os.unlink`."""
    place = normalise_location(path)
    if not place.startswith("file:/"):
        raise ValueError("its path would be read as a URL, and as that of another file")
    Path(place.removeprefix("file:")).unlink()


def _left(path: str, error: Exception) -> LeftFile:
    reason = f"{type(error).__name__}: {error}"[:_MAX_REASON_CHARS]
    return LeftFile(path, reason, isinstance(error, PermissionError))
