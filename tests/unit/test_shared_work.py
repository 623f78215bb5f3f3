"""Work that several wait for is done once, and ended when nobody waits any more."""

from __future__ import annotations

import asyncio

import pytest

from app.services.disconnects import while_connected
from app.services.shared_work import SharedWork

pytestmark = pytest.mark.anyio


class Job:
    def __init__(self) -> None:
        self.begun = 0
        self.ended: list[str] = []
        self.may_end = asyncio.Event()

    async def run(self) -> int:
        self.begun += 1
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("done")
        return 7


async def test_all_who_ask_meanwhile_have_one_answer_and_the_next_one_has_it_done_anew() -> None:
    work, job = SharedWork[int](), Job()
    callers = [asyncio.create_task(work.do("key", job.run)) for _ in range(5)]
    await asyncio.sleep(0)
    job.may_end.set()

    assert await asyncio.gather(*callers) == [7] * 5
    assert job.begun == 1
    assert await work.do("key", job.run) == 7
    assert (job.begun, job.ended) == (2, ["done", "done"])


async def test_one_who_goes_leaves_the_others_their_answer_and_the_last_ends_the_work() -> None:
    work, job = SharedWork[int](), Job()
    first, second = (asyncio.create_task(work.do("key", job.run)) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert job.ended == []
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert job.ended == ["cancelled"]

    job.may_end.set()
    assert await work.do("key", job.run) == 7


async def test_all_have_the_same_error_and_it_is_not_kept() -> None:
    work = SharedWork[int]()

    async def fail() -> int:
        await asyncio.sleep(0)
        raise LookupError("gone")

    found = await asyncio.gather(*(work.do("key", fail) for _ in range(3)), return_exceptions=True)

    assert [repr(each) for each in found] == ["LookupError('gone')"] * 3


async def test_work_ends_with_its_client() -> None:
    job = Job()
    leaves = asyncio.Event()
    messages = iter([{"type": "http.request"}])

    async def receive() -> dict[str, object]:
        for message in messages:
            return message
        await leaves.wait()
        return {"type": "http.disconnect"}

    waiting = asyncio.create_task(while_connected(receive, job.run()))
    await asyncio.sleep(0.01)
    assert job.ended == []
    leaves.set()
    with pytest.raises(ConnectionAbortedError):
        await waiting
    assert job.ended == ["cancelled"]


async def test_an_answer_comes_while_the_client_stays() -> None:
    job = Job()
    job.may_end.set()

    async def receive() -> dict[str, object]:
        await asyncio.Event().wait()
        raise AssertionError

    assert await while_connected(receive, job.run()) == 7
