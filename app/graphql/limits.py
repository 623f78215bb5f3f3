"""Limits on what a query may ask for, checked before it runs.

Strawberry's own depth and alias limiters fail on an unknown fragment and walk every path through nested fragments,
2^n of them for n fragments that each use the next one twice; this rule visits each fragment once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationContext,
    ValidationRule,
)
from strawberry.extensions import AddValidationRules, MaxTokensLimiter, SchemaExtension

from app.settings import Settings


@dataclass(frozen=True, slots=True)
class _Size:
    depth: int
    aliases: int


class _Measure:
    """Depth and aliases of selections, each fragment measured once however often it is used."""

    def __init__(self, fragments: dict[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        # A fragment on its way in is a cycle, which a rule of GraphQL itself refuses: it counts nothing here.
        self._measured: dict[str, _Size] = {}

    def selections(self, selection_set: SelectionSetNode | None) -> _Size:
        depth, aliases = 0, 0
        for selection in selection_set.selections if selection_set else ():
            if isinstance(selection, FieldNode):
                below = self.selections(selection.selection_set)
                is_introspection = selection.name.value.startswith("__")
                size = _Size(0 if is_introspection else 1 + below.depth, below.aliases + (selection.alias is not None))
            elif isinstance(selection, FragmentSpreadNode):
                size = self._fragment(selection.name.value)
            else:
                size = self.selections(getattr(selection, "selection_set", None))
            depth, aliases = max(depth, size.depth), aliases + size.aliases
        return _Size(depth, aliases)

    def _fragment(self, name: str) -> _Size:
        if name not in self._measured:
            self._measured[name] = _Size(0, 0)
            fragment = self._fragments.get(name)
            if fragment is not None:
                self._measured[name] = self.selections(fragment.selection_set)
        return self._measured[name]


def query_size_rule(max_depth: int, max_aliases: int) -> type[ValidationRule]:
    """A rule class with these limits. Build it once: the validation cache knows a rule by its class."""

    class QuerySizeRule(ValidationRule):
        """Refuses operations that are nested too deeply or have too many aliases, fragments spread out."""

        def __init__(self, context: ValidationContext) -> None:
            super().__init__(context)
            definitions = context.document.definitions
            measure = _Measure({d.name.value: d for d in definitions if isinstance(d, FragmentDefinitionNode)})
            for operation in definitions:
                if isinstance(operation, OperationDefinitionNode):
                    self._check(operation, measure.selections(operation.selection_set))

        def _check(self, operation: OperationDefinitionNode, size: _Size) -> None:
            for what, count, limit in (("levels", size.depth, max_depth), ("aliases", size.aliases, max_aliases)):
                if count > limit:
                    message = f"The operation has {count} {what}; at most {limit} are allowed."
                    self.context.report_error(GraphQLError(message, operation))

    return QuerySizeRule


def limit_extensions(settings: Settings) -> tuple[Callable[[], SchemaExtension], ...]:
    """Extension factories that hold queries to the limits of the settings."""
    rule = query_size_rule(settings.query_max_depth, settings.query_max_aliases)
    return (
        lambda: MaxTokensLimiter(max_token_count=settings.query_max_tokens),
        lambda: AddValidationRules([rule]),
    )
