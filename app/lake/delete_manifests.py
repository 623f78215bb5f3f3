"""Manifests of delete files, which pyiceberg 0.12 reads but does not write."""

from __future__ import annotations

from pyiceberg.manifest import ManifestContent, ManifestWriterV2


class DeleteManifestWriter(ManifestWriterV2):
    """pyiceberg's writer of v2 manifests marks them all as data; this one marks them as deletes."""

    def content(self) -> ManifestContent:
        """What is in it."""
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}
