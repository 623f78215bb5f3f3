"""Processes killed in the middle of a change, and the Postgres killed under them: what was done is found, always."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.table import CommitTableResponse
from sqlalchemy.exc import OperationalError

from app.bootstrap import Services, open_services
from app.domain.changes import Actor, Command
from app.domain.history import ENDLESS_AGE_MS
from app.errors import AppError, CommitStateUnknownError, IdempotencyKeyInUseError, Unavailable
from app.postgres.embedded import EmbeddedPostgres
from app.postgres.migrate import migrate
from app.settings import Settings
from tests.conftest import _execute, with_database
from tests.integration.races.dying import CHANGES, POINTS, create_tag, delete_tag, kill_in_the_middle, roll_back
from tests.integration.races.table import (
    MAIN,
    NAME,
    append,
    change_rows,
    create_table,
    make_settings,
    metadata_location,
    read_refs,
    stock_catalog,
)

pytestmark = pytest.mark.anyio

OTHER = Command(actor=Actor(subject="other"))
IS_DONE = {"after the commit", "after the record"}
LEASE_S = 0.5


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return make_table(database_url, tmp_path / "home")


def make_table(database_url: str, home: Path) -> Settings:
    settings = make_settings(database_url, home, lease_s=LEASE_S)
    snapshots = create_table(settings)
    with stock_catalog(settings) as catalog:
        catalog.load_table(str(NAME)).manage_snapshots().create_tag(snapshots[0], "old").commit()
    return settings


async def rows_of(settings: Settings) -> list[dict[str, Any]]:
    return await change_rows(settings.database_url or "")


async def settle_all(services: Services, settings: Settings) -> None:
    """What the server does in the background, until nothing is open."""
    async with asyncio.timeout(60):
        while any(row["state"] == "INTENDED" for row in await rows_of(settings)):
            await services.repair.settle_overdue()
            await asyncio.sleep(0.1)


def is_made(change: str, before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether the refs are as after the change (True) or as before it (False); anything else fails."""
    if before == after:
        return False
    if change == "create_tag":
        assert after.keys() - before.keys() == {"t"}
    elif change == "delete_tag":
        assert before.keys() - after.keys() == {"old"}
    elif change == "set_age":
        assert after["old"] == before["old"] | {"max-ref-age-ms": ENDLESS_AGE_MS}
        before = before | {"old": after["old"]}
        assert after.keys() == before.keys()
    else:
        (undo_tag,) = after.keys() - before.keys()
        assert after[undo_tag]["snapshot-id"] == before[MAIN]["snapshot-id"] != after[MAIN]["snapshot-id"]
        assert after[MAIN] | {"snapshot-id": None} == before[MAIN] | {"snapshot-id": None}
    untouched = before.keys() & after.keys() - {MAIN}
    assert {name: before[name] for name in untouched} == {name: after[name] for name in untouched}
    return True


@pytest.mark.parametrize(
    ("change", "point"),
    [
        *(("roll_back", point) for point in POINTS),
        *(
            (change, point)
            for change in ("create_tag", "delete_tag", "set_age")
            for point in ("before the commit", "after the commit")
        ),
    ],
)
async def test_killed_process_leaves_all_or_nothing_and_the_truth_is_found(
    settings: Settings, change: str, point: str
) -> None:
    # given
    before = read_refs(settings)

    # when
    kill_in_the_middle(settings, change, point)

    # then the table is as before or after
    location = metadata_location(settings)
    assert is_made(change, before, read_refs(settings)) is (point in IS_DONE)
    async with open_services(settings) as services:
        # and others can go on at once: the lock died with its holder
        await services.versioning.create_branch(NAME, "next", MAIN, OTHER)
        # and the record says which
        await settle_all(services, settings)
        mine = [row for row in await rows_of(settings) if row["actor"] == "mortal"]
        if point == "holding the lock":
            assert mine == []
        else:
            assert [row["state"] for row in mine] == ["DONE" if point in IS_DONE else "FAILED"]
            assert mine[0]["settled_metadata"] == (location if point in IS_DONE else None)
        # and the same request again is answered where it was done, and is done where it was not
        now = metadata_location(settings)
        first = await CHANGES[change](services)
        assert (metadata_location(settings) == now) is (point in IS_DONE)
        assert await CHANGES[change](services) == first
        assert is_made(change, before, {k: v for k, v in read_refs(settings).items() if k != "next"})
        mine = [row for row in await rows_of(settings) if row["actor"] == "mortal" and row["state"] != "FAILED"]
        assert [(row["state"], row["change_id"]) for row in mine] == [("DONE", first[-1])]


@pytest.mark.parametrize("point", ["before the commit", "after the commit"])
async def test_same_request_at_once_after_a_crash(settings: Settings, point: str) -> None:
    # given a long lease
    settings = settings.model_copy(update={"lease_s": 600.0})
    kill_in_the_middle(settings, "roll_back", point)

    async with open_services(settings) as services:
        if point in IS_DONE:
            # what is seen in the table needs no waiting
            location = metadata_location(settings)
            previous, current, undo_tag, _ = await roll_back(services)
            refs = read_refs(settings)
            assert (refs[MAIN]["snapshot-id"], refs[undo_tag.name]["snapshot-id"]) == (current, previous)
            assert metadata_location(settings) == location
        else:
            # what is not might still be on its way
            with pytest.raises(IdempotencyKeyInUseError):
                await roll_back(services)


