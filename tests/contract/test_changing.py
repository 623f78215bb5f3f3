"""Tags, branches, rollbacks and their undoing, on every catalog and store."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
import requests
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import CommitFailedException

from app.bootstrap import Services, open_services
from app.domain.changes import Actor, ChangeKind, ChangeState, Command
from app.domain.history import MAIN
from app.domain.models import NewModelVersion
from app.domain.names import DatasetName
from app.domain.pages import PageRequest
from app.domain.versions import VersionSelector
from app.errors import (
    AlreadyCurrentError,
    AlreadyUndoneError,
    AppError,
    BranchExistsError,
    CommitConflictError,
    HeadMovedError,
    IdempotencyKeyReusedError,
    InvalidArgumentError,
    InvalidNameError,
    LockTimeoutError,
    ProtectedBranchError,
    ProtectedTagError,
    TagExistsError,
    TagNotFoundError,
    UnsupportedTableError,
)
from app.services.model_registration import TrainingInput
from tests.contract.changing import command, refs, target
from tests.contract.lakes import ContractLake
from tests.integration.format_v3 import upgrade_to_v3
from tests.integration.races.changing import wrap_commit
from tests.integration.races.table import change_rows, set_retention
from tests.lake_tables import BRANCH, TAG, append_elsewhere, set_tag

pytestmark = pytest.mark.anyio

NEW = "gold_validated_2026_02_15"
RETENTION: dict[str, Any] = {"min_snapshots_to_keep": 7, "max_snapshot_age_ms": 86_400_000}


def at(snapshot_id: int) -> VersionSelector:
    return VersionSelector(snapshot_id=snapshot_id)


async def test_a_tag_is_a_ref_of_the_table(services: Services, lake: ContractLake, name: DatasetName) -> None:
    done = await services.versioning.create_tag(name, NEW, "main~1", command())

    assert done.tag.snapshot_id == lake.orders.second
    assert refs(lake)[NEW] == {"snapshot-id": lake.orders.second, "type": "tag"}


async def test_a_tag_is_never_moved_silently(services: Services, lake: ContractLake, name: DatasetName) -> None:
    await services.versioning.create_tag(name, NEW, at(lake.orders.first), command())
    before = lake.metadata_location()

    again = await services.versioning.create_tag(name, NEW, at(lake.orders.first), command())
    assert again.is_unchanged
    with pytest.raises(TagExistsError):
        await services.versioning.create_tag(name, NEW, at(lake.orders.second), command())
    with pytest.raises(BranchExistsError):
        await services.versioning.create_tag(name, BRANCH, at(lake.orders.second), command())
    with pytest.raises(HeadMovedError):
        await services.versioning.move_tag(
            name, NEW, at(lake.orders.third), command(), expected_target=lake.orders.second
        )
    assert lake.metadata_location() == before

    await services.versioning.move_tag(name, NEW, at(lake.orders.third), command(), expected_target=lake.orders.first)
    assert target(lake, NEW) == lake.orders.third


async def test_protected_tags_need_force(services: Services, lake: ContractLake, name: DatasetName) -> None:
    await services.versioning.create_tag(name, "mine", None, command(), protected=True)
    for tag in (TAG, "mine"):
        with pytest.raises(ProtectedTagError):
            await services.versioning.delete_tag(name, tag, command())
        with pytest.raises(ProtectedTagError):
            await services.versioning.move_tag(name, tag, "main~1", command())
        await services.versioning.delete_tag(name, tag, command(), force=True)
        assert tag not in refs(lake)
    with pytest.raises(TagNotFoundError):
        await services.versioning.delete_tag(name, TAG, command())


@pytest.mark.parametrize("tag", ["", "a b", "x" * 10_000, "ü", "main", "-x", "a\n"])
async def test_names_that_cannot_be_tags_change_nothing(
    services: Services, lake: ContractLake, name: DatasetName, tag: str
) -> None:
    before = lake.metadata_location()
    with pytest.raises((InvalidNameError, BranchExistsError)):
        await services.versioning.create_tag(name, tag, None, command())
    assert lake.metadata_location() == before


async def test_branches_come_and_go(services: Services, lake: ContractLake, name: DatasetName) -> None:
    await services.versioning.create_branch(name, "audit", TAG, command())
    assert refs(lake)["audit"] == {"snapshot-id": lake.orders.first, "type": "branch"}

    with pytest.raises(HeadMovedError):
        await services.versioning.delete_branch(name, "audit", command(), expected_head=lake.orders.second)
    with pytest.raises(ProtectedBranchError):
        await services.versioning.delete_branch(name, MAIN, command())
    await services.versioning.delete_branch(name, "audit", command(), expected_head=lake.orders.first)
    assert "audit" not in refs(lake)


@pytest.mark.parametrize("branch", [MAIN, BRANCH])
async def test_rollback_and_undo_keep_every_snapshot_and_setting(
    services: Services, lake: ContractLake, name: DatasetName, branch: str
) -> None:
    # given retention settings on the branch
    set_retention(lake.foreign, [branch], target(lake, branch), name=lake.orders_name, **RETENTION)
    before, head = refs(lake), target(lake, branch)

    # when it is rolled back
    done = await services.versioning.roll_back(name, at(lake.orders.first), command(), branch=branch)

    # then the head is there, its settings are kept, and the undo tag pins what it left for ninety days
    assert done.undo_tag is not None
    after = refs(lake)
    assert after[branch] == before[branch] | {"snapshot-id": lake.orders.first}
    pin = after[done.undo_tag.name]
    assert (pin["snapshot-id"], pin["type"]) == (head, "tag")
    assert pin["max-ref-age-ms"] >= 90 * 86_400_000

    # and when that is undone, all is as it was, beside the pin
    await services.versioning.undo_rollback(name, done.undo_tag.name, command())
    assert {key: ref for key, ref in refs(lake).items() if key != done.undo_tag.name} == before


async def test_pins_and_holds_are_endless_in_every_catalog(
    services: Services, lake: ContractLake, name: DatasetName
) -> None:
    # given a model that was trained on the table, and a hold
    training = [TrainingInput(dataset=name, at=at(lake.orders.second))]
    await services.registration.register(NewModelVersion(model=lake.namespace), training, command())
    hold = await services.holding.place(name, at(lake.orders.first), command())
    pin = f"model_training_{lake.namespace}_v1"

    # then another program reads an age that no engine can exceed
    endless = {"type": "tag", "max-ref-age-ms": 2**63 - 1}
    wanted = {
        pin: {"snapshot-id": lake.orders.second, **endless},
        hold.tag: {"snapshot-id": hold.snapshot_id, **endless},
    }
    assert {tag: refs(lake)[tag] for tag in wanted} == wanted

    # and where another program has taken that away, it is set again, and nothing else is touched
    before = refs(lake)
    set_tag(lake.foreign, pin, lake.orders.second, None, name=lake.orders_name)
    set_tag(lake.foreign, hold.tag, hold.snapshot_id, 1, name=lake.orders_name)
    assert [found.tag for found in await services.pinning.restore(hold.table_uuid)] == [pin]
    assert [found.tag for found in await services.holding.restore(hold.table_uuid)] == [hold.tag]
    assert refs(lake) == before

    # and both go when they are no longer needed
    await services.registration.archive(lake.namespace, 1, command())
    await services.holding.release(hold.hold_id, command())
    assert refs(lake).keys() == before.keys() - wanted.keys()


async def test_a_dry_run_tells_and_changes_nothing(services: Services, lake: ContractLake, name: DatasetName) -> None:
    before = lake.metadata_location()

    told = await services.versioning.roll_back(name, TAG, command(), dry_run=True)

    assert (told.previous_id, told.current_id, told.dry_run) == (lake.orders.third, lake.orders.first, True)
    assert "label" in (told.schema_warning or "")
    assert lake.metadata_location() == before


async def test_restore_schema_brings_the_schema_back_and_undo_takes_it_away(
    services: Services, lake: ContractLake, name: DatasetName
) -> None:
    def columns() -> list[str]:
        return lake.foreign.load_table(lake.orders_name).schema().column_names

    now = columns()
    done = await services.versioning.roll_back(name, TAG, command(), restore_schema=True)
    assert columns() == ["id", "price", "name", "at"]
    assert done.undo_tag is not None
    await services.versioning.undo_rollback(name, done.undo_tag.name, command())
    assert columns() == now == ["id", "price", "label", "at", "note"]


async def test_refused_rollbacks_change_nothing(services: Services, lake: ContractLake, name: DatasetName) -> None:
    before = lake.metadata_location()
    with pytest.raises(AlreadyCurrentError):
        await services.versioning.roll_back(name, MAIN, command())
    with pytest.raises(HeadMovedError):
        await services.versioning.roll_back(name, TAG, command(), expected_head=lake.orders.second)
    with pytest.raises(AppError):
        await services.versioning.roll_back(name, at(12345), command())
    assert lake.metadata_location() == before


async def test_an_append_in_the_middle_of_a_rollback_is_kept(
    services: Services, lake: ContractLake, name: DatasetName
) -> None:
    # given another writer who commits between our decision and our commit
    made: list[int] = []

    def overtaken(original: Any, *arguments: Any) -> Any:
        made.append(append_elsewhere(lake.foreign, 7, name=lake.orders_name))
        return original(*arguments)

    wrap_commit(services, overtaken)

    done = await services.versioning.roll_back(name, TAG, command())

    assert done.previous_id == made[0]
    assert done.undo_tag is not None
    assert target(lake, done.undo_tag.name) == made[0]
    assert target(lake, MAIN) == lake.orders.first


async def test_a_lost_answer_is_looked_for_in_the_table(
    services: Services, lake: ContractLake, name: DatasetName
) -> None:
    def unheard(original: Any, *arguments: Any) -> Any:
        original(*arguments)
        raise requests.ConnectionError("connection reset by peer")

    wrap_commit(services, unheard)

    done = await services.versioning.create_tag(name, NEW, None, command())

    assert target(lake, NEW) == done.tag.snapshot_id
    assert done.change_id is not None
    assert (await services.datasets.get_change(done.change_id)).state is ChangeState.DONE


async def test_what_a_dead_process_left_is_settled_by_the_next_change(
    services: Services, lake: ContractLake, name: DatasetName
) -> None:
    # given a change that was committed by a process that died before it recorded that
    class Killed(BaseException):
        pass

    def dying(original: Any, *arguments: Any) -> Any:
        original(*arguments)
        raise Killed

    async with open_services(lake.settings) as doomed:
        wrap_commit(doomed, dying)
        with pytest.raises(Killed):
            await doomed.versioning.create_tag(name, NEW, None, command(key="k"))
    (left,) = await change_rows(lake.settings.database_url or "")
    assert left["state"] == ChangeState.INTENDED

    # when anybody changes the table
    await services.versioning.create_tag(name, "another", None, command())

    # then that change is found done, and the same request is answered by it
    assert (await services.datasets.get_change(left["change_id"])).state is ChangeState.DONE
    again = await services.versioning.create_tag(name, NEW, None, command(key="k"))
    assert again.change_id == left["change_id"]


async def test_tables_of_format_3_are_changed_where_the_catalog_can(
    services: Services, lake: ContractLake, name: DatasetName
) -> None:
    upgrade_to_v3(lake.foreign, lake.foreign.load_table(lake.orders_name))
    if isinstance(lake.foreign, RestCatalog):
        done = await services.versioning.roll_back(name, TAG, command())
        assert target(lake, MAIN) == lake.orders.first
        assert done.undo_tag is not None
        await services.versioning.undo_rollback(name, done.undo_tag.name, command())
        assert target(lake, MAIN) == lake.orders.third
        await services.versioning.create_tag(name, NEW, None, command())
        assert target(lake, NEW) == lake.orders.third
        return
    before = lake.metadata_location()
    with pytest.raises(UnsupportedTableError) as refused:
        await services.versioning.create_tag(name, NEW, None, command())
    assert refused.value.fields["feature"] == "format version 3"
    with pytest.raises(UnsupportedTableError):
        await services.versioning.roll_back(name, TAG, command())
    assert lake.metadata_location() == before


async def test_who_when_and_why_can_be_read_back(services: Services, lake: ContractLake, name: DatasetName) -> None:
    await services.versioning.create_tag(name, NEW, None, command(reason="totals agree"))
    await services.versioning.delete_tag(name, NEW, command(reason="they do not"))

    table_uuid = (await services.datasets.load(name)).state.table_uuid
    changes = (await services.datasets.changes_page(PageRequest(first=10), table_uuid=table_uuid)).items

    told = [(change.kind, change.actor.subject, change.reason, change.state) for change in changes]
    assert told == [
        (ChangeKind.TAG_DELETED, "ada", "they do not", ChangeState.DONE),
        (ChangeKind.TAG_CREATED, "ada", "totals agree", ChangeState.DONE),
    ]


async def test_everybody_at_once_loses_nothing(services: Services, lake: ContractLake, name: DatasetName) -> None:
    # given an appender that knows nothing of our locks
    appended: list[int] = []
    stop = threading.Event()

    def append_on() -> None:
        number = 100
        while not stop.is_set():
            number += 1
            try:
                appended.append(append_elsewhere(lake.foreign, number, name=lake.orders_name))
            except (CommitFailedException, ValueError):
                continue

    appender = asyncio.create_task(asyncio.to_thread(append_on))

    # when taggers and rollers-back of two processes' worth of services work beside it
    async def tag(through: Services, number: int) -> tuple[str, int]:
        done = await through.versioning.create_tag(name, f"t_{number}", None, command())
        return done.tag.name, done.tag.snapshot_id

    async def roll_back(through: Services) -> tuple[str, int]:
        done = await through.versioning.roll_back(name, TAG, command())
        assert done.undo_tag is not None
        return done.undo_tag.name, done.previous_id

    try:
        async with open_services(lake.settings) as other:
            work = [tag((services, other)[number % 2], number) for number in range(12)]
            work += [roll_back((services, other)[number % 2]) for number in range(4)]
            answers = await asyncio.gather(*work, return_exceptions=True)
    finally:
        stop.set()
        await appender

    # then every acknowledgment is kept, and nobody was refused but for a conflict, or because it was so already
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    done = [answer for answer in answers if not isinstance(answer, BaseException)]
    known = (CommitConflictError, LockTimeoutError, AlreadyCurrentError)
    assert all(isinstance(error, known) for error in refused), refused
    assert len(done) >= 8
    metadata = lake.foreign.load_table(lake.orders_name).metadata
    assert {ref: metadata.refs[ref].snapshot_id for ref, _ in done} == dict(done)
    parents = {snapshot.snapshot_id: snapshot.parent_snapshot_id for snapshot in metadata.snapshots}
    reached: set[int | None] = set()
    for ref in metadata.refs.values():
        at_id: int | None = ref.snapshot_id
        while at_id is not None and at_id not in reached:
            reached.add(at_id)
            at_id = parents[at_id]
    assert appended
    assert set(appended) <= reached


async def test_protection_goes_along_with_a_tag_that_is_moved_by_force(
    services: Services, lake: ContractLake, name: DatasetName
) -> None:
    await services.versioning.create_tag(name, "mine", at(lake.orders.first), command(), protected=True)
    await services.versioning.move_tag(name, "mine", at(lake.orders.second), command(), force=True)

    with pytest.raises(ProtectedTagError):
        await services.versioning.delete_tag(name, "mine", command())
    assert target(lake, "mine") == lake.orders.second


async def test_protection_asked_for_a_tag_that_is_there_holds_and_leaves_its_author(
    services: Services, lake: ContractLake, name: DatasetName
) -> None:
    # given a tag of ours and one of another engine
    await services.versioning.create_tag(name, "ours", None, command(reason="mine"))
    lake.foreign.load_table(lake.orders_name).manage_snapshots().create_tag(lake.orders.third, "theirs").commit()
    before = lake.metadata_location()

    # when protection is asked for both
    bert = Command(actor=Actor(subject="bert"), reason="keep it")
    for tag in ("ours", "theirs"):
        done = await services.versioning.create_tag(name, tag, None, bert, protected=True)
        assert not done.is_unchanged
        assert (await services.versioning.create_tag(name, tag, None, bert, protected=True)).is_unchanged

    # then both are protected, nothing was committed, and who set them is what it was
    assert lake.metadata_location() == before
    for tag in ("ours", "theirs"):
        with pytest.raises(ProtectedTagError):
            await services.versioning.delete_tag(name, tag, command())
    uuid = (await services.datasets.load(name)).state.table_uuid
    records = await services.datasets.tag_records([(uuid, "ours"), (uuid, "theirs")])
    ours, theirs = records[(uuid, "ours")], records[(uuid, "theirs")]
    assert (ours.set_by, ours.reason, ours.is_protection_requested) == (Actor(subject="ada"), "mine", True)
    assert (theirs.set_by, theirs.set_at, theirs.is_protection_requested) == (None, None, True)


async def test_a_second_undo_takes_no_later_commit_off_the_branch(
    services: Services, lake: ContractLake, name: DatasetName
) -> None:
    # given a rollback that was undone, and a commit since
    done = await services.versioning.roll_back(name, TAG, command())
    assert done.undo_tag is not None
    await services.versioning.undo_rollback(name, done.undo_tag.name, command())
    with pytest.raises(AlreadyCurrentError):
        await services.versioning.undo_rollback(name, done.undo_tag.name, command())
    appended = append_elsewhere(lake.foreign, 7, name=lake.orders_name)

    with pytest.raises(AlreadyUndoneError):
        await services.versioning.undo_rollback(name, done.undo_tag.name, command())
    assert target(lake, MAIN) == appended

    # but whoever says that it is meant can, and the commit stays under a tag
    again = await services.versioning.undo_rollback(name, done.undo_tag.name, command(), expected_head=appended)
    assert target(lake, MAIN) == lake.orders.third
    assert again.undo_tag is not None
    assert target(lake, again.undo_tag.name) == appended


async def test_an_undo_tag_without_a_record_is_not_guessed_to_be_of_main(
    services: Services, lake: ContractLake, name: DatasetName
) -> None:
    tag = f"pre_rollback_20260101T000000000Z_{lake.orders.first}"
    lake.foreign.load_table(lake.orders_name).manage_snapshots().create_tag(lake.orders.first, tag).commit()
    before = lake.metadata_location()

    with pytest.raises(InvalidArgumentError) as refused:
        await services.versioning.undo_rollback(name, tag, command())
    assert f"tag:{tag}" in refused.value.message
    assert lake.metadata_location() == before

    # With one branch there is nothing to guess.
    await services.versioning.delete_branch(name, BRANCH, command())
    await services.versioning.undo_rollback(name, tag, command())
    assert target(lake, MAIN) == lake.orders.first


async def test_a_key_answers_the_same_also_where_nothing_was_changed(
    services: Services, lake: ContractLake, name: DatasetName
) -> None:
    await services.versioning.create_tag(name, NEW, None, command())
    first = await services.versioning.create_tag(name, NEW, None, command(key="k"))
    await services.versioning.delete_tag(name, NEW, command())

    again = await services.versioning.create_tag(name, NEW, None, command(key="k"))

    assert first.is_unchanged
    assert again.is_unchanged
    assert again.tag == first.tag
    assert NEW not in refs(lake)
    with pytest.raises(IdempotencyKeyReusedError):
        await services.versioning.create_tag(name, NEW, None, command(key="k", reason="another"))
    # What changed nothing is no change.
    uuid = (await services.datasets.load(name)).state.table_uuid
    changes = (await services.datasets.changes_page(PageRequest(first=10), table_uuid=uuid)).items
    assert [change.kind for change in changes] == [ChangeKind.TAG_DELETED, ChangeKind.TAG_CREATED]
