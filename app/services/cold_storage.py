"""Moving the artifacts of archived models: copied before the archiving is recorded, removed after it."""

from __future__ import annotations

import logging
from urllib.parse import quote

from app.artifacts.store import ArtifactStore
from app.domain.artifacts import CopyProof, parse_location
from app.domain.models import ModelVersion
from app.errors import AppError, InvalidArgumentError, Unavailable
from app.registry.models import LeftArtifact, ModelStore

logger = logging.getLogger(__name__)


class ColdStorage:
    """Where artifacts are moved to, and what is left of them where they were."""

    def __init__(self, artifacts: ArtifactStore, store: ModelStore) -> None:
        self._artifacts = artifacts
        self._store = store

    async def copy(self, version: ModelVersion, folder_uri: str) -> CopyProof:
        """Copy the artifact of a version to `<model>/v<number>/<its own name>` below the folder.

        Raises:
            InvalidArgumentError: the version has none.
            As `ArtifactStore.copy`.
        """
        if version.artifact_uri is None:
            raise InvalidArgumentError("coldStorageUri", f"{version.model} {version.label} has no artifact to be moved")
        if (user := await self._find_user(version.artifact_uri, version.model, version.number)) is not None:
            raise InvalidArgumentError(
                "coldStorageUri", f"{user} is in use, and needs {version.artifact_uri}; archive it without moving it"
            )
        return await self._artifacts.copy(version.artifact_uri, folder_uri, _key(version))

    async def remove(self, left: LeftArtifact) -> None:
        """Remove an artifact from where it was. What hinders that is kept beside the version, or tried again later."""
        try:
            if (user := await self._find_user(left.proof.source_uri, left.model, left.number)) is not None:
                # Registered since it was looked for.
                await self._store.artifact_is_removed(left, failure=f"{user} is in use, and needs it")
                return
            await self._artifacts.remove(left.proof.source_uri, left.proof)
        except Unavailable as error:
            logger.warning("%s of %s v%d is removed later: %s", left.proof.source_uri, left.model, left.number, error)
        except AppError as error:
            # It was written to, or is no longer ours to remove: it stays, and why is kept beside its version.
            logger.warning("%s of %s v%d stays: %s", left.proof.source_uri, left.model, left.number, error.message)
            await self._store.artifact_is_removed(left, failure=f"{error.code}: {error.message}")
        else:
            await self._store.artifact_is_removed(left)

    async def settle(self) -> None:
        """Remove what others have left. For any process, any time. Raises BackendUnavailableError."""
        for left in await self._store.left_artifacts():
            await self.remove(left)

    async def _find_user(self, uri: str, model: str, number: int) -> str | None:
        """Another version in use whose artifact is this one, in it or around it."""
        place = parse_location(uri, "artifactUri")
        for other_model, other_number, other_uri in await self._store.live_artifacts():
            if (other_model, other_number) == (model, number):
                continue
            try:
                other = parse_location(other_uri, "artifactUri")
            except InvalidArgumentError:
                # What is no place cannot be this one.
                continue
            if other.is_within(place) or place.is_within(other):
                return f"{other_model} v{other_number}"
        return None


def _key(version: ModelVersion) -> str:
    name = (version.artifact_uri or "").rstrip("/").rpartition("/")[2]
    return f"{_step(version.model)}/v{version.number}/{_step(name)}"


def _step(name: str) -> str:
    """A step of a path that no other name has."""
    quoted = quote(name, safe=" ")
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E") or "artifact"
