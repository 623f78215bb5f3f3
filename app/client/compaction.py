"""Compaction under the names that scripts know it by."""

from __future__ import annotations

from collections.abc import Sequence

from app.client.catalog import IcebergCatalog
from app.domain.compaction.policy import CompactionPolicy
from app.services.compaction.entries import PlanEntry, SummaryEntry, TableEntry


class IcebergCompactionManager:
    """Brings small files of a catalog's tables together, by one policy.

    MB are 1,048,576 bytes. What fails at one table is told with it, under `error`, and the others are done; `skipped`
    says why nothing was done to one. Snapshot ids are texts, because some readers of JSON round large numbers.
    """

    def __init__(self, catalog: IcebergCatalog | None = None, policy: CompactionPolicy | None = None) -> None:
        """Works on this catalog, the one of the settings unless given, by this policy, the default one unless given."""
        self._catalog = IcebergCatalog() if catalog is None else catalog
        self._policy = policy

    def analyze_table(self, namespace: str, table: str) -> PlanEntry:
        """Whether a table needs compaction, why, and how many files it would have; nothing is changed.

        Raises: as `IcebergCatalog.plan_compaction`.
        """
        return self._catalog.plan_compaction(namespace, table, policy=self._policy)

    def compact_table(
        self, namespace: str, table: str, dry_run: bool = True, *, reason: str | None = None
    ) -> TableEntry:
        """One table: its files before and after, what was made of them, and by which snapshot.

        In a dry run there are `planned_bins` instead of `bins`. Raises as `IcebergCatalog.compact`.
        """
        done = self._catalog.compact(table=(namespace, table), policy=self._policy, dry_run=dry_run, reason=reason)
        return done["tables"][0]

    def compact_all_tables(
        self,
        namespaces: Sequence[str] | None = None,
        dry_run: bool = True,
        budget: str | None = None,
        *,
        skip_active: str | None = None,
        due_only: bool = False,
        reason: str | None = None,
    ) -> SummaryEntry:
        """All tables of these namespaces, or of the catalog: `tables` as `compact_table` answers them, and sums.

        Raises: as `IcebergCatalog.compact`.
        """
        return self._catalog.compact(
            namespaces,
            policy=self._policy,
            dry_run=dry_run,
            budget=budget,
            skip_active=skip_active,
            due_only=due_only,
            reason=reason,
        )
