"""Commits that the catalog forbids, puts off or does not take: nothing was changed, which is told, and nothing is left.

And those that it has taken, whatever was told of them: they are never recorded as failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from app.bootstrap import Services
from app.domain.changes import Command
from app.domain.versions import VersionSelector
from app.errors import (
    AppError,
    BackendUnavailableError,
    CommitStateUnknownError,
    DatasetForbiddenError,
    UnsupportedTableError,
)
from app.settings import Settings
from tests.integration.compaction.tables import COMMAND, NAME, compact, create
from tests.integration.races.changing import connected
from tests.integration.races.table import change_rows
from tests.integration.retention.killed import expire
from tests.servers.answering_proxy import AnsweringProxy
from tests.unit.lake.expire.naive import on_disk, reached

pytestmark = [pytest.mark.anyio, pytest.mark.rest_catalog]

FILES = 6


@pytest.fixture
def table(catalog: Catalog) -> Table:
    return create(catalog, files=FILES)


async def tag(services: Services) -> Any:
    command = Command(actor=COMMAND.actor, reason=COMMAND.reason, idempotency_key="k")
    return await services.versioning.create_tag(NAME, "t", "main", command)


async def roll_back(services: Services) -> Any:
    return await services.versioning.roll_back(NAME, VersionSelector(ref="main~1"), COMMAND)


CHANGES = {"tag": tag, "rollback": roll_back}


async def states(settings: Settings) -> list[str]:
    return [row["state"] for row in await change_rows(settings.database_url or "")]


async def run_states(settings: Settings) -> list[str]:
    """How far the expiries came, those that were given up among them."""
    async with connected(settings) as connection:
        return [row["state"] for row in await connection.fetch("SELECT state FROM retention_runs ORDER BY planned_at")]


@contextmanager
def done_and_then_forbidden(proxy: AnsweringProxy, *, status: int | None = None) -> Iterator[None]:
    """The next commit is done, what is told of it is spoiled, and from then on the table may not be looked at."""
    with ExitStack() as then:

        def forbid(answer: Any) -> Any:
            del answer
            then.enter_context(proxy.answering(str(NAME), 403))
            return {}

        with proxy.spoiling(str(NAME), forbid, status=status):
            yield


def everything(table: Table) -> set[Path]:
    """All files of the table, its metadata files among them: the same as before means that nothing was left."""
    return {path for path in Path(table.location().removeprefix("file://")).rglob("*") if path.is_file()}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_that_is_forbidden_has_failed_and_works_once_it_is_allowed(
    services: Services, settings: Settings, table: Table, proxy: AnsweringProxy, change: str
) -> None:
    before = everything(table)
    with proxy.answering(str(NAME), 403, method="POST") as rule, pytest.raises(DatasetForbiddenError) as caught:
        await CHANGES[change](services)

    # Then it is told once, with the catalog's words, and is no open question
    assert rule.answered == 1
    assert caught.value.fields["dataset"] == str(NAME)
    assert "told 403 by the test" in str(caught.value.fields["reason"])
    assert everything(table) == before
    (row,) = await change_rows(settings.database_url or "")
    assert row["state"] == "FAILED"
    assert "told 403 by the test" in row["failure"]
    # And the same can be asked for again, with the same key
    await CHANGES[change](services)
    assert await states(settings) == ["FAILED", "DONE"]
    assert len(everything(table)) == len(before) + 1


async def test_an_expiry_that_is_forbidden_deletes_nothing_and_works_once_it_is_allowed(
    services: Services, settings: Settings, table: Table, proxy: AnsweringProxy
) -> None:
    before = everything(table)
    with proxy.answering(str(NAME), 403, method="POST"), pytest.raises(DatasetForbiddenError):
        await expire(services, NAME)

    assert everything(table) == before
    assert await run_states(settings) == ["ABANDONED"]
    # And nothing of it is waited for
    done = await expire(services, NAME)
    assert (done.earlier.runs, len(table.refresh().metadata.snapshots)) == (0, 2)
    assert on_disk(table) == reached(table)


@pytest.mark.parametrize(
    ("status", "error"), [(403, DatasetForbiddenError), (501, UnsupportedTableError)], ids=["forbidden", "not taken"]
)
async def test_a_compaction_whose_commit_does_not_come_about_leaves_no_file(
    services: Services,
    settings: Settings,
    table: Table,
    proxy: AnsweringProxy,
    status: int,
    error: type[AppError],
) -> None:
    before = everything(table)
    with proxy.answering(str(NAME), status, method="POST") as rule:
        (told,) = await compact(services)

    assert told["error"] is not None
    assert (told["error"]["code"], told["error"]["dataset"], rule.answered) == (error.code, str(NAME), 1)
    assert everything(table) == before
    (row,) = await change_rows(settings.database_url or "")
    assert row["state"] == "FAILED"
    assert f"told {status} by the test" in row["failure"]
    # And it is done once that is mended
    (again,) = await compact(services)
    assert (again["error"], again["files_after"]) == (None, 1)
    assert await states(settings) == ["FAILED", "DONE"]


async def test_a_change_that_the_catalog_does_not_take_says_so(
    services: Services, settings: Settings, table: Table, proxy: AnsweringProxy
) -> None:
    before = everything(table)
    with (
        proxy.answering(str(NAME), 501, method="POST"),
        pytest.raises(UnsupportedTableError, match=r"the catalog does not take it .*told 501 by the test"),
    ):
        await tag(services)

    assert everything(table) == before
    assert await states(settings) == ["FAILED"]


async def test_commits_that_are_put_off_are_tried_again(
    services: Services, settings: Settings, table: Table, proxy: AnsweringProxy
) -> None:
    for act, count in ((tag, 1), (compact, 2)):
        with proxy.answering(str(NAME), 429, method="POST", times=2) as rule:
            await act(services)
        assert rule.answered == 2
        assert await states(settings) == ["DONE"] * count
    with proxy.answering(str(NAME), 429, method="POST", times=2) as rule:
        done = await expire(services, NAME)
    assert (rule.answered, done.base is not None and done.base.may_delete) == (2, True)
    assert await run_states(settings) == ["ABANDONED", "ABANDONED", "DONE"]
    assert on_disk(table) == reached(table.refresh())


@pytest.mark.parametrize("status", [401, 419, 429])
async def test_a_catalog_that_puts_a_change_off_for_ever_is_told_as_that_and_not_as_other_writers(
    services: Services,
    settings: Settings,
    table: Table,
    proxy: AnsweringProxy,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
) -> None:
    monkeypatch.setattr("app.services.executing.RETRY_MAX_S", 0.05)
    before = everything(table)
    with (
        proxy.answering(str(NAME), status, method="POST"),
        pytest.raises(BackendUnavailableError, match=f"nothing was changed in 12 attempts: .*told {status}"),
    ):
        await tag(services)

    assert everything(table) == before
    assert await states(settings) == ["FAILED"]


async def test_runs_that_are_put_off_for_ever_leave_nothing(
    services: Services, table: Table, proxy: AnsweringProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The waits of a dozen attempts come to half a minute.
    monkeypatch.setattr("app.lake.compact.commit._LONGEST_WAIT_S", 0.05)
    monkeypatch.setattr("app.services.executing.RETRY_MAX_S", 0.05)
    before = everything(table)
    with proxy.answering(str(NAME), 429, method="POST"):
        with pytest.raises(BackendUnavailableError, match="nothing was changed in 8 attempts"):
            await expire(services, NAME)
        (told,) = await compact(services)

    assert told["error"] is not None
    assert told["error"]["code"] == BackendUnavailableError.code
    assert everything(table) == before


def name_a_lost_snapshot(answer: Any) -> Any:
    """An answer that parses, of which no state can be made."""
    answer["metadata"]["refs"]["lost"] = {"type": "tag", "snapshot-id": 4711}
    return answer


async def test_a_commit_whose_answer_cannot_be_understood_is_looked_for(
    services: Services, settings: Settings, table: Table, proxy: AnsweringProxy
) -> None:
    with proxy.spoiling(str(NAME), name_a_lost_snapshot) as rule:
        await tag(services)
        (told,) = await compact(services)

    assert (rule.answered, told["error"], told["files_after"]) == (2, None, 1)
    assert await states(settings) == ["DONE", "DONE"]
    table.refresh()
    assert "t" in table.metadata.refs
    assert len(table.scan().to_arrow()) == 20 * FILES


@pytest.mark.parametrize("status", [200, 409], ids=["an answer that is none", "a refusal of its second copy"])
async def test_a_change_that_is_done_and_can_no_longer_be_looked_at_is_left_open(
    services: Services, settings: Settings, table: Table, proxy: AnsweringProxy, status: int
) -> None:
    # Given a catalog that takes a commit, does not say so, and forbids the table from then on
    with done_and_then_forbidden(proxy, status=status), pytest.raises(CommitStateUnknownError):
        await tag(services)

    # Then it is not said to have failed, and is found by the next change, once the table may be looked at
    assert await states(settings) == ["INTENDED"]
    await roll_back(services)
    assert await states(settings) == ["DONE", "DONE"]


async def test_an_expiry_that_is_done_and_can_no_longer_be_looked_at_is_finished_by_the_next(
    services: Services, settings: Settings, table: Table, proxy: AnsweringProxy
) -> None:
    with done_and_then_forbidden(proxy), pytest.raises(CommitStateUnknownError):
        await expire(services, NAME)

    assert len(table.refresh().metadata.snapshots) == 2
    assert await run_states(settings) == ["PLANNED"]
    done = await expire(services, NAME)
    assert (done.earlier.runs, done.run_id) == (1, None)
    assert on_disk(table) == reached(table)


@pytest.mark.parametrize("status", [409, 429], ids=["a refusal", "too many requests"])
async def test_a_compaction_whose_second_copy_is_refused_keeps_the_files_of_the_first(
    services: Services, settings: Settings, table: Table, proxy: AnsweringProxy, status: int
) -> None:
    # Given a gateway that sends a commit twice, and passes on what is said to the second
    with proxy.spoiling(str(NAME), lambda _: {}, status=status) as rule:
        (told,) = await compact(services)

    assert (rule.answered, told["error"], told["files_after"]) == (1, None, 1)
    assert await states(settings) == ["DONE"]
    assert len(table.refresh().scan().to_arrow()) == 20 * FILES
    assert reached(table) <= on_disk(table)


async def test_a_compaction_that_was_refused_and_can_no_longer_be_looked_at_keeps_its_files(
    services: Services, settings: Settings, table: Table, proxy: AnsweringProxy
) -> None:
    with done_and_then_forbidden(proxy, status=409):
        (told,) = await compact(services)

    assert told["error"] is not None
    assert told["error"]["code"] == CommitStateUnknownError.code
    assert await states(settings) == ["INTENDED"]
    assert len(table.refresh().scan().to_arrow()) == 20 * FILES
    assert reached(table) <= on_disk(table)
    # And it is written down by the next run
    await compact(services)
    assert await states(settings) == ["DONE"]
