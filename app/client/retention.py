"""Retention under the names that scripts know it by."""

from __future__ import annotations

from collections.abc import Sequence

from app.client.catalog import IcebergCatalog
from app.domain.retention.policy import RetentionPolicy
from app.services.retention_entries import SummaryEntry, TableEntry


class IcebergRetentionManager:
    """Expires snapshots of a catalog's tables by one policy.

    Bytes are measured, also in a dry run. What fails at one table is told with it, under `error`, and the others are
    done. Snapshot ids are texts, because some readers of JSON round large numbers.
    """

    def __init__(self, catalog: IcebergCatalog | None = None, policy: RetentionPolicy | None = None) -> None:
        """Works on this catalog, the one of the settings unless given, by this policy, the default one unless given."""
        self._catalog = IcebergCatalog() if catalog is None else catalog
        self._policy = policy

    def cleanup_all_tables(
        self, namespaces: Sequence[str] | None = None, dry_run: bool = True, *, reason: str | None = None
    ) -> SummaryEntry:
        """All tables of these namespaces, or of the catalog: `tables` as `cleanup_table` answers them, and sums.

        Raises: as `IcebergCatalog.clean_up`.
        """
        return self._catalog.clean_up(namespaces, policy=self._policy, dry_run=dry_run, reason=reason)

    def cleanup_table(
        self, namespace: str, table: str, dry_run: bool = True, *, reason: str | None = None
    ) -> TableEntry:
        """One table: what is kept and why, what is expired, and the bytes. Raises as `IcebergCatalog.clean_up`."""
        done = self._catalog.clean_up(table=(namespace, table), policy=self._policy, dry_run=dry_run, reason=reason)
        return done["tables"][0]
