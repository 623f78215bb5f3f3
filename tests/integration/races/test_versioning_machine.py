"""Any sequence of changes, ours and others', leaves the table as a model says, and each recorded once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pyiceberg.catalog import Catalog

from app.bootstrap import Services, open_services
from app.domain.changes import Actor, Command
from app.domain.datasets import TableState
from app.domain.history import MAIN, RefKind
from app.domain.names import DatasetName
from app.domain.pages import PageRequest
from app.domain.versions import VersionSelector
from app.errors import (
    AlreadyCurrentError,
    AppError,
    BranchExistsError,
    BranchNotFoundError,
    HeadMovedError,
    ProtectedBranchError,
    ProtectedTagError,
    TagExistsError,
    TagNotFoundError,
)
from app.services.outcomes import RollbackOutcome
from tests.integration.races.table import RETENTION, append, make_settings, make_table, set_retention, stock_catalog

TAGS = st.sampled_from(["a", "b", "audit_Q1_2026", "dev"])
BRANCHES = st.sampled_from([MAIN, MAIN, MAIN, "dev", "a"])
PLACES = st.integers(0, 5)
INSISTENCE = st.sampled_from(["right", "none", "none", "stale"])
NO_RETENTION = dict.fromkeys(RETENTION)
ACTOR = Actor(subject="machine")

Retention = dict[str, int | None]
Ref = tuple[RefKind, int, Retention]


class VersioningMachine(RuleBasedStateMachine):
    """The model: refs by name, and the snapshots in the order in which they were made."""

    def __init__(self, runner: asyncio.Runner, services: Services, catalog: Catalog, name: DatasetName) -> None:
        super().__init__()
        self.runner, self.services, self.catalog, self.name = runner, services, catalog, name
        self.refs: dict[str, Ref] = {}
        self.snapshots: list[int] = []
        self.undo_tags: list[str] = []
        self.change_ids: list[UUID] = []
        self.keys = itertools.count()
        self.repeat: tuple[Callable[[Command], Coroutine[Any, Any, Any]], Command, UUID] | None = None

    @initialize()
    def create(self) -> None:
        table = make_table(self.catalog, self.name)
        self.snapshots += [append(table, "first", n) for n in range(3)]
        set_retention(self.catalog, [MAIN, "dev"], self.snapshots[-1], name=str(self.name), **RETENTION)
        for branch in (MAIN, "dev"):
            self.refs[branch] = (RefKind.BRANCH, self.snapshots[-1], RETENTION)

    @rule(branch=BRANCHES)
    def others_append(self, branch: str) -> None:
        if self.kind(branch) is not RefKind.BRANCH:
            return
        made = append(self.catalog.load_table(str(self.name)), "other", len(self.snapshots), branch)
        self.snapshots.append(made)
        # As measured: pyiceberg's appends lose a branch's settings. Ours is to keep what they leave.
        self.refs[branch] = (RefKind.BRANCH, made, NO_RETENTION)

    @rule(tag=TAGS, place=PLACES)
    def create_tag(self, tag: str, place: int) -> None:
        at, kind = self.snapshot(place), self.kind(tag)
        expected: type[AppError] | None = None
        if kind is RefKind.BRANCH:
            expected = BranchExistsError
        elif kind is RefKind.TAG and self.refs[tag][1] != at:
            expected = TagExistsError
        done = self.change(lambda c: self.services.versioning.create_tag(self.name, tag, by_id(at), c), expected)
        if done is not None:
            assert done.is_unchanged is (kind is not None)
            self.refs[tag] = (RefKind.TAG, at, NO_RETENTION)

    @rule(tag=TAGS, place=PLACES, insistence=INSISTENCE, force=st.booleans())
    def move_tag(self, tag: str, place: int, insistence: str, force: bool) -> None:
        to, insisted = self.snapshot(place), self.insisted(tag, insistence)
        expected = self.expected_of_tag(tag, insisted, force=force or self.target(tag) == to)
        done = self.change(
            lambda c: self.services.versioning.move_tag(
                self.name, tag, by_id(to), c, expected_target=insisted, force=force
            ),
            expected,
        )
        if done is not None:
            self.refs[tag] = (RefKind.TAG, to, self.refs[tag][2])

    @rule(tag=TAGS, insistence=INSISTENCE, force=st.booleans())
    def delete_tag(self, tag: str, insistence: str, force: bool) -> None:
        insisted = self.insisted(tag, insistence)
        done = self.change(
            lambda c: self.services.versioning.delete_tag(self.name, tag, c, expected_target=insisted, force=force),
            self.expected_of_tag(tag, insisted, force=force),
        )
        if done is not None:
            assert done.snapshot_id == self.refs.pop(tag)[1]

    @rule(branch=st.sampled_from(["dev", "a"]), place=PLACES)
    def create_branch(self, branch: str, place: int) -> None:
        at, kind = self.snapshot(place), self.kind(branch)
        expected: type[AppError] | None = None
        if kind is RefKind.TAG:
            expected = TagExistsError
        elif kind is RefKind.BRANCH and self.refs[branch][1] != at:
            expected = BranchExistsError
        done = self.change(lambda c: self.services.versioning.create_branch(self.name, branch, by_id(at), c), expected)
        if done is not None and kind is None:
            self.refs[branch] = (RefKind.BRANCH, at, NO_RETENTION)

    @rule(branch=BRANCHES)
    def delete_branch(self, branch: str) -> None:
        expected = None if self.kind(branch) is RefKind.BRANCH else BranchNotFoundError
        if branch == MAIN:
            expected = ProtectedBranchError
        if self.change(lambda c: self.services.versioning.delete_branch(self.name, branch, c), expected) is not None:
            del self.refs[branch]

    @rule(branch=BRANCHES, place=PLACES, insistence=INSISTENCE)
    def roll_back(self, branch: str, place: int, insistence: str) -> None:
        to, insisted = self.snapshot(place), self.insisted(branch, insistence)
        expected = self.expected_of_branch(branch, insisted, to)
        done = self.change(
            lambda c: self.services.versioning.roll_back(
                self.name, by_id(to), c, branch=branch, expected_head=insisted
            ),
            expected,
        )
        if done is not None:
            assert done.undo_tag is not None
            self.rolled(branch, to, done)

    @precondition(lambda self: self.undo_tags)
    @rule(place=PLACES, insistence=INSISTENCE)
    def undo(self, place: int, insistence: str) -> None:
        undo_tag = self.undo_tags[place % len(self.undo_tags)]
        to = self.refs[undo_tag][1]
        # The branch is the one of the rollback; only of main can it be known here without asking the record.
        insisted = self.insisted(MAIN, insistence)
        done = self.change(
            lambda c: self.services.versioning.undo_rollback(self.name, undo_tag, c, expected_head=insisted),
            self.expected_of_branch(MAIN, insisted, to),
        )
        if done is not None:
            self.rolled(MAIN, to, done)

    @precondition(lambda self: self.repeat)
    @rule()
    def ask_again(self) -> None:
        assert self.repeat is not None
        act, command, change_id = self.repeat
        assert self.runner.run(act(command)).change_id == change_id

    @invariant()
    def table_is_as_the_model(self) -> None:
        if not self.snapshots:
            return
        state = self.load()
        found = {
            name: (
                ref.kind,
                ref.snapshot_id,
                {key: getattr(ref, key) for key in RETENTION} if ref.kind is RefKind.BRANCH else NO_RETENTION,
            )
            for name, ref in state.history.refs.items()
        }
        assert found == self.refs
        assert list(state.history.snapshots) == self.snapshots
        page = self.runner.run(self.services.datasets.changes_page(PageRequest(first=100), table_uuid=state.table_uuid))
        assert [change.change_id for change in reversed(page.items)] == self.change_ids

    # What the model says

    def snapshot(self, place: int) -> int:
        return self.snapshots[place % len(self.snapshots)]

    def kind(self, name: str) -> RefKind | None:
        return self.refs[name][0] if name in self.refs else None

    def target(self, name: str) -> int | None:
        return self.refs[name][1] if name in self.refs else None

    def insisted(self, name: str, insistence: str) -> int | None:
        return {"none": None, "right": self.target(name), "stale": 4711}[insistence]

    def expected_of_tag(self, tag: str, insisted: int | None, *, force: bool) -> type[AppError] | None:
        if self.kind(tag) is not RefKind.TAG:
            return TagNotFoundError
        if insisted not in (None, self.target(tag)):
            return HeadMovedError
        return ProtectedTagError if tag.startswith("audit_") and not force else None

    def expected_of_branch(self, branch: str, insisted: int | None, to: int) -> type[AppError] | None:
        if self.kind(branch) is not RefKind.BRANCH:
            return BranchNotFoundError
        if insisted not in (None, self.target(branch)):
            return HeadMovedError
        return AlreadyCurrentError if self.target(branch) == to else None

    def rolled(self, branch: str, to: int, done: RollbackOutcome) -> None:
        left = self.refs[branch][1]
        assert (done.previous_id, done.current_id) == (left, to)
        self.refs[branch] = (RefKind.BRANCH, to, self.refs[branch][2])
        if done.undo_tag is not None:
            assert done.undo_tag.snapshot_id == left
            self.refs[done.undo_tag.name] = (RefKind.TAG, left, NO_RETENTION)
            if branch == MAIN:
                self.undo_tags.append(done.undo_tag.name)
        # What the branch was on is never left without a name that lasts.
        history = self.load().history
        lasting = [r.snapshot_id for n, r in history.refs.items() if n.startswith("pre_") or r.kind is RefKind.BRANCH]
        assert any(left == snapshot.snapshot_id for at in lasting for snapshot in history.ancestors(at))

    def change(self, act: Callable[[Command], Coroutine[Any, Any, Any]], expected: type[AppError] | None) -> Any | None:
        command = Command(actor=ACTOR, idempotency_key=f"{self.name}-{next(self.keys)}")
        try:
            done = self.runner.run(act(command))
        except AppError as error:
            assert type(error) is expected
            return None
        assert expected is None
        if done.change_id is not None:
            self.change_ids.append(done.change_id)
            self.repeat = act, command, done.change_id
        return done

    def load(self) -> TableState:
        return self.runner.run(self.services.datasets.load(self.name)).state


def by_id(snapshot_id: int) -> VersionSelector:
    return VersionSelector(snapshot_id=snapshot_id)


def test_versioning_does_what_the_model_says(database_url: str, tmp_path: Path) -> None:
    settings = make_settings(database_url, tmp_path / "home")
    numbers = itertools.count()
    with asyncio.Runner() as runner, stock_catalog(settings) as catalog:
        opened = open_services(settings)
        services = runner.run(opened.__aenter__())
        try:
            run_state_machine_as_test(
                lambda: VersioningMachine(
                    runner, services, catalog, DatasetName(namespace="model", name=f"t{next(numbers)}")
                ),
                settings=hypothesis_settings(
                    max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
                ),
            )
        finally:
            runner.run(opened.__aexit__(None, None, None))
