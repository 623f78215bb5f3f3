"""Laws of planning compaction, for tables of any files."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from app.domain.compaction.files import Place, TableFile
from app.domain.compaction.planning import CompactionPlan, plan_compaction
from app.domain.compaction.policy import MIB, CompactionPolicy
from app.domain.live_files import LiveFile

places = st.builds(Place, st.integers(0, 1), st.sampled_from(["", "day=1", "day=2"]))
sizes = st.one_of(st.integers(1, 40 * MIB), st.integers(1, MIB), st.sampled_from([8 * MIB, 12 * MIB, 16 * MIB]))
policies = st.builds(
    CompactionPolicy,
    target_file_size_mb=st.integers(8, 32),
    min_file_size_mb=st.integers(1, 8),
    max_concurrent_files=st.sampled_from([2, 5, 10_000]),
    rewrite_all=st.booleans(),
)


@st.composite
def tables(draw: st.DrawFn) -> list[TableFile]:
    return [
        TableFile(
            file=LiveFile(f"{number:04d}", frozenset(draw(st.sampled_from([(), (), (), ("d",)])))),
            size_bytes=draw(sizes),
            rows=draw(st.integers(0, 5)),
            place=draw(places),
            is_left_alone=draw(st.sampled_from([None] * 9 + ["ORC files"])),
        )
        for number in range(draw(st.integers(0, 40)))
    ]


def after(table: list[TableFile], plan: CompactionPlan) -> list[TableFile]:
    """The table once the plan was carried out, with files of the sizes that were planned."""
    gone = {found.file for some in plan.bins for found in some.files}
    made = [
        TableFile(
            file=LiveFile(f"new-{place}-{number}"),
            size_bytes=some.size_bytes // some.outputs + (number < some.size_bytes % some.outputs),
            rows=some.rows,
            place=some.place,
        )
        for place, some in enumerate(plan.bins)
        for number in range(some.outputs)
    ]
    return [file for file in table if file.file not in gone] + made


@given(tables(), policies)
def test_bins_hold_each_file_once_and_files_of_one_place(table: list[TableFile], policy: CompactionPolicy) -> None:
    plan = plan_compaction(table, policy)
    held = [found.file for some in plan.bins for found in some.files]
    assert len(held) == len(set(held))
    assert set(held) <= {file.file for file in table if file.is_left_alone is None}
    for some in plan.bins:
        assert {found.place for found in some.files} == {some.place}
        assert len(some.files) <= policy.max_concurrent_files
        assert some.size_bytes / some.outputs <= 1.1 * policy.target_bytes
        assert some.files_saved > 0 or some.has_deletes or policy.rewrite_all


@given(tables(), policies, st.randoms())
def test_the_order_of_files_makes_no_difference(table: list[TableFile], policy: CompactionPolicy, random) -> None:  # type: ignore[no-untyped-def]
    plan = plan_compaction(table, policy)
    shuffled = list(table)
    random.shuffle(shuffled)
    assert plan_compaction(shuffled, policy) == plan


@given(tables(), policies)
def test_a_second_run_has_nothing_to_do(table: list[TableFile], policy: CompactionPolicy) -> None:
    policy = replace(policy, max_concurrent_files=10_000, rewrite_all=False)
    plan = plan_compaction(table, policy)
    then = after(table, plan)
    assert len(then) == plan.files_after
    assert plan_compaction(then, policy).bins == ()


@given(tables(), policies)
def test_of_a_place_as_few_files_are_made_as_the_target_allows(
    table: list[TableFile], policy: CompactionPolicy
) -> None:
    policy = replace(policy, max_concurrent_files=10_000, rewrite_all=True)
    plan = plan_compaction(table, policy)
    for place in {some.place for some in plan.bins}:
        some = [found for found in plan.bins if found.place == place]
        size_bytes = sum(found.size_bytes for found in some)
        assert sum(found.outputs for found in some) <= -(-size_bytes // policy.target_bytes)


@given(tables(), policies)
def test_runs_come_to_an_end_however_few_files_a_bin_may_have(table: list[TableFile], policy: CompactionPolicy) -> None:
    policy = replace(policy, rewrite_all=False)
    for _ in range(12):
        plan = plan_compaction(table, policy)
        if not plan.bins:
            break
        table = after(table, plan)
    assert plan_compaction(table, policy).bins == ()