async def test_appends_after_a_crash_do_not_hide_what_was_done(settings: Settings) -> None:
    kill_in_the_middle(settings, "create_tag", "after the commit")
    with stock_catalog(settings) as catalog:
        for n in range(5):
            append(catalog.load_table(str(NAME)), "other", n)
        catalog.load_table(str(NAME)).manage_snapshots().remove_tag("t").commit()

    async with open_services(settings) as services:
        await settle_all(services, settings)
        done, _ = await create_tag(services)

    (row,) = await rows_of(settings)
    assert row["state"] == "DONE"
    assert done.name == "t"
    assert "t" not in read_refs(settings), "it was done, and undone by others since: it is not done again"


async def test_crash_after_being_overtaken_is_judged_by_the_last_plan(settings: Settings) -> None:
    # given a process that is refused once, plans anew, commits and dies
    before = read_refs(settings)
    kill_in_the_middle(settings, "roll_back", "after the second commit")

    async with open_services(settings) as services:
        await settle_all(services, settings)
        previous, current, undo_tag, _ = await roll_back(services)

    (row,) = await rows_of(settings)
    assert row["state"] == "DONE"
    refs = read_refs(settings)
    assert previous != before[MAIN]["snapshot-id"], "an append had come between"
    assert refs[undo_tag.name]["snapshot-id"] == previous
    assert refs[MAIN]["snapshot-id"] == current


# --- Postgres, killed


class OwnPostgres:
    """A server of this test alone, to be killed."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._users = [EmbeddedPostgres(home)]
        self.url = self._users[0].start()

    def kill(self) -> None:
        """As `pg_ctl stop -m immediate`, which is as good as a power failure."""
        status = self._users[0].status()
        assert status.pid is not None
        os.kill(status.pid, signal.SIGQUIT)
        while self._users[0].status().pid is not None:
            os.sched_yield()

    def restart(self) -> None:
        self._users.append(EmbeddedPostgres(self._home))
        assert self._users[-1].start() == self.url

    def close(self) -> None:
        for user in self._users:
            user.stop()


@pytest.fixture(scope="module")
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnPostgres]:
    server = OwnPostgres(tmp_path_factory.mktemp("postgres"))
    try:
        yield server
    finally:
        server.close()


@pytest.mark.parametrize("moment", ["intending", "committing", "committed", "settling"])
async def test_postgres_killed_in_the_middle_is_typed_and_repaired(
    own_postgres: OwnPostgres, tmp_path: Path, moment: str
) -> None:
    # given
    settings = await asyncio.to_thread(fresh_table, own_postgres, tmp_path / "home", moment)
    before = read_refs(settings)
    async with open_services(settings) as services:
        kill_at(services, own_postgres, moment)

        # when
        try:
            answer: Any = await roll_back(services)
        except AppError as error:
            answer = error

        # then what cannot be known is said to be unknown, and a commit that is known counts
        if moment == "settling":
            assert not isinstance(answer, AppError)
        elif moment == "intending":
            assert isinstance(answer, Unavailable)
        else:
            assert isinstance(answer, CommitStateUnknownError)
        with pytest.raises(Unavailable):
            await delete_tag(services)

        # and with Postgres the truth comes back, in the same process
        await asyncio.to_thread(own_postgres.restart)
        await settle_all(services, settings)
        is_done = moment in ("committed", "settling")
        assert is_made("roll_back", before, read_refs(settings)) is is_done
        states = [row["state"] for row in await rows_of(settings)]
        assert states == {"intending": [], "committing": ["FAILED"]}.get(moment, ["DONE"])
        previous, current, undo_tag, _ = await roll_back(services)
        assert is_made("roll_back", before, read_refs(settings))
        assert read_refs(settings)[undo_tag.name]["snapshot-id"] == previous != current


def fresh_table(server: OwnPostgres, home: Path, name: str) -> Settings:
    asyncio.run(_execute(server.url, f"CREATE DATABASE {name}"))
    url = with_database(server.url, name)
    asyncio.run(migrate(url))
    return make_table(url, home)


def kill_at(services: Services, server: OwnPostgres, moment: str) -> None:
    """Kill the server at that moment of the next change, once."""
    catalog, changes = services.lake._catalog, services.repair._changes
    commit, intend, settle = catalog.commit_table, changes.intend, changes.settle

    def commit_killed(*arguments: Any) -> CommitTableResponse:
        catalog.commit_table = commit  # type: ignore[method-assign]
        if moment == "committing":
            server.kill()
            return commit(*arguments)
        commit(*arguments)
        server.kill()
        raise OperationalError("COMMIT", {}, Exception("server closed the connection unexpectedly"))

    async def intend_killed(*arguments: Any) -> None:
        changes.intend = intend  # type: ignore[method-assign]
        await asyncio.to_thread(server.kill)
        await intend(*arguments)

    async def settle_killed(*arguments: Any, **named: Any) -> None:
        changes.settle = settle  # type: ignore[method-assign]
        await asyncio.to_thread(server.kill)
        await settle(*arguments, **named)

    if moment == "intending":
        changes.intend = intend_killed  # type: ignore[method-assign]
    elif moment == "settling":
        changes.settle = settle_killed  # type: ignore[method-assign]
    else:
        catalog.commit_table = commit_killed  # type: ignore[method-assign]
