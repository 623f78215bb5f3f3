"""Models, their versions and cards, for synchronous callers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from app.bootstrap import Services
from app.client.arguments import text, whole_number
from app.client.registry_arguments import Measure, Use, metrics_of, optional_text, uses_of, uuid_of, version_of
from app.client.version_tags import VersionTagResult, VersionTags
from app.domain.changes import ModelSubject
from app.domain.models import NewModelVersion
from app.domain.roles import InputRole
from app.errors import InvalidArgumentError
from app.services.model_cards import ModelCard
from app.services.model_registration import TrainingInput
from app.services.registry_entries import ModelEntry, ModelVersionEntry
from app.services.whole_lists import all_entries


class ModelVersionResult(ModelVersionEntry):
    """A version that was registered; `warnings` say what it lacks."""

    warnings: list[str]


class Models(VersionTags):
    """Models by name. A version is a number, a tag, `latest`, `latest~1` or a date; the latest unless given.

    Every method raises InvalidArgumentError for an argument of the wrong type, by its name, and
    BackendUnavailableError.
    """

    def list_models(self, prefix: str = "") -> list[ModelEntry]:
        """All models whose names begin so, by name."""
        name_prefix = text("prefix", prefix)

        return self._call(
            lambda services: all_entries(lambda request: services.entries.list_models(name_prefix, request))
        )

    def list_model_versions(self, name: str) -> list[ModelVersionEntry]:
        """All versions of a model, newest first. Raises ModelNotFoundError with the closest names."""
        model = text("name", name)

        return self._call(
            lambda services: all_entries(lambda request: services.entries.list_model_versions(model, request))
        )

    def get_model_version(self, name: str, version: int | str | None = None) -> ModelVersionEntry:
        """One version of a model.

        Raises:
            ModelNotFoundError, VersionNotFoundError, TagNotFoundError, InvalidReferenceError
        """
        model, at = text("name", name), version_of(version)
        return self._call(lambda services: services.entries.model_version(model, at))

    def get_model_card(self, name: str, version: int | str | None = None) -> ModelCard:
        """The card of a version: what it is, how good, and the very data it was trained on.

        `training_dataset` (`namespace.table`) and `training_dataset_version` lead `time_travel` to the very rows; both
        are None where the version does not say. Raises as `get_model_version`.
        """
        model, at = text("name", name), version_of(version)
        return self._call(lambda services: services.model_cards.get(model, at))

    def register_model_version(
        self,
        name: str,
        *,
        metrics: Mapping[str, float | Measure] | None = None,
        training_data: Sequence[str | Use] = (),
        parameters: Mapping[str, Any] | None = None,
        framework: str | None = None,
        artifact_uri: str | None = None,
        description: str | None = None,
        run_id: UUID | str | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> ModelVersionResult:
        """Register the next version of a model; the snapshots it was trained on are kept for as long as it is in use.

        `metrics` are numbers by name, or dicts of `value` and `higher_is_better`. `training_data` are texts such as
        `silver.sales@main~1`, or dicts of `dataset`, `at` and `role` (TRAINING unless given). `parameters` are JSON.

        Raises:
            InvalidNameError, InvalidArgumentError: what is wrong with it.
            DatasetNotFoundError, VersionNotFoundError, SnapshotExpiredError, InvalidReferenceError: no such data.
            IdempotencyKeyReusedError, LockTimeoutError, RegistrationGivenUpError
        """
        if parameters is not None and not isinstance(parameters, Mapping):
            raise InvalidArgumentError("parameters", f"a dict is needed, not {type(parameters).__name__}")
        new = NewModelVersion(
            model=text("name", name),
            description=optional_text("description", description),
            framework=optional_text("framework", framework),
            artifact_uri=optional_text("artifact_uri", artifact_uri),
            parameters=dict(parameters or {}),
            metrics=metrics_of({} if metrics is None else metrics),
            run_id=None if run_id is None else uuid_of("run_id", run_id),
        )
        training = [
            TrainingInput(dataset=dataset, at=at, role=role)
            for dataset, at, role in uses_of("training_data", training_data, InputRole.TRAINING)
        ]
        command = self._command(reason, idempotency_key)

        async def run(services: Services) -> ModelVersionResult:
            done = await services.registration.register(new, training, command)
            entry = await services.entries.of_model_version(done.version)
            return ModelVersionResult(**entry, warnings=list(done.warnings))

        return self._call(run)

    def archive_model_version(
        self,
        name: str,
        number: int,
        *,
        cold_storage_uri: str | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> ModelVersionEntry:
        """Take a version out of use: its data is no longer kept for it. Its record stays; once more is fine.

        Raises:
            ModelNotFoundError, VersionNotFoundError, LockTimeoutError
        """
        model, which = text("name", name), whole_number("number", number)
        uri, command = optional_text("cold_storage_uri", cold_storage_uri), self._command(reason, idempotency_key)

        async def run(services: Services) -> ModelVersionEntry:
            done = await services.registration.archive(model, which, command, cold_storage_uri=uri)
            return await services.entries.of_model_version(done.version)

        return self._call(run)

    def tag_model_version(
        self,
        name: str,
        tag: str,
        version: int | str | None = None,
        *,
        move: bool = False,
        expected: int | None = None,
        force: bool = False,
        protected: bool = False,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> VersionTagResult:
        """Set a new tag on a version; with `move`, point one that exists to it.

        Raises:
            TagExistsError: the tag is on another version; it is never moved silently.
            HeadMovedError: with `move`, the tag is not on the version that is `expected`.
            ProtectedTagError: with `move`, it is protected, and `force` is not given.
            InvalidNameError, TagNotFoundError, ModelNotFoundError, VersionNotFoundError
        """
        return self._put_version_tag(
            ModelSubject(name=text("name", name)),
            tag,
            version,
            move=move,
            expected=expected,
            force=force,
            protected=protected,
            reason=reason,
            idempotency_key=idempotency_key,
        )

    def untag_model_version(
        self,
        name: str,
        tag: str,
        *,
        expected: int | None = None,
        force: bool = False,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> int:
        """Remove a tag; answers the number of the version it was on.

        Raises:
            ModelNotFoundError, TagNotFoundError, HeadMovedError, ProtectedTagError
        """
        subject = ModelSubject(name=text("name", name))
        return self._remove_version_tag(
            subject, tag, expected=expected, force=force, reason=reason, idempotency_key=idempotency_key
        )
