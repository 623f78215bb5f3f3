"""What is compacted first, and how far a budget reaches."""

from __future__ import annotations

import pytest

from app.domain.compaction.planning import plan_compaction
from app.domain.compaction.policy import CompactionPolicy
from app.domain.compaction.ranking import Benefit, Budget, Ranked, affordable, benefit_of, parse_budget, rank
from app.errors import InvalidArgumentError
from tests.unit.domain.compaction.made_files import file, files


def ranked(name: str, removed: int, freed: int, megabytes: int) -> Ranked[str]:
    benefit = Benefit(files_removed=removed, files_freed_of_deletes=freed, bytes_to_touch=megabytes * 2**20)
    return Ranked(name=name, of=name, benefit=benefit)


def test_the_benefit_of_bins_is_what_readers_are_spared() -> None:
    plan = plan_compaction([*files(20, 1), file(20, 500, deletes=1)], CompactionPolicy())
    assert benefit_of(plan.bins) == Benefit(files_removed=19, files_freed_of_deletes=1, bytes_to_touch=520 * 2**20)


def test_most_gained_for_a_byte_comes_first() -> None:
    found = rank(
        [
            ranked("large", 1_000, 0, 100_000),
            ranked("small", 100, 0, 100),
            ranked("deletes", 0, 150, 100),
            ranked("b", 10, 0, 10_000),
            ranked("a", 10, 0, 10_000),
            ranked("more", 20, 0, 20_000),
        ]
    )
    assert [each.of for each in found] == ["deletes", "small", "large", "more", "a", "b"]


def test_a_budget_of_bytes_takes_the_best_until_one_does_not_fit() -> None:
    order = rank([ranked("first", 50, 0, 60), ranked("second", 40, 0, 60), ranked("third", 1, 0, 10)])
    taken, left = affordable(order, Budget(size_bytes=100 * 2**20))
    assert [each.of for each in taken] == ["first"]
    assert [each.of for each in left] == ["second", "third"]
    assert affordable(order, Budget())[1] == []
    assert affordable(order, Budget(size_bytes=1))[0] == []


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("10GB", Budget(size_bytes=10 * 2**30)),
        ("512mb", Budget(size_bytes=512 * 2**20)),
        ("30m", Budget(seconds=1800)),
        ("2h", Budget(seconds=7200)),
        ("45 s", Budget(seconds=45)),
    ],
)
def test_budgets_are_amounts_or_times(text: str, budget: Budget) -> None:
    assert parse_budget(text) == budget


@pytest.mark.parametrize("text", ["", "10", "0m", "0GB", "-1GB", "ten GB", "1d", "1.5h", "30M", "9999999999999GB"])
def test_other_texts_are_no_budgets(text: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        parse_budget(text)
    assert caught.value.fields["argument"] == "budget"


def test_what_is_larger_than_the_whole_budget_keeps_nobody_back() -> None:
    def candidate(name: str, megabytes: int, files: int) -> Ranked[str]:
        benefit = Benefit(files_removed=files, files_freed_of_deletes=0, bytes_to_touch=megabytes * 2**20)
        return Ranked(name=name, of=name, benefit=benefit)

    order = [
        candidate("huge", 101, 9_000),
        candidate("good", 60, 100),
        candidate("next", 50, 50),
        candidate("tiny", 1, 1),
    ]

    taken, left = affordable(order, Budget(size_bytes=100 * 2**20))

    # After the first that does not fit any more nothing follows.
    assert [each.name for each in taken] == ["good"]
    assert [each.name for each in left] == ["huge", "next", "tiny"]
