"""Default values of fields as JSON."""

from __future__ import annotations

import math
from typing import Any

from pyiceberg.conversions import to_json
from pyiceberg.types import IcebergType, PrimitiveType

from app.errors import JsonValue
from app.lake.json_rows import MAX_SAFE_INTEGER


def default_json(field_type: IcebergType, value: Any) -> JsonValue:
    """A field's default in Iceberg's JSON (spec, "JSON single-value serialization"), None for none.

    Whole numbers that JavaScript would round, `NaN` and the infinities are texts, as everywhere here.
    """
    if value is None:
        return None
    # Types whose defaults pyiceberg cannot write have no other default than null (spec, "Default values"), but for a
    # struct's, which says nothing but that there is one.
    shown: JsonValue = to_json(field_type, value) if isinstance(field_type, PrimitiveType) else str(value)
    if isinstance(shown, int) and not isinstance(shown, bool) and abs(shown) > MAX_SAFE_INTEGER:
        return str(shown)
    return str(shown) if isinstance(shown, float) and not math.isfinite(shown) else shown
