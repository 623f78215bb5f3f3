"""Tags on versions of models and pipelines, by the rules that tags of datasets go by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from app.domain.changes import ChangeKind, ChangeState, Command, RegistrySubject
from app.domain.tags import check_ref_name, find_protection, warnings_for
from app.domain.versions import closest
from app.errors import HeadMovedError, JsonValue, ProtectedTagError, TagExistsError, TagNotFoundError
from app.registry.facts import Facts, StoredFact, Transaction, insert_fact
from app.registry.version_tags import VersionTag, lock_tags, protect_tag, put_tag, remove_tag
from app.services.executing import worker_name
from app.services.recording import FactRequest, find_repeated, key_of_its_own
from app.telemetry.tracing import span


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedVersion:
    """A version as it is asked for, such as the latest one; it is looked for where the request is no repetition.

    So a repeated request has the first answer, also where the same words mean another version by now. `text` is what
    was asked for, as far as it identifies the request.
    """

    text: str
    find: Callable[[], Awaitable[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionTagOutcome:
    """A tag as it is now; `is_unchanged` where it was so before."""

    tag: VersionTag
    warnings: tuple[str, ...]
    is_unchanged: bool
    change_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionTagRemoval:
    """A tag that is gone, and the version that it was on."""

    subject: RegistrySubject
    name: str
    number: int
    change_id: UUID | None


class VersionTagging:
    """Sets, moves and removes tags; each in one transaction with its record.

    Every method raises, beside what it names: IdempotencyKeyReusedError, BackendUnavailableError; then nothing was
    changed. That the versions exist is for the caller to know.
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    async def create(
        self,
        subject: RegistrySubject,
        tag: str,
        at: int | AskedVersion,
        command: Command,
        *,
        protected: bool = False,
    ) -> VersionTagOutcome:
        """Set a new tag. It is never moved: the same tag on the same version is unchanged, elsewhere it is refused.

        Raises:
            InvalidNameError: the name is not allowed.
            TagExistsError: it is taken.
            What finding the asked version raises.
        """
        check_ref_name("tag", tag)
        arguments: dict[str, JsonValue] = {"tag": tag, "number": _asked(at), "protected": protected}
        request = FactRequest(kind=ChangeKind.TAG_CREATED, subject=subject, arguments=arguments)
        with span("tag.create", subject=str(subject)):
            number = await self._find(at, request, command)
            async with self._facts.transaction() as connection:
                tags = await lock_tags(connection, subject)
                if (done := await find_repeated(connection, request, command)) is not None:
                    return _repeated(done, tags, subject, tag)
                known = tags.get(tag)
                if known is not None and known.number != number:
                    raise TagExistsError(str(subject), tag, known.number, "version", owner_field=subject.owner_field)
                if known is None:
                    known = await put_tag(
                        connection,
                        subject,
                        tag,
                        number,
                        is_protected=protected,
                        by=command.actor,
                        reason=command.reason,
                    )
                    state = ChangeState.DONE
                elif protected and not known.is_protection_requested:
                    await protect_tag(connection, subject, tag)
                    known = replace(known, is_protection_requested=True)
                    state = ChangeState.DONE
                else:
                    state = ChangeState.UNCHANGED
                details: dict[str, JsonValue] = {"tag": tag, "number": number, "protected": protected}
                change_id = await _record(connection, request, command, details, state)
        warnings = warnings_for(tag)
        if state is ChangeState.UNCHANGED:
            warnings.append(f"The tag {tag!r} was there already, on this version; nothing was changed.")
        return VersionTagOutcome(
            tag=known,
            warnings=tuple(warnings),
            is_unchanged=state is ChangeState.UNCHANGED,
            change_id=change_id,
        )

    async def move(
        self,
        subject: RegistrySubject,
        tag: str,
        to: int | AskedVersion,
        command: Command,
        *,
        expected: int | None = None,
        force: bool = False,
    ) -> VersionTagOutcome:
        """Point an existing tag to another version. A protection that was asked for it goes along.

        Raises:
            TagNotFoundError: no such tag.
            HeadMovedError: it is not at the `expected` version.
            ProtectedTagError: it is protected and `force` is not given.
            What finding the asked version raises.
        """
        arguments: dict[str, JsonValue] = {"tag": tag, "number": _asked(to), "expected": expected, "force": force}
        request = FactRequest(kind=ChangeKind.TAG_MOVED, subject=subject, arguments=arguments)
        with span("tag.move", subject=str(subject)):
            number = await self._find(to, request, command)
            async with self._facts.transaction() as connection:
                tags = await lock_tags(connection, subject)
                if (done := await find_repeated(connection, request, command)) is not None:
                    return _repeated(done, tags, subject, tag)
                known = _get(tags, subject, tag, expected)
                is_unchanged = known.number == number
                if not is_unchanged:
                    _check_unprotected(known, force=force)
                    moved = await put_tag(
                        connection,
                        subject,
                        tag,
                        number,
                        is_protected=known.is_protection_requested,
                        by=command.actor,
                        reason=command.reason,
                    )
                else:
                    moved = known
                details: dict[str, JsonValue] = {"tag": tag, "number": number, "from": known.number, "forced": force}
                state = ChangeState.UNCHANGED if is_unchanged else ChangeState.DONE
                change_id = await _record(connection, request, command, details, state)
        return VersionTagOutcome(
            tag=moved, warnings=tuple(warnings_for(tag)), is_unchanged=is_unchanged, change_id=change_id
        )

    async def delete(
        self,
        subject: RegistrySubject,
        tag: str,
        command: Command,
        *,
        expected: int | None = None,
        force: bool = False,
    ) -> VersionTagRemoval:
        """Remove a tag. Raises as `move`."""
        arguments: dict[str, JsonValue] = {"tag": tag, "expected": expected, "force": force}
        request = FactRequest(kind=ChangeKind.TAG_DELETED, subject=subject, arguments=arguments)
        with span("tag.delete", subject=str(subject)):
            async with self._facts.transaction() as connection:
                tags = await lock_tags(connection, subject)
                if (done := await find_repeated(connection, request, command)) is not None:
                    number = int(str(done.change.details["number"]))
                    return VersionTagRemoval(subject=subject, name=tag, number=number, change_id=done.change.change_id)
                known = _get(tags, subject, tag, expected)
                _check_unprotected(known, force=force)
                await remove_tag(connection, subject, tag)
                details: dict[str, JsonValue] = {"tag": tag, "number": known.number, "forced": force}
                change_id = await _record(connection, request, command, details, ChangeState.DONE)
        return VersionTagRemoval(subject=subject, name=tag, number=known.number, change_id=change_id)

    async def _find(self, version: int | AskedVersion, request: FactRequest, command: Command) -> int:
        """The number of a version; 0, which none has, where the request is a repetition that needs it no more."""
        if isinstance(version, int):
            return version
        if command.idempotency_key is not None:
            async with self._facts.transaction() as connection:
                if await find_repeated(connection, request, command) is not None:
                    return 0
        # In no transaction: it takes a connection of its own.
        return await version.find()


