"""Checks ahead of a deploy, on two versions as they were asked for.

What cannot be told is no pass: it raises what the comparison raises.
"""

from __future__ import annotations

from app.domain.checks.models import check_model
from app.domain.checks.results import CheckKind, CheckResult, CheckSubject
from app.domain.checks.rows import RowRules, check_rows
from app.domain.checks.schemas import SchemaRules, check_schema
from app.domain.metrics_diff import Thresholds
from app.domain.names import DatasetName
from app.domain.row_diffs import RowDiffRequest
from app.domain.versions import LATEST
from app.services.comparing import ComparedVersions, Comparing
from app.services.comparing_models import ComparingModels
from app.services.row_diffs import RowDiffs, table_versions


class Checking:
    """Whether a later version may take the place of an earlier one."""

    def __init__(self, comparing: Comparing, row_diffs: RowDiffs, comparing_models: ComparingModels) -> None:
        self._comparing = comparing
        self._row_diffs = row_diffs
        self._comparing_models = comparing_models

    async def schema(
        self,
        dataset: DatasetName,
        from_version: str,
        to_version: str | None,
        rules: SchemaRules,
        *,
        to_dataset: DatasetName | None = None,
    ) -> CheckResult:
        """Check the schema; costs as `Comparing.versions`.

        Raises:
            UnknownColumnError: a column is allowed that neither version has.
            As `Comparing.versions`.
        """
        compared = await self._comparing.versions(dataset, from_version, to_version, to_dataset=to_dataset)
        subject = _subject(CheckKind.SCHEMA, compared, from_version, to_version)
        return check_schema(self._comparing.schema(compared), subject, rules)

    async def rows(
        self,
        dataset: DatasetName,
        from_version: str,
        to_version: str | None,
        rules: RowRules,
        *,
        keys: tuple[str, ...] | None = None,
        any_size: bool = False,
        to_dataset: DatasetName | None = None,
    ) -> CheckResult:
        """Check how many rows went; costs as `RowDiffs.compare`.

        Raises:
            DiffTooLargeError: it would read more than `diff_sync_budget_bytes`, and not `any_size`.
            As `Comparing.versions` and `RowDiffs.compare`.
        """
        # Nobody looks at single rows, so that none are read to be shown.
        asked = RowDiffRequest(keys=keys, sample_size=0)
        compared = await self._comparing.versions(dataset, from_version, to_version, to_dataset=to_dataset)
        if any_size:
            answer = await self._row_diffs.compare_at_any_cost(*table_versions(compared), asked, lambda _: None)
        else:
            answer = await self._row_diffs.compare(compared, asked)
        return check_rows(answer.diff, _subject(CheckKind.ROWS, compared, from_version, to_version), rules)

    async def model(
        self,
        name: str,
        from_version: str,
        to_version: str | None,
        thresholds: Thresholds | None = None,
        *,
        allow_missing: bool = False,
    ) -> CheckResult:
        """Check the metrics of a model. Costs and raises as `ComparingModels.compare`."""
        found = await self._comparing_models.compare(name, from_version, to_version, thresholds)
        return check_model(found.diff, allow_missing=allow_missing)


def _subject(kind: CheckKind, compared: ComparedVersions, from_version: str, to_version: str | None) -> CheckSubject:
    before, after = (side.table.state.name for side in (compared.before, compared.after))
    to = to_version or LATEST
    return CheckSubject(
        kind=kind, name=str(before), before=from_version, after=to if after == before else f"{after}@{to}"
    )
