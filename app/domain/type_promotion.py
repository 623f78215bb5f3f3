"""What a type may become without a rewrite of data (Iceberg spec, "Schema Evolution")."""

from __future__ import annotations

import re
from enum import StrEnum

# Format version from which on `unknown` and `date` can be promoted.
_V3 = 3
_DECIMAL = re.compile(r"decimal\((?P<precision>[0-9]{1,3}), ?(?P<scale>[0-9]{1,3})\)")
_PROMOTIONS = frozenset({("int", "long"), ("float", "double")})
_DATE_PROMOTIONS = frozenset({("date", "timestamp"), ("date", "timestamp_ns")})


class TypeKind(StrEnum):
    """Whether a type has parts, and which."""

    PRIMITIVE = "primitive"
    STRUCT = "struct"
    LIST = "list"
    MAP = "map"


def kind_of(type_text: str) -> TypeKind:
    """The kind of a type as schemas write it: `struct<a: long>`, `list<int>`, `decimal(9, 2)`."""
    start, bracket, _ = type_text.partition("<")
    return (
        TypeKind(start) if bracket and start in (TypeKind.STRUCT, TypeKind.LIST, TypeKind.MAP) else TypeKind.PRIMITIVE
    )


def is_promotion(before: str, after: str, format_version: int) -> bool:
    """Whether Iceberg lets a column of the first type become one of the second, and reads old files as the second.

    | type            | in format versions 1 and 2     | from format version 3 on    |
    |-----------------|--------------------------------|-----------------------------|
    | `unknown`       |                                | any type                    |
    | `int`           | `long`                         | `long`                      |
    | `date`          |                                | `timestamp`, `timestamp_ns` |
    | `float`         | `double`                       | `double`                    |
    | `decimal(P, S)` | `decimal(P', S)` where P' > P  | the same                    |
    """
    if (before, after) in _PROMOTIONS:
        return True
    if is_date_promotion(before, after):
        return format_version >= _V3
    if before == "unknown":
        return format_version >= _V3
    old, new = _DECIMAL.fullmatch(before), _DECIMAL.fullmatch(after)
    if old is None or new is None:
        return False
    return int(new["scale"]) == int(old["scale"]) and int(new["precision"]) > int(old["precision"])


def is_date_promotion(before: str, after: str) -> bool:
    """Whether a date becomes a timestamp, which changes what some partition transforms make of it."""
    return (before, after) in _DATE_PROMOTIONS
