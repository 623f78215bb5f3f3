"""Row filters and column lists as users write them, checked against the schema they are meant for.

What a comparison means is SQL's: with null it is neither true nor false, so its row is in no answer, negated or not.
NaN satisfies `is nan`, `!=` and `not in`, and no other comparison, negated or not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from decimal import Context, Decimal, DecimalException
from typing import Any

from pydantic import ValidationError
from pyiceberg.expressions import (
    AlwaysFalse,
    AlwaysTrue,
    And,
    BooleanExpression,
    EqualTo,
    In,
    IsNaN,
    LiteralPredicate,
    NotEqualTo,
    NotNaN,
    NotNull,
    NotStartsWith,
    Or,
    SetPredicate,
    StartsWith,
    UnaryPredicate,
    UnboundPredicate,
)
from pyiceberg.expressions.literals import DecimalLiteral, DoubleLiteral, Literal, LongLiteral, StringLiteral
from pyiceberg.expressions.parser import parse
from pyiceberg.expressions.visitors import BooleanExpressionVisitor, bind, rewrite_not, visit
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BooleanType,
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    PrimitiveType,
    StringType,
    UUIDType,
)
from pyparsing import ParseException

from app.domain.versions import closest
from app.errors import InvalidArgumentError, InvalidFilterError, UnknownColumnError

MAX_FILTER_CHARS = 10_000
# Each level costs the parser many calls; people and programs nest a few.
MAX_FILTER_NESTING = 100
MAX_COLUMNS = 1_000
# Python refuses to write integers of thousands of digits; no type here holds a number beyond this.
_MAX_NUMBER_DIGITS = 400
_EXACT = Context(prec=2 * _MAX_NUMBER_DIGITS)


def parse_filter(text: str | None, schema: Schema) -> BooleanExpression:
    """A filter in pyiceberg's language (`a > 1 and b in ('x', 'y')`); None means every row.

    Numbers are compared exactly: one that the column cannot hold, such as 1.5 in a column of integers, is refused
    rather than rounded. The answer has no negations, and says of each comparison that the value is not null.

    Raises:
        InvalidFilterError: it does not parse, names a column the schema lacks, or compares what cannot be compared.
    """
    if text is None or not text.strip():
        return AlwaysTrue()
    if len(text) > MAX_FILTER_CHARS:
        raise InvalidFilterError(text, f"it has {len(text)} characters, at most {MAX_FILTER_CHARS} are read")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise InvalidFilterError(text, "it has a lone surrogate, which no text value has")
    if _nesting(text) > MAX_FILTER_NESTING:
        raise InvalidFilterError(text, f"its parentheses are nested more than {MAX_FILTER_NESTING} deep")
    try:
        # pyiceberg turns negations around in some places and evaluates them in others; here they are gone for all.
        expression = visit(rewrite_not(parse(text)), _Exact(schema))
        bind(schema, expression, case_sensitive=True)
    except ParseException as error:
        raise InvalidFilterError(text, f"it does not parse at character {error.loc + 1}") from error
    except RecursionError as error:
        raise InvalidFilterError(text, "it is nested too deeply") from error
    except ValidationError as error:
        raise InvalidFilterError(text, "true and false stand alone or beside = only") from error
    except (ValueError, TypeError, NotImplementedError, ArithmeticError) as error:
        raise InvalidFilterError(text, str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    return expression


def project(columns: Sequence[str] | None, schema: Schema, dataset: str) -> Schema:
    """The schema cut down to the named columns (paths into structs are allowed), in the order of the schema.

    Raises:
        InvalidArgumentError: no column, or too many.
        UnknownColumnError: the first column that the schema lacks, with the closest names.
    """
    if columns is None:
        return schema
    known = {name for field_id in schema.field_ids if (name := schema.find_column_name(field_id)) is not None}
    if not 1 <= len(columns) <= MAX_COLUMNS:
        raise InvalidArgumentError("columns", f"name 1 to {MAX_COLUMNS} columns, or leave it out for all of them")
    for column in columns:
        if column not in known:
            raise UnknownColumnError(dataset, column[:120], closest(column, sorted(known)))
    return schema.select(*columns)


def _nesting(text: str) -> int:
    deepest = depth = 0
    quote = ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "(":
            depth += 1
            deepest = max(deepest, depth)
        elif char == ")":
            depth -= 1
    return deepest


class _Exact(BooleanExpressionVisitor[BooleanExpression]):
    """Makes an expression without negations mean what SQL means by it, for any file it is evaluated on.

    pyiceberg rounds literals to the column's type, and where it can decide a comparison without looking at the value
    (the literal is out of the type's range; the file lacks the column) it forgets that the value may be null.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def visit_true(self) -> BooleanExpression:
        """As it is."""
        return AlwaysTrue()

    def visit_false(self) -> BooleanExpression:
        """As it is."""
        return AlwaysFalse()

    def visit_not(self, child_result: BooleanExpression) -> BooleanExpression:
        """Cannot be: negations were rewritten."""
        raise TypeError(f"a negation was left: {child_result}")

    def visit_and(self, left_result: BooleanExpression, right_result: BooleanExpression) -> BooleanExpression:
        """Both."""
        return _build(And, left_result, right_result)

    def visit_or(self, left_result: BooleanExpression, right_result: BooleanExpression) -> BooleanExpression:
        """Either."""
        return _build(Or, left_result, right_result)

    def visit_bound_predicate(self, predicate: object) -> BooleanExpression:
        """Cannot be: what was parsed is not bound."""
        raise TypeError(f"not expected to be bound: {predicate}")

    def visit_unbound_predicate(self, predicate: UnboundPredicate) -> BooleanExpression:
        """The predicate with exact literals, and that the value is not null."""
        term = predicate.term
        field = self._schema.find_field(getattr(term, "name", str(term)), case_sensitive=True)
        if isinstance(predicate, UnaryPredicate):
            if not isinstance(predicate, (IsNaN, NotNaN)):
                return predicate
            if not isinstance(field.field_type, (FloatType, DoubleType)):
                raise TypeError(f"{field.name} is of type {field.field_type}, which has no NaN")
            return _build(And, predicate, _build(NotNull, term))
        if isinstance(predicate, (StartsWith, NotStartsWith)) and not isinstance(field.field_type, StringType):
            raise TypeError(f"{field.name} is of type {field.field_type}; like compares texts")
        if isinstance(predicate, SetPredicate):
            return _build(And, _exact_set(predicate, field), _build(NotNull, term))
        if not isinstance(predicate, LiteralPredicate):
            raise NotImplementedError(f"{type(predicate).__name__} is not supported")
        if isinstance(field.field_type, UUIDType) and not isinstance(predicate, (EqualTo, NotEqualTo)):
            raise TypeError(f"{field.name} is a uuid; compare it by = and != and in")
        exact = _build(type(predicate), term, _exact_literal(predicate.literal, field))
        return _build(And, exact, _build(NotNull, term))


def _build(kind: type[BooleanExpression], *parts: Any) -> BooleanExpression:
    # pyiceberg's expressions take positions, but are pydantic's models, of which type checkers know keywords only.
    return kind(*parts)


def _exact_set(predicate: SetPredicate, field: NestedField) -> BooleanExpression:
    literals = [_exact_literal(literal, field) for literal in predicate.literals]
    kind = field.field_type
    if isinstance(kind, (IntegerType, LongType)):
        # pyiceberg would take those out of range for the type's limits.
        literals = [literal for literal in literals if kind.min <= literal.value <= kind.max]
    is_in = isinstance(predicate, In)
    if not literals:
        return AlwaysFalse() if is_in else AlwaysTrue()
    found = _build(type(predicate), predicate.term, literals)
    if isinstance(kind, (FloatType, DoubleType)) and any(literal.value == 0 for literal in literals):
        # Arrow looks sets up by their bits, and -0.0 has others than 0.0.
        join, compare = (Or, EqualTo) if is_in else (And, NotEqualTo)
        return _build(join, found, _build(compare, predicate.term, DoubleLiteral(0.0)))
    return found


def _exact_literal(literal: Literal[Any], field: NestedField) -> Literal[Any]:
    kind = field.field_type
    if isinstance(kind, (IntegerType, LongType, DecimalType, FloatType, DoubleType)):
        return _exact_number(_to_number(literal, field), kind, field)
    if not isinstance(kind, PrimitiveType):
        raise TypeError(f"{field.name} is of type {kind}; only its parts can be compared")
    if not isinstance(kind, BooleanType) and not isinstance(literal, StringLiteral):
        raise TypeError(f"{field.name} is of type {kind}: write the value in single quotes")
    return literal


def _to_number(literal: Literal[Any], field: NestedField) -> Decimal:
    value = literal.value
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, str)):
        raise TypeError(f"{value!r} is no number, as {field.name} has")
    try:
        number = Decimal(value)
    except DecimalException as error:
        raise ValueError(f"{str(value)[:40]!r} is no number, as {field.name} has") from error
    if (
        not number.is_finite()
        or abs(number.adjusted()) > _MAX_NUMBER_DIGITS
        or len(number.as_tuple().digits) > _MAX_NUMBER_DIGITS
    ):
        raise ValueError(f"{str(value)[:40]} is out of range")
    return number


def _exact_number(number: Decimal, kind: IcebergType, field: NestedField) -> Literal[Any]:
    if isinstance(kind, (FloatType, DoubleType)):
        value = float(number)
        if abs(value) > (FloatType.max if isinstance(kind, FloatType) else sys.float_info.max):
            raise ValueError(f"{str(number)[:40]} is out of the range of {kind}")
        return DoubleLiteral(value)
    if isinstance(kind, DecimalType):
        scaled = number.quantize(Decimal(1).scaleb(-kind.scale), context=_EXACT)
        if scaled != number:
            raise ValueError(f"{number} has more decimal places than {field.name}, which is a {kind}")
        if len(scaled.as_tuple().digits) > kind.precision:
            raise ValueError(f"{str(number)[:60]} is out of the range of {field.name}, which is a {kind}")
        return DecimalLiteral(scaled)
    if number != number.to_integral_value():
        raise ValueError(f"{number} is no whole number, as {field.name} has")
    return LongLiteral(int(number))


def top_level_columns(schema: Schema, field_ids: Iterable[int]) -> list[str]:
    """Names of the columns that the fields are, or are nested in."""
    wanted = set(field_ids)
    return [column.name for column in schema.columns if wanted & Schema(column).field_ids]
