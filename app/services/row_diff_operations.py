"""Row diffs that are too large to wait for, as operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast
from uuid import UUID

from app.domain.changes import Command
from app.domain.names import DatasetName
from app.domain.operations import Operation, OperationKind
from app.domain.row_diffs import RowDiffRequest
from app.errors import DatasetNotFoundError, JsonValue
from app.lake.row_diff.planning import TableVersion
from app.services.comparing import ComparedVersion, ComparedVersions
from app.services.datasets import Datasets
from app.services.operation_handlers import Progress
from app.services.operations import Operations
from app.services.row_diff_entries import row_diff_entry
from app.services.row_diffs import RowDiffs


class RowDiffOperations:
    """Starts row diffs as operations, and does them in the worker."""

    def __init__(self, operations: Operations, datasets: Datasets, row_diffs: RowDiffs) -> None:
        self._operations = operations
        self._datasets = datasets
        self._row_diffs = row_diffs

    async def start(
        self,
        compared: ComparedVersions,
        request: RowDiffRequest,
        command: Command,
        *,
        from_version: str,
        to_version: str | None,
    ) -> Operation:
        """Let a worker compare the rows of two versions; answers at once. The versions are those resolved now.

        `from_version` and `to_version` are what they were asked for as, for the answer.

        Raises:
            As `RowDiffs.check`, and as `Operations.start`.
        """
        await self._row_diffs.check(compared, request)
        document: dict[str, JsonValue] = {
            "from": _to_json(compared.before),
            "to": _to_json(compared.after),
            "from_version": from_version,
            "to_version": to_version,
            "keys": None if request.keys is None else list(request.keys),
            "sample_size": request.sample_size,
        }
        return await self._operations.start(OperationKind.ROW_DIFF, document, command)

    async def run(self, request: Mapping[str, JsonValue], progress: Progress) -> JsonValue:
        """Compare; a stage of `OperationHandler`. The result has the shape of the REST answer.

        Raises:
            DatasetNotFoundError: a table was dropped meanwhile.
            As `RowDiffs.compare_at_any_cost`.
        """
        progress.report(0.0, "looking at the files that differ")
        before, after = [await self._version(cast("dict[str, str | int]", request[side])) for side in ("from", "to")]
        keys = cast("list[str] | None", request["keys"])
        asked = RowDiffRequest(
            keys=None if keys is None else tuple(keys), sample_size=cast("int", request["sample_size"])
        )

        def report(fraction: float) -> None:
            progress.report(fraction, "comparing rows")

        answer = await self._row_diffs.compare_at_any_cost(before, after, asked, report)
        progress.report(1.0, "found")
        entry = row_diff_entry(cast("str", request["from_version"]), cast("str | None", request["to_version"]), answer)
        return cast("JsonValue", entry)

    async def _version(self, side: dict[str, str | int]) -> TableVersion:
        name = DatasetName.parse(str(side["dataset"]))
        table = await self._datasets.find_table(UUID(str(side["table_uuid"])), name)
        if table is None:
            raise DatasetNotFoundError(str(name), [])
        return TableVersion(table=table, snapshot_id=int(side["snapshot_id"]), schema_id=int(side["schema_id"]))


def _to_json(version: ComparedVersion) -> JsonValue:
    state = version.table.state
    return {
        "dataset": str(state.name),
        "table_uuid": str(state.table_uuid),
        # As a text: JSON's numbers are rounded by some.
        "snapshot_id": str(version.snapshot_id),
        "schema_id": state.schema_of(version.version).schema_id,
    }
