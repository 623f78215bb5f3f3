"""A client of the schema, below HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.bootstrap import Services
from app.domain.changes import Actor
from app.graphql.context import GraphContext
from app.graphql.schema import Schema


@dataclass(frozen=True)
class Answer:
    """One operation's answer, as a client reads it."""

    data: Any
    errors: list[dict[str, Any]]

    @property
    def codes(self) -> list[str]:
        return [error["extensions"]["code"] for error in self.errors]


class Api:
    """Runs operations as one actor."""

    def __init__(self, schema: Schema, services: Services) -> None:
        self.schema = schema
        self.services = services

    async def run(self, query: str, *, actor: str = "ada", **variables: Any) -> Answer:
        context = GraphContext(
            datasets=self.services.datasets,
            comparing=self.services.comparing,
            row_diffs=self.services.row_diffs,
            row_diff_operations=self.services.row_diff_operations,
            versioning=self.services.versioning,
            lineage=self.services.lineage,
            impacts=self.services.impacts,
            models=self.services.models,
            registration=self.services.registration,
            pipelines=self.services.pipelines,
            runs=self.services.runs,
            promoting=self.services.promoting,
            operations=self.services.operations,
            version_tags=self.services.version_tags,
            version_tagging=self.services.version_tagging,
            retention_planning=self.services.retention_planning,
            retention_operations=self.services.retention_operations,
            orphan_operations=self.services.orphan_operations,
            compaction_planning=self.services.compaction_planning,
            compaction_operations=self.services.compaction_operations,
            past_expiries=self.services.past_expiries,
            holding=self.services.holding,
            actor=Actor(subject=actor),
        )
        result = await self.schema.execute(query, variable_values=variables, context_value=context)
        return Answer(data=result.data, errors=[dict(error.formatted) for error in result.errors or ()])

    async def data(self, query: str, **variables: Any) -> Any:
        answer = await self.run(query, **variables)
        assert not answer.errors, answer.errors
        return answer.data

    async def refused(self, query: str, **variables: Any) -> dict[str, Any]:
        """The one user error of a mutation that does nothing."""
        data = await self.data(query, **variables)
        (payload,) = data.values()
        (error,) = payload["userErrors"]
        return error
