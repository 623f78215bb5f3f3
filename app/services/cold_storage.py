"""Moving the artifacts of archived models: copied before the archiving is recorded, removed after it."""

from __future__ import annotations

import logging
from urllib.parse import quote

from app.artifacts.store import ArtifactStore
from app.domain.artifacts import CopyProof
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
        return await self._artifacts.copy(version.artifact_uri, folder_uri, _key(version))

    async def remove(self, left: LeftArtifact) -> None:
        """Remove an artifact from where it was. What hinders that is kept beside the version, or tried again later."""
        try:
            await self._artifacts.remove(left.proof.source_uri, left.proof)
        except Unavailable as error:
            logger.warning("%s of %s v%d is removed later: %s", left.proof.source_uri, left.model, left.number, error)
        except AppError as error:
            # It was written to, or is no longer ours to remove: it stays, and its version says why.
            logger.warning("%s of %s v%d stays: %s", left.proof.source_uri, left.model, left.number, error.message)
            await self._store.artifact_is_removed(left, failure=f"{error.code}: {error.message}")
        else:
            await self._store.artifact_is_removed(left)

    async def settle(self) -> None:
        """Remove what others have left. For any process, any time. Raises BackendUnavailableError."""
        for left in await self._store.left_artifacts():
            await self.remove(left)


def _key(version: ModelVersion) -> str:
    name = (version.artifact_uri or "").rstrip("/").rpartition("/")[2]
    return f"{_step(version.model)}/v{version.number}/{_step(name)}"


def _step(name: str) -> str:
    """A step of a path that no other name has."""
    quoted = quote(name, safe=" ")
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E") or "artifact"
