"""Others who change the table in the middle of a change, and catalogs that do not say what became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
from pydantic import ValidationError
from pyiceberg.catalog.rest import Capability, Endpoint, RestCatalog
from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException
from pyiceberg.table import CommitTableResponse

from app.bootstrap import Services
from app.domain.ref_changes import plan_tag
from app.errors import (
    CommitConflictError,
    CommitStateUnknownError,
    HeadMovedError,
    TagExistsError,
    UnsupportedTableError,
)
from app.lake.commits import CommitOutcomeUnknownError, commit_plan
from app.lake.metadata_cache import MetadataCache
from app.settings import Settings
from tests.integration.races.changing import (
    command,
    operational_error,
    states,
    tag,
    wrap_commit,
)
from tests.integration.races.table import (
    MAIN,
    NAME,
    STAGE,
    append,
    change_rows,
    metadata_location,
    read_metadata,
    read_refs,
    set_retention,
    stock_catalog,
)
from tests.lake_tables import set_tag

pytestmark = pytest.mark.anyio


def with_foreign(settings: Settings, act: Callable[[Any], object]) -> Callable[..., CommitTableResponse]:
    """A commit just before which another program, which knows nothing of our locks, commits something."""

    def commit_after(original: Callable[..., CommitTableResponse], *arguments: Any) -> CommitTableResponse:
        with stock_catalog(settings) as catalog:
            act(catalog)
        return original(*arguments)

    return commit_after


async def test_rollback_overtaken_by_an_append_keeps_it(services: Services, settings: Settings) -> None:
    made: list[int] = []
    wrap_commit(
        services, with_foreign(settings, lambda catalog: made.append(append(catalog.load_table(str(NAME)), "other", 1)))
    )

    done = await services.versioning.roll_back(NAME, STAGE + "~1", command())

    refs = read_refs(settings)
    assert done.previous_id == made[0]
    assert done.undo_tag is not None
    assert refs[done.undo_tag.name]["snapshot-id"] == made[0]
    assert refs[MAIN]["snapshot-id"] == done.current_id
    assert [name for name in refs if name.startswith("pre_rollback_")] == [done.undo_tag.name]
    assert await states(settings) == ["DONE"]


async def test_rollback_that_insists_on_what_it_saw_changes_nothing(services: Services, settings: Settings) -> None:
    made: list[int] = []
    wrap_commit(
        services, with_foreign(settings, lambda catalog: made.append(append(catalog.load_table(str(NAME)), "other", 1)))
    )
    head = read_refs(settings)[MAIN]["snapshot-id"]

    with pytest.raises(HeadMovedError) as caught:
        await services.versioning.roll_back(NAME, "main~1", command(), expected_head=head)

    assert (caught.value.fields["expected"], caught.value.fields["actual"]) == (str(head), str(made[0]))
    refs = read_refs(settings)
    assert refs.keys() == {MAIN, STAGE}
    assert refs[MAIN]["snapshot-id"] == made[0]
    assert await states(settings) == ["FAILED"]


async def test_append_between_the_catalogs_own_load_and_its_update_is_kept(
    services: Services, settings: Settings
) -> None:
    # given an append that comes after every requirement was checked, while our metadata file is being written
    made: list[int] = []
    catalog = services.lake._catalog
    write = catalog._write_metadata

    def write_late(*arguments: Any, **named: Any) -> None:
        write(*arguments, **named)
        if not made:
            with stock_catalog(settings) as other:
                made.append(append(other.load_table(str(NAME)), "other", 1))

    catalog._write_metadata = write_late

    done = await services.versioning.roll_back(NAME, STAGE + "~1", command())

    assert done.previous_id == made[0]
    assert done.undo_tag is not None
    assert read_refs(settings)[done.undo_tag.name]["snapshot-id"] == made[0]


async def test_retention_changed_meanwhile_is_not_set_back(
    services: Services, settings: Settings, snapshots: list[int]
) -> None:
    # given an operator who changes main's retention, but not its head, while a rollback is refused for it
    def refuse(original: object, *arguments: object) -> CommitTableResponse:
        with stock_catalog(settings) as catalog:
            set_retention(catalog, [MAIN], snapshots[-1], min_snapshots_to_keep=99)
        raise CommitFailedException("lost")

    wrap_commit(services, refuse)

    await services.versioning.roll_back(NAME, "main~1", command())

    assert read_refs(settings)[MAIN]["min-snapshots-to-keep"] == 99


async def test_writer_who_is_always_overtaken_gives_up_with_a_typed_error(
    services: Services, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.executing.RETRY_MAX_S", 0.001)

    def refuse(original: object, *arguments: object) -> CommitTableResponse:
        raise CommitFailedException("lost")

    wrap_commit(services, refuse, times=-1)

    with pytest.raises(CommitConflictError):
        await tag(services, "t", key="k")

    assert await states(settings) == ["FAILED"]


LOST_ANSWERS = {
    "sqlalchemy": operational_error,
    "requests": lambda: requests.ConnectionError("Remote end closed connection without response"),
    "json": lambda: requests.exceptions.JSONDecodeError("Expecting value", "", 0),
    "catalog": lambda: CommitStateUnknownException("CommitStateUnknownException: 502"),
}


@pytest.mark.parametrize("lost", LOST_ANSWERS.values(), ids=LOST_ANSWERS.keys())
async def test_lost_answer_of_a_commit_that_took_place_is_found(
    services: Services, settings: Settings, lost: Callable[[], Exception]
) -> None:
    locations: list[str] = []

    def commit_and_lose(original: Callable[..., CommitTableResponse], *arguments: Any) -> CommitTableResponse:
        locations.append(original(*arguments).metadata_location)
        with stock_catalog(settings) as catalog:  # so that the present metadata file is another one
            append(catalog.load_table(str(NAME)), "other", 1)
        raise lost()

    wrap_commit(services, commit_and_lose)

    done = await services.versioning.roll_back(NAME, "main~1", command("k"))

    (row,) = await change_rows(settings.database_url or "")
    assert (row["state"], row["settled_metadata"]) == ("DONE", locations[0])
    assert done.undo_tag is not None
    assert read_refs(settings)[done.undo_tag.name]["snapshot-id"] == done.previous_id


async def test_refusal_of_a_commit_that_took_place_is_seen_through(services: Services, settings: Settings) -> None:
    # given a gateway that sends the request again, and so gets a refusal for what it has done itself
    def commit_twice(original: Callable[..., CommitTableResponse], *arguments: Any) -> CommitTableResponse:
        original(*arguments)
        return original(*arguments)

    wrap_commit(services, commit_twice)
    location = metadata_location(settings)

    done = await services.versioning.roll_back(NAME, "main~1", command())

    assert await states(settings) == ["DONE"]
    now = read_metadata(metadata_location(settings))
    assert now["metadata-log"][-1]["metadata-file"] == location, "one commit"
    assert done.undo_tag is not None
    assert done.undo_tag.name in now["refs"]


def commit_twice(original: Callable[..., CommitTableResponse], *arguments: Any) -> CommitTableResponse:
    """As a gateway does that sends a request again, although the first one has come through."""
    original(*arguments)
    raise CommitFailedException("the second one is refused")


def commit_and_lose(original: Callable[..., CommitTableResponse], *arguments: Any) -> CommitTableResponse:
    original(*arguments)
    raise operational_error()


@pytest.mark.parametrize("wrapper", [commit_twice, commit_and_lose])
async def test_age_that_was_set_is_found_although_the_catalog_does_not_say_so(
    services: Services, settings: Settings, wrapper: Callable[..., CommitTableResponse]
) -> None:
    await tag(services, "t")
    wrap_commit(services, wrapper)

    done = await services.versioning.create_tag(NAME, "t", MAIN, command(), endless=True)

    assert (done.is_unchanged, done.is_new, done.tag.is_endless) == (False, False, True)
    assert await states(settings) == ["DONE", "DONE"]
    assert read_refs(settings)["t"]["max-ref-age-ms"] == 2**63 - 1


async def test_age_is_not_set_on_a_tag_that_was_moved_meanwhile(
    services: Services, settings: Settings, snapshots: list[int]
) -> None:
    await tag(services, "t")
    wrap_commit(
        services, with_foreign(settings, lambda catalog: set_tag(catalog, "t", snapshots[0], 5, name=str(NAME)))
    )

    with pytest.raises(TagExistsError):
        await services.versioning.create_tag(NAME, "t", MAIN, command(), endless=True)

    assert read_refs(settings)["t"] == {"snapshot-id": snapshots[0], "type": "tag", "max-ref-age-ms": 5}
    assert await states(settings) == ["DONE", "FAILED"]


async def test_age_that_dies_with_its_process_is_settled_by_looking(impatient: Services, settings: Settings) -> None:
    # Given two processes that died while they made a tag endless, one before its commit and one after
    await tag(impatient, "t")

    def die(original: Callable[..., CommitTableResponse], *arguments: Any) -> CommitTableResponse:
        raise RuntimeError("killed")

    def commit_and_die(original: Callable[..., CommitTableResponse], *arguments: Any) -> CommitTableResponse:
        original(*arguments)
        raise RuntimeError("killed")

    for wrapper, state in ((die, "FAILED"), (commit_and_die, "DONE")):
        wrap_commit(impatient, wrapper)
        with pytest.raises(RuntimeError, match="killed"):
            await impatient.versioning.create_tag(NAME, "t", MAIN, command(), endless=True)
        assert (await states(settings))[-1] == "INTENDED"

        # When somebody looks
        await impatient.repair.settle_overdue()

        # Then it is known which of them did it
        assert (await states(settings))[-1] == state
    assert read_refs(settings)["t"]["max-ref-age-ms"] == 2**63 - 1


async def test_lost_answer_of_a_commit_that_did_not_take_place_is_unknown_until_its_lease_ends(
    impatient: Services, settings: Settings
) -> None:
    def lose(original: object, *arguments: object) -> CommitTableResponse:
        raise operational_error()

    wrap_commit(impatient, lose)

    with pytest.raises(CommitStateUnknownError):
        await tag(impatient, "t", key="k")
    assert await states(settings) == ["INTENDED"]

    assert await impatient.repair.settle_overdue() == 1
    assert await states(settings) == ["FAILED"]
    assert (await tag(impatient, "t", key="k")).is_unchanged is False
    assert await states(settings) == ["FAILED", "DONE"]


async def test_lost_answer_and_then_the_table_renamed_is_found_by_repair(
    impatient: Services, settings: Settings
) -> None:
    def commit_and_rename(original: Callable[..., CommitTableResponse], *arguments: Any) -> CommitTableResponse:
        original(*arguments)
        with stock_catalog(settings) as catalog:
            catalog.rename_table(str(NAME), "race.renamed")
        raise operational_error()

    wrap_commit(impatient, commit_and_rename)

    with pytest.raises(CommitStateUnknownError):
        await tag(impatient, "t", key="k")

    assert await impatient.repair.settle_overdue() == 1
    assert await states(settings) == ["DONE"]


async def test_error_nobody_expected_after_the_commit_is_settled_by_looking(
    impatient: Services, settings: Settings
) -> None:
    def commit_and_break(original: Callable[..., CommitTableResponse], *arguments: Any) -> CommitTableResponse:
        original(*arguments)
        raise RuntimeError("a bug")

    wrap_commit(impatient, commit_and_break)

    with pytest.raises(RuntimeError, match="a bug"):
        await tag(impatient, "t", key="k")
    assert await states(settings) == ["INTENDED"], "FAILED would be a lie"

    await impatient.repair.settle_overdue()
    assert await states(settings) == ["DONE"]


async def test_unreadable_answer_of_a_rest_server_leaves_the_outcome_open(services: Services) -> None:
    class CutAnswers(RestCatalog):
        def __init__(self) -> None:
            self.name = "rest"

        def commit_table(self, *arguments: object) -> CommitTableResponse:
            return CommitTableResponse.model_validate_json('{"metadata-location": "s3://cut')

    table = await services.datasets.load(NAME)
    plan = plan_tag(table.state, "t", table.state.history.refs[MAIN].snapshot_id)
    assert plan is not None

    with pytest.raises(CommitOutcomeUnknownError) as caught:
        commit_plan(CutAnswers(), table, plan, MetadataCache(0))
    assert isinstance(caught.value.__cause__, ValidationError)


@pytest.mark.parametrize(
    ("case", "endpoints", "expected"),
    [
        ("a yes that pyiceberg does not understand", {Capability.V1_UPDATE_TABLE}, CommitOutcomeUnknownError),
        ("a server that says that it takes no commits", set(), UnsupportedTableError),
    ],
)
async def test_what_was_never_asked_is_told_from_a_yes_that_cannot_be_understood(
    services: Services, case: str, endpoints: set[Endpoint], expected: type[Exception]
) -> None:
    class Unfinished(RestCatalog):
        def __init__(self) -> None:
            self.name = "rest"
            self._supported_endpoints = endpoints

        def commit_table(self, *arguments: object) -> CommitTableResponse:
            raise NotImplementedError("x")

    table = await services.datasets.load(NAME)
    plan = plan_tag(table.state, "t", table.state.history.refs[MAIN].snapshot_id)
    assert plan is not None

    with pytest.raises(expected) as caught:
        commit_plan(Unfinished(), table, plan, MetadataCache(0))
    assert isinstance(caught.value.__cause__, NotImplementedError), case
