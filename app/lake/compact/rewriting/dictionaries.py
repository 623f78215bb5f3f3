"""Which columns of a file are worth a dictionary.

Arrow makes one of each column until it is too large, and then writes values as they are: of a column in which hardly a
value comes twice, both. Without it writing takes half the time, and files are a seventh smaller (columns of numbers,
instants and free text).
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from app.lake.compact.rewriting.leaves import Leaf

# An eighth of what is written first, within limits: values that come twice further on are worth no dictionary.
_SAMPLE_SHARE, _MOST_ROWS = 8, 65_536
# Fewer say too little, and cost nothing either way.
_LEAST_VALUES = 10_000
# With 100,000 values, each as often, of which a dictionary is still of use, the sample has three quarters as many.
_MOST_DISTINCT = 0.8


def with_dictionaries(rows: pa.Table, columns: Iterable[Leaf]) -> list[str]:
    """Paths of the columns that get a dictionary in a file of such rows. Costs a few milliseconds a column."""
    sample = rows.slice(0, min(_MOST_ROWS, max(_LEAST_VALUES, rows.num_rows // _SAMPLE_SHARE)))
    return [leaf.path for leaf in columns if _is_worth_it(list(leaf.values(sample)))]


def _is_worth_it(parts: list[pa.Array]) -> bool:
    if isinstance(parts[0].type, pa.UuidType):
        parts = [part.storage for part in parts]
    values = pa.chunked_array(parts)
    known = len(values) - int(values.null_count)
    return known < _LEAST_VALUES or int(pc.count_distinct(values).as_py()) <= known * _MOST_DISTINCT
