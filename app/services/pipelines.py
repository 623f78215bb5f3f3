"""Pipelines: registering and looking at them and their versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.domain.changes import ChangeKind, ChangeState, Command, PipelineSubject
from app.domain.dags import Dag, code_hash, parse_dag
from app.domain.json_values import find_fault
from app.domain.models import MAX_NAME_CHARS, MAX_TEXT_CHARS, check_text
from app.domain.numbered import NumberedHistory, NumberSelector, resolve_number
from app.domain.pages import Page, PageRequest
from app.domain.pipelines import MAX_CODE_CHARS, Pipeline, PipelineVersion, check_pipeline_id
from app.domain.versions import closest
from app.errors import (
    InvalidArgumentError,
    InvalidDagError,
    JsonValue,
    PipelineNotFoundError,
    VersionNotFoundError,
)
from app.registry.events import reopen_runs_of_version
from app.registry.facts import Facts, StoredFact, insert_fact
from app.registry.pipelines import PipelineStore, insert_version, lock_pipeline, rename_pipeline
from app.registry.version_tags import VersionTags
from app.services.executing import worker_name
from app.services.recording import FactRequest, find_repeated, key_of_its_own
from app.telemetry.tracing import span

MAX_COMMIT_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPipelineVersion:
    """A version as it is registered. The server gives it its number. `dag`: {tasks: [{id, …}], edges: [[from, to]]}."""

    pipeline_id: str
    dag: JsonValue
    name: str | None = None
    description: str | None = None
    code: str | None = None
    git_commit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineOutcome:
    """A pipeline version as it is now; `is_unchanged` where it was the latest already."""

    version: PipelineVersion
    is_unchanged: bool
    change_id: UUID | None


class Pipelines:
    """The pipelines of the registry.

    Every method raises BackendUnavailableError where Postgres is away.
    """

    def __init__(self, store: PipelineStore, facts: Facts, tags: VersionTags) -> None:
        self._store = store
        self._facts = facts
        self._tags = tags

    async def get(self, pipeline_id: str) -> Pipeline:
        """A pipeline, registered or known by its runs. Raises PipelineNotFoundError with the closest ids."""
        found = (await self._store.find_pipelines([pipeline_id])).get(pipeline_id)
        if found is None:
            raise PipelineNotFoundError(pipeline_id[:200], closest(pipeline_id, await self._store.ids_like()))
        return found

    async def latest_numbers(self, pipeline_ids: Sequence[str]) -> dict[str, int]:
        """The highest number of each pipeline that has a version, in one statement."""
        return await self._store.latest_numbers(pipeline_ids)

    async def page(self, request: PageRequest, *, id_prefix: str = "") -> Page[Pipeline]:
        """Pipelines by id. Raises InvalidPageError."""
        return await self._store.page_pipelines(request, id_prefix=id_prefix)

    async def find(self, pipeline_ids: Sequence[str]) -> dict[str, Pipeline]:
        """Those of these pipelines that exist; one statement."""
        return await self._store.find_pipelines(pipeline_ids)

    async def find_versions(self, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], PipelineVersion]:
        """Those of these versions that exist, by pipeline and number; one statement."""
        return await self._store.find_versions(keys)

    async def find_latest(self, pipeline_ids: Sequence[str]) -> dict[str, PipelineVersion]:
        """The latest version of each of these pipelines that has one; two statements."""
        numbers = await self._store.latest_numbers(pipeline_ids)
        versions = await self._store.find_versions(list(numbers.items()))
        return {pipeline_id: version for (pipeline_id, _), version in versions.items()}

    async def page_versions(self, pipeline_id: str, request: PageRequest) -> Page[PipelineVersion]:
        """Versions of a pipeline, newest first. Raises InvalidPageError."""
        return (await self.pages_of_versions([pipeline_id], request))[pipeline_id]

    async def pages_of_versions(
        self, pipeline_ids: Sequence[str], request: PageRequest
    ) -> dict[str, Page[PipelineVersion]]:
        """The same page of the versions of each of these pipelines; two statements. Raises InvalidPageError."""
        return await self._store.pages_of_versions(pipeline_ids, request)

    async def histories(self, pipeline_ids: Sequence[str]) -> dict[str, NumberedHistory]:
        """What references to versions of these pipelines are resolved by; two statements."""
        subjects = {pipeline_id: PipelineSubject(pipeline_id=pipeline_id) for pipeline_id in pipeline_ids}
        tags = await self._tags.of_subjects(list(subjects.values()))
        made = await self._store.histories(pipeline_ids)
        return {
            pipeline_id: NumberedHistory(
                owner=pipeline_id,
                owner_field=subject.owner_field,
                created_at=made[pipeline_id],
                tags={tag.name: tag.number for tag in tags[subject]},
            )
            for pipeline_id, subject in subjects.items()
        }

    async def resolve(self, pipeline_id: str, at: NumberSelector | str | None) -> int:
        """The number of the version that is named.

        Raises:
            PipelineNotFoundError: no such pipeline.
            As `app.domain.numbered.resolve_number`.
        """
        await self.get(pipeline_id)
        return resolve_number(at, (await self.histories([pipeline_id]))[pipeline_id])

    async def get_version(self, pipeline_id: str, at: NumberSelector | str | None) -> PipelineVersion:
        """A version. Raises as `resolve`."""
        key = (pipeline_id, await self.resolve(pipeline_id, at))
        found = (await self._store.find_versions([key])).get(key)
        if found is None:
            raise VersionNotFoundError(pipeline_id, str(key[1]), "it is gone", owner_field=PipelineSubject.owner_field)
        return found

    async def get_versions(self, pipeline_id: str, ats: Sequence[NumberSelector | str | None]) -> list[PipelineVersion]:
        """Versions of one pipeline, in the order asked for; four statements. Raises as `resolve`."""
        await self.get(pipeline_id)
        history = (await self.histories([pipeline_id]))[pipeline_id]
        keys = [(pipeline_id, resolve_number(at, history)) for at in ats]
        found = await self._store.find_versions(list(dict.fromkeys(keys)))
        if gone := next((number for _, number in keys if (pipeline_id, number) not in found), None):
            raise VersionNotFoundError(pipeline_id, str(gone), "it is gone", owner_field=PipelineSubject.owner_field)
        return [found[key] for key in keys]

    async def register(self, new: NewPipelineVersion, command: Command) -> PipelineOutcome:
        """Register the next version of a pipeline; what is as the latest is, is unchanged and no new version.

        DAG, code and commit are compared: the DAG as a graph, code by its hash. A run of the pipeline belongs to the
        version of its commit, else to the one that was the latest when it began.

        Raises:
            InvalidDagError: with the place of what is wrong with it.
            InvalidNameError, InvalidArgumentError: what else is.
            IdempotencyKeyReusedError: the key was used for something else.
        """
        _check(new)
        dag = _parse(new.dag)
        hashed = None if new.code is None else code_hash(new.code)
        subject = PipelineSubject(pipeline_id=new.pipeline_id)
        arguments: dict[str, JsonValue] = {
            "name": new.name,
            "description": new.description,
            "dag": dag.digest,
            "code": hashed,
            "gitCommit": new.git_commit,
        }
        request = FactRequest(kind=ChangeKind.PIPELINE_REGISTERED, subject=subject, arguments=arguments)
        with span("pipeline.register", pipeline=new.pipeline_id):
            async with self._facts.transaction() as connection:
                # Looked for again under the lock, where an equal request may have been faster.
                done = await find_repeated(connection, request, command)
                latest = None
                if done is None:
                    latest = await lock_pipeline(connection, new.pipeline_id)
                    done = await find_repeated(connection, request, command)
                if done is None:
                    is_renamed = await rename_pipeline(connection, new.pipeline_id, new.name, new.description)
                    is_unchanged = latest is not None and (
                        (latest.dag_digest, latest.code_hash, latest.git_commit) == (dag.digest, hashed, new.git_commit)
                    )
                    number = latest.number if latest and is_unchanged else (latest.number if latest else 0) + 1
                    details: dict[str, JsonValue] = {
                        "number": number,
                        "unchanged": is_unchanged,
                        "renamed": is_renamed,
                    }
                    fact = request.fact(command, details)
                    is_news = is_renamed or not is_unchanged
                    if is_news or command.idempotency_key is not None:
                        with key_of_its_own(command):
                            state = ChangeState.DONE if is_news else ChangeState.UNCHANGED
                            await insert_fact(connection, fact, state, by=worker_name())
                    if latest is not None and is_unchanged:
                        return PipelineOutcome(
                            version=latest, is_unchanged=True, change_id=fact.change_id if is_renamed else None
                        )
                    version = await insert_version(
                        connection,
                        fact.change_id,
                        pipeline_id=new.pipeline_id,
                        number=number,
                        by=command.actor.subject,
                        reason=command.reason,
                        dag=new.dag,
                        dag_digest=dag.digest,
                        code=new.code,
                        code_hash=hashed,
                        git_commit=new.git_commit,
                    )
                    await reopen_runs_of_version(connection, new.pipeline_id, new.git_commit, version.created_at)
                    return PipelineOutcome(version=version, is_unchanged=False, change_id=fact.change_id)
            return await self._repeated(done, new.pipeline_id)

    async def _repeated(self, done: StoredFact, pipeline_id: str) -> PipelineOutcome:
        key = (pipeline_id, int(str(done.change.details["number"])))
        is_unchanged = bool(done.change.details["unchanged"])
        return PipelineOutcome(
            version=(await self._store.find_versions([key]))[key],
            is_unchanged=is_unchanged,
            change_id=None if done.change.state is ChangeState.UNCHANGED else done.change.change_id,
        )


def _parse(document: JsonValue) -> Dag:
    # More can be compared than kept: the driver writes no integers beyond 64 bits, and Python has more types than JSON.
    if (fault := find_fault(document)) is not None:
        raise InvalidDagError(*fault)
    return parse_dag(document)


def _check(new: NewPipelineVersion) -> None:
    check_pipeline_id(new.pipeline_id)
    check_text("name", new.name, MAX_NAME_CHARS)
    check_text("description", new.description, MAX_TEXT_CHARS)
    check_text("code", new.code, MAX_CODE_CHARS)
    check_text("gitCommit", new.git_commit, MAX_COMMIT_CHARS)
    if new.name is not None and (not new.name.strip() or not new.name.isprintable()):
        raise InvalidArgumentError("name", "a name of printable characters is needed; leave it out to have the id")
    if new.git_commit is not None and (not new.git_commit.strip() or not new.git_commit.isprintable()):
        raise InvalidArgumentError("gitCommit", "a commit's id is needed")