def _asked(version: int | AskedVersion) -> JsonValue:
    return version if isinstance(version, int) else version.text


async def _record(
    connection: Transaction,
    request: FactRequest,
    command: Command,
    details: dict[str, JsonValue],
    state: ChangeState,
) -> UUID | None:
    """Write the record; of what changed nothing only where its idempotency key has to answer the same again."""
    if state is ChangeState.UNCHANGED and command.idempotency_key is None:
        return None
    fact = request.fact(command, details)
    with key_of_its_own(command):
        await insert_fact(connection, fact, state, by=worker_name())
    return None if state is ChangeState.UNCHANGED else fact.change_id


def _repeated(
    done: StoredFact, tags: Mapping[str, VersionTag], subject: RegistrySubject, tag: str
) -> VersionTagOutcome:
    change = done.change
    is_unchanged = change.state is ChangeState.UNCHANGED
    number = int(str(change.details["number"]))
    known = tags.get(tag)
    if known is None or known.number != number:
        # Moved or removed since: what the first request did is answered, as it was.
        known = VersionTag(
            subject=subject,
            name=tag,
            number=number,
            is_protection_requested=bool(change.details.get("protected")),
            set_by=change.actor,
            reason=change.reason,
            set_at=change.at,
        )
    return VersionTagOutcome(
        tag=known,
        warnings=tuple(warnings_for(tag)),
        is_unchanged=is_unchanged,
        change_id=None if is_unchanged else change.change_id,
    )


def _get(tags: Mapping[str, VersionTag], subject: RegistrySubject, tag: str, expected: int | None) -> VersionTag:
    known = tags.get(tag)
    if known is None:
        raise TagNotFoundError(str(subject), tag[:120], closest(tag, list(tags)), owner_field=subject.owner_field)
    if expected is not None and known.number != expected:
        raise HeadMovedError(str(subject), tag, expected, known.number, owner_field=subject.owner_field)
    return known


def _check_unprotected(tag: VersionTag, *, force: bool) -> None:
    why = find_protection(tag.name, is_requested=tag.is_protection_requested)
    if why and not force:
        raise ProtectedTagError(str(tag.subject), tag.name, why, owner_field=tag.subject.owner_field)
