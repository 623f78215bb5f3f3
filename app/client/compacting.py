"""Compaction of the tables of a catalog."""

from __future__ import annotations

from collections.abc import Sequence

from app.bootstrap import Services
from app.client.arguments import dataset, list_chosen, optional_text
from app.client.opening import Opening
from app.domain.argument_checks import check_bool
from app.domain.compaction.policy import CompactionPolicy
from app.errors import InvalidArgumentError
from app.services.argument_names import arguments_named, snake_case
from app.services.compaction.entries import PlanEntry, SummaryEntry, plan_entry, summary_entry
from app.services.compaction.sweeps import Limits


class Compacting(Opening):
    """Brings small files together."""

    def plan_compaction(self, namespace: str, table_name: str, *, policy: CompactionPolicy | None = None) -> PlanEntry:
        """What compaction would do to a table, and why; nothing is changed. Costs reading manifests.

        Raises:
            InvalidArgumentError: an argument of another type.
            DatasetNotFoundError, UnsupportedTableError, MissingFileError, UnreadableTableError,
            BackendUnavailableError: there is no plan for it.
        """
        name, known = dataset(namespace, table_name), _checked(policy)

        async def work(services: Services) -> PlanEntry:
            planned = await services.compaction_planning.plan(
                name, known or services.compaction_planning.default_policy()
            )
            return plan_entry(planned.plan)

        return self._call(work)

    def compact(
        self,
        namespaces: Sequence[str] | None = None,
        table: tuple[str, str] | None = None,
        *,
        policy: CompactionPolicy | None = None,
        dry_run: bool = True,
        budget: str | None = None,
        skip_active: str | None = None,
        due_only: bool = False,
        reason: str | None = None,
    ) -> SummaryEntry:
        """Bring small files together: of one table, of tables of namespaces, or of all; those that gain most first.

        `table` is a namespace and a name. `budget` is how much is done at most: `10GB` to rewrite, or `30m` from the
        call on, after which none but the best table is begun. `skip_active` leaves out tables that were written to so
        lately (`15m`), and `due_only` those whose turn has not come by their layer; with it `skip_active` is 15m unless
        given. What fails at one table is told with it, and the others are done; so is a namespace that the catalog
        forbids to look into, where all tables are meant.

        Raises:
            InvalidArgumentError: an argument of another type or form; None is no dry run.
            NamespaceNotFoundError, DatasetNotFoundError: there is none of that name.
            NamespaceForbiddenError, DatasetForbiddenError: the catalog forbids what was named.
            BackendUnavailableError: no table can be looked at.
        """
        check_bool("dry_run", dry_run)
        check_bool("due_only", due_only)
        known = _checked(policy)
        with arguments_named(snake_case):
            limits = Limits.parse(
                budget=optional_text("budget", budget),
                skip_active=optional_text("skip_active", skip_active),
                is_due_only=due_only,
            )
        command = self._command(reason)
        chosen = list_chosen(namespaces, table)

        async def work(services: Services) -> SummaryEntry:
            listings = [await services.retention_sweeps.visible(each) for each in chosen]
            sweep = services.compaction_sweeps.sweep(
                list(dict.fromkeys(name for each in listings for name in each.names)),
                known or services.compaction_planning.default_policy(),
                limits,
                command,
                lambda *_: None,
                is_dry_run=dry_run,
                hidden=[error for each in listings for error in each.hidden],
            )
            return summary_entry([entry async for entry in sweep])

        return self._call(work)


def _checked(policy: object) -> CompactionPolicy | None:
    if policy is not None and not isinstance(policy, CompactionPolicy):
        raise InvalidArgumentError("policy", f"a CompactionPolicy is needed, not {type(policy).__name__}")
    return policy
