"""Retention of the tables of a catalog."""

from __future__ import annotations

from collections.abc import Sequence

from app.bootstrap import Services
from app.client.arguments import list_chosen
from app.client.opening import Opening
from app.domain.argument_checks import check_bool
from app.domain.names import DatasetName
from app.domain.retention.policy import RetentionPolicy
from app.errors import InvalidArgumentError
from app.services.retention_entries import SummaryEntry, summary_entry


class Retaining(Opening):
    """Expires snapshots."""

    def clean_up(
        self,
        namespaces: Sequence[str] | None = None,
        table: tuple[str, str] | None = None,
        *,
        policy: RetentionPolicy | None = None,
        dry_run: bool = True,
        reason: str | None = None,
    ) -> SummaryEntry:
        """Expire the snapshots that the policy leaves nothing to keep: of one table, of namespaces, or of all tables.

        `table` is a namespace and a name. What fails at one table is told with it, and the others are done.

        Raises:
            InvalidArgumentError: an argument of another type; None is no dry run.
            NamespaceNotFoundError, DatasetNotFoundError: there is none of that name.
            BackendUnavailableError, UnreadableTableError: no table can be looked at.
        """
        check_bool("dry_run", dry_run)
        if policy is not None and not isinstance(policy, RetentionPolicy):
            raise InvalidArgumentError("policy", f"a RetentionPolicy is needed, not {type(policy).__name__}")
        command = self._command(reason)
        chosen = list_chosen(namespaces, table)

        async def work(services: Services) -> SummaryEntry:
            found: list[DatasetName] = []
            for each in chosen:
                found += await services.retention_sweeps.names(each)
            sweep = services.retention_sweeps.sweep(
                list(dict.fromkeys(found)),
                policy or services.retention_planning.default_policy(),
                command,
                lambda *_: None,
                is_dry_run=dry_run,
            )
            return summary_entry([entry async for entry in sweep])

        return self._call(work)
