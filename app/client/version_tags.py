"""Tags on versions of models and pipelines, for synchronous callers."""

from __future__ import annotations

from app.bootstrap import Services
from app.client.arguments import text
from app.client.opening import Opening
from app.client.registry_arguments import flag, optional_number, reference_of
from app.domain.changes import RegistrySubject
from app.services.registry_entries import VersionTagEntry, version_tag_entry


class VersionTagResult(VersionTagEntry):
    """A tag as it is now; `warnings` say what is doubtful about its name."""

    warnings: list[str]


class VersionTags(Opening):
    """Setting, moving and removing tags."""

    def _put_version_tag(
        self,
        subject: RegistrySubject,
        tag: str,
        version: int | str | None,
        *,
        move: bool,
        expected: int | None,
        force: bool,
        protected: bool,
        reason: str | None,
        idempotency_key: str | None,
    ) -> VersionTagResult:
        at = reference_of(version)
        command = self._command(reason, idempotency_key)
        name, expected = text("tag", tag), optional_number("expected", expected)
        move, force, protected = flag("move", move), flag("force", force), flag("protected", protected)

        async def run(services: Services) -> VersionTagResult:
            done = await services.tagging.put(
                subject, name, at, command, move=move, expected=expected, force=force, protected=protected
            )
            return VersionTagResult(**version_tag_entry(done.tag), warnings=list(done.warnings))

        return self._call(run)

    def _remove_version_tag(
        self,
        subject: RegistrySubject,
        tag: str,
        *,
        expected: int | None,
        force: bool,
        reason: str | None,
        idempotency_key: str | None,
    ) -> int:
        command = self._command(reason, idempotency_key)
        name, expected, force = text("tag", tag), optional_number("expected", expected), flag("force", force)

        async def run(services: Services) -> int:
            done = await services.tagging.remove(subject, name, command, expected=expected, force=force)
            return done.number

        return self._call(run)
