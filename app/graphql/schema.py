"""The schema, and how an operation runs on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from graphql import GraphQLError, OperationDefinitionNode
from opentelemetry import trace
from strawberry import federation
from strawberry.extensions import ParserCache, SchemaExtension, ValidationCache
from strawberry.federation.schema import FederationAny
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig
from strawberry.types.execution import ExecutionContext, ExecutionResult
from strawberry.types.graphql import OperationType

from app.errors import InvalidArgumentError
from app.graphql.context import GraphContext, Info
from app.graphql.entities import get_entity
from app.graphql.errors import present_errors
from app.graphql.limits import limit_extensions
from app.graphql.mutations.mutation import Mutation
from app.graphql.queries.query import Query
from app.graphql.scalars import SCALARS
from app.graphql.types.user_errors import USER_ERROR_TYPES
from app.settings import Settings
from app.telemetry.tracing import span

FEDERATION_VERSION: Final = "2.9"
MAX_NAME_IN_SPAN_CHARS = 100
# Ten full pages of a gateway; each may cost a catalog call.
MAX_ENTITIES = 1_000


class OneOperation(SchemaExtension):
    """Refuses a document of several operations where the client does not say which one it means.

    GraphQL's specification has it so ("GetOperation"); strawberry would run the first one.
    """

    def on_validate(self) -> Iterator[None]:
        """Runs after the validation cache's own."""
        execution, context = self.execution_context, self.execution_context.context
        definitions = execution.graphql_document.definitions if execution.graphql_document else ()
        operations = [definition for definition in definitions if isinstance(definition, OperationDefinitionNode)]
        if len(operations) > 1 and isinstance(context, GraphContext) and context.operation_name is None:
            error = GraphQLError("The document has several operations; name the one to run.", operations)
            # A new list: the one there belongs to the validation cache.
            execution.pre_execution_errors = [*(execution.pre_execution_errors or ()), error]
        yield


class NameSpan(SchemaExtension):
    """Names the operation's span once its document is parsed."""

    def on_execute(self) -> Iterator[None]:
        """Runs around the execution."""
        name = (self.execution_context.operation_name or "anonymous")[:MAX_NAME_IN_SPAN_CHARS]
        kind = self.execution_context.operation_type.value
        trace.get_current_span().update_name(f"graphql.{kind} {name}")
        yield


class Schema(federation.Schema):
    """The federation schema; its answers show errors as `app.graphql.errors` says."""

    async def execute(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any | None = None,
        root_value: Any | None = None,
        operation_name: str | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> ExecutionResult:
        """The answer of one operation, with every error presented, in a span of its own."""
        with span("graphql.operation"):
            result = await super().execute(
                query,
                variable_values=variable_values,
                context_value=context_value,
                root_value=root_value,
                operation_name=operation_name,
                allowed_operation_types=allowed_operation_types,
                operation_extensions=operation_extensions,
            )
            problems = context_value.problems if isinstance(context_value, GraphContext) else []
            result.errors = present_errors([*(result.errors or ()), *problems]) or None
            return result

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Nothing: expected errors are not logged, and the others are where they are masked."""

    def entities_resolver(self, info: Info, representations: list[FederationAny]) -> list[FederationAny]:
        """The entities of the representations, each awaited by itself: a bad one costs that item alone."""
        if len(representations) > MAX_ENTITIES:
            reason = f"{len(representations)} are given, at most {MAX_ENTITIES} are answered"
            raise InvalidArgumentError("representations", reason)
        found: list[Any] = [get_entity(info, representation) for representation in representations]
        return found


def build_schema(settings: Settings) -> Schema:
    """The schema with the limits of the settings. Costs about 0.1 s: once a process."""
    return Schema(
        query=Query,
        mutation=Mutation,
        types=USER_ERROR_TYPES,
        config=StrawberryConfig(scalar_map=SCALARS),
        extensions=[ParserCache, ValidationCache, *limit_extensions(settings), OneOperation, NameSpan],
        federation_version=FEDERATION_VERSION,
    )


def print_sdl() -> str:
    """The schema as federation's tools read it."""
    return print_schema(build_schema(Settings())) + "\n"
