"""Processes that move an artifact and are killed at a point of their own choosing."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from app.artifacts.local import LocalFiles
from app.artifacts.remote import RemoteFiles
from app.artifacts.store import ArtifactStore
from app.domain.artifacts import CopyProof
from tests.integration.races.workers import CONTEXT

BOTH: tuple[type[Any], ...] = (LocalFiles, RemoteFiles)


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody outlives this")


def _nth(method: str, n: int, *, before: bool) -> Callable[[], None]:
    """Die before or after the nth call of that method, whichever kind of files it is of."""

    def arm() -> None:
        calls = iter(range(1, n + 1))
        for cls in BOTH:
            original = getattr(cls, method)

            def call(*arguments: Any, _original: Any = original) -> Any:
                is_last = next(calls) == n
                if is_last and before:
                    die()
                answer = _original(*arguments)
                if is_last:
                    die()
                return answer

            setattr(cls, method, call)

    return arm


def _in_the_middle_of_a_file() -> None:
    for cls in BOTH:
        read = cls.read

        def read_half(*arguments: Any, _read: Any = read) -> Iterator[bytes]:
            for chunk in _read(*arguments):
                if len(chunk) == 100_000:
                    yield chunk[:50_000]
                    die()
                yield chunk

        cls.read = read_half


def _in_place_before_its_other_name_goes() -> None:
    # Of a local file; an object has no other name, and dies once it is whole and not yet read back.
    link = os.link

    def link_and_die(*arguments: Any, **named: Any) -> None:
        link(*arguments, **named)
        die()

    os.link = link_and_die
    write = RemoteFiles._write

    def write_and_die(*arguments: Any) -> None:
        write(*arguments)
        die()

    RemoteFiles._write = write_and_die  # type: ignore[method-assign]


POINTS: dict[str, Callable[[], None]] = {
    "before the first file": _nth("write", 1, before=True),
    "in the middle of a file": _in_the_middle_of_a_file,
    "file in place, not read back": _in_place_before_its_other_name_goes,
    "between files": _nth("write", 2, before=False),
    "after the last file": _nth("write", 4, before=False),
    "before the first removal": _nth("remove", 1, before=True),
    "between removals": _nth("remove", 2, before=False),
    "after the last removal": _nth("remove", 4, before=False),
}


def kill_in_the_middle(
    roots: list[str], properties: dict[str, str], source: str, target: str, point: str
) -> int | None:
    """Move an artifact in a process of its own that does not survive that point of it; its exit code."""
    process = CONTEXT.Process(target=_run, args=(roots, properties, source, target, point), daemon=True)
    process.start()
    process.join(timeout=120)
    return process.exitcode


def kept_proof(roots: list[str]) -> CopyProof:
    """The proof as the process kept it before it removed anything."""
    proof: CopyProof = pickle.loads(_proof_file(roots).read_bytes())
    return proof


def _proof_file(roots: list[str]) -> Path:
    return Path(roots[0]).parent / "proof"


def _run(roots: list[str], properties: dict[str, str], source: str, target: str, point: str) -> None:
    POINTS[point]()

    async def run() -> None:
        store = ArtifactStore(roots, properties=properties)
        proof = await store.copy(source, target, "k")
        _proof_file(roots).write_bytes(pickle.dumps(proof))
        await store.remove(source, proof)

    asyncio.run(run())
