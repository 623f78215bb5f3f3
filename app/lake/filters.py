"""Row filters and column lists as users write them, checked against the schema they are meant for."""

from __future__ import annotations

from collections.abc import Sequence

from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.expressions.parser import parse
from pyiceberg.expressions.visitors import bind
from pyiceberg.schema import Schema
from pyparsing import ParseException

from app.domain.versions import closest
from app.errors import InvalidArgumentError, InvalidFilterError, UnknownColumnError

MAX_FILTER_CHARS = 10_000
MAX_COLUMNS = 1_000


def parse_filter(text: str | None, schema: Schema) -> BooleanExpression:
    """A filter in pyiceberg's language (`a > 1 and b in ('x', 'y')`); None means every row.

    Raises:
        InvalidFilterError: it does not parse, names a column the schema lacks, or compares what cannot be compared.
    """
    if text is None or not text.strip():
        return AlwaysTrue()
    if len(text) > MAX_FILTER_CHARS:
        raise InvalidFilterError(text, f"it has {len(text)} characters, at most {MAX_FILTER_CHARS} are read")
    try:
        expression: BooleanExpression = parse(text)
        bind(schema, expression, case_sensitive=True)
    except ParseException as error:
        raise InvalidFilterError(text, f"it does not parse at character {error.loc + 1}") from error
    except RecursionError as error:
        raise InvalidFilterError(text, "it is nested too deeply") from error
    except (ValueError, TypeError, NotImplementedError) as error:
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
