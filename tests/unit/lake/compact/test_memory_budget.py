"""Memory that bins share: what is large has it alone, what is small has it beside others, and nobody waits for ever."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from app.lake.compact.memory import MemoryBudget

TOTAL = 100


def never() -> bool:
    return False


def test_small_ones_have_it_side_by_side() -> None:
    budget = MemoryBudget(TOTAL)
    with budget.held(40, never) as one, budget.held(60, never) as other:
        assert (one, other) == (40, 60)


def test_a_large_one_gets_all_there_is_and_keeps_others_waiting() -> None:
    budget = MemoryBudget(TOTAL)
    entered = threading.Event()

    def small() -> None:
        with budget.held(1, never):
            entered.set()

    with ThreadPoolExecutor(1) as threads:
        with budget.held(10 * TOTAL, never) as size:
            assert size == TOTAL
            done = threads.submit(small)
            assert not entered.wait(0.3)
        done.result(timeout=10)
    assert entered.is_set()


def test_one_that_waits_can_be_stopped_and_takes_nothing() -> None:
    budget = MemoryBudget(TOTAL)
    with budget.held(TOTAL, never), budget.held(1, lambda: True) as nothing:
        assert nothing is None
    with budget.held(TOTAL, never) as size:
        assert size == TOTAL


@given(st.lists(st.integers(1, 150), min_size=1, max_size=30))
def test_there_is_never_more_than_all_of_it_in_use(wanted: list[int]) -> None:
    budget, lock = MemoryBudget(TOTAL), threading.Lock()
    used, most = 0, 0

    def hold(size: int) -> int:
        nonlocal used, most
        with budget.held(size, never) as held:
            assert held is not None
            with lock:
                used += held
                most = max(most, used)
            with lock:
                used -= held
            return held

    with ThreadPoolExecutor(4) as threads:
        held = list(threads.map(hold, wanted))
    assert held == [min(size, TOTAL) for size in wanted]
    assert 0 < most <= TOTAL
    with budget.held(TOTAL, never) as size:
        assert size == TOTAL
