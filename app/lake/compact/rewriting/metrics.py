"""Metrics of the files that are written, in the modes of `write.metadata.metrics.*`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import MetricModeTypes, MetricsMode, match_metrics_mode
from pyiceberg.schema import Schema
from pyiceberg.table import TableProperties
from pyiceberg.types import BinaryType, DoubleType, FloatType, StringType

from app.errors import InvalidTablePropertyError
from app.lake.compact.rewriting.bounds import comparable, lower_bound, upper_bound
from app.lake.compact.rewriting.leaves import Leaf

# Arrow writes no statistics of a row group with a longer value.
_MAX_STATISTICS_BYTES = 4096

Modes = Mapping[int, MetricsMode]


def metrics_modes(properties: Mapping[str, str], schema: Schema, columns: Sequence[Leaf]) -> Modes:
    """The mode of each column by field id; `schema` has the columns' names as the properties have them.

    Raises:
        InvalidTablePropertyError: a property is no mode.
    """
    default = _mode(properties, TableProperties.DEFAULT_WRITE_METRICS_MODE, None)
    prefix = TableProperties.METRICS_MODE_COLUMN_CONF_PREFIX
    modes = {}
    for leaf in columns:
        mode = _mode(properties, f"{prefix}.{schema.find_column_name(leaf.field_id)}", default)
        if leaf.is_repeated and mode.type in (MetricModeTypes.TRUNCATE, MetricModeTypes.FULL):
            # The order of rows says nothing of the values in lists and maps.
            mode = MetricsMode(MetricModeTypes.COUNTS)
        elif mode.type is MetricModeTypes.TRUNCATE and not isinstance(leaf.kind, (StringType, BinaryType)):
            mode = MetricsMode(MetricModeTypes.FULL)
        modes[leaf.field_id] = mode
    return modes


def _mode(properties: Mapping[str, str], name: str, default: MetricsMode | None) -> MetricsMode:
    text = properties.get(name)
    if text is None:
        return default or match_metrics_mode(TableProperties.DEFAULT_WRITE_METRICS_MODE_DEFAULT)
    try:
        return match_metrics_mode(text)
    except ValueError as error:
        raise InvalidTablePropertyError(name, text, "none, counts, truncate(n) or full is needed") from error


class FileMetrics:
    """What a manifest says of the rows of a file: those of one row group, or of several that were added up."""

    def __init__(self, columns: Sequence[Leaf], modes: Modes) -> None:
        self._columns = columns
        self._modes = modes
        self._rows = 0
        self._sizes: Counter[int] = Counter()
        self._values: Counter[int] = Counter()
        self._nulls: Counter[int] = Counter()
        self._nans: Counter[int] = Counter()
        self._bounds: dict[int, tuple[Any, Any]] = {}

    def see(self, rows: pa.Table) -> None:
        """Count what Parquet does not: NaN, and the bounds of values that are too long for its statistics."""
        for leaf in self._columns:
            mode = self._modes[leaf.field_id].type
            if not self._is_counted(leaf.field_id):
                continue
            if isinstance(leaf.kind, (FloatType, DoubleType)):
                self._nans[leaf.field_id] += sum(pc.sum(pc.is_nan(part)).as_py() or 0 for part in leaf.values(rows))
            elif mode is not MetricModeTypes.COUNTS and isinstance(leaf.kind, (StringType, BinaryType)):
                self._see_long(leaf, list(leaf.values(rows)))

    def read(self, footer: pq.FileMetaData) -> None:
        """Take what the footer of the same rows says."""
        self._rows += footer.num_rows
        for number in range(footer.num_row_groups):
            group = footer.row_group(number)
            for place, leaf in enumerate(self._columns):
                chunk = group.column(place)
                self._sizes[leaf.field_id] += chunk.total_compressed_size
                mode = self._modes[leaf.field_id].type
                if mode is MetricModeTypes.NONE:
                    continue
                self._values[leaf.field_id] += chunk.num_values
                statistics = chunk.statistics
                self._nulls[leaf.field_id] += statistics.null_count
                if mode is not MetricModeTypes.COUNTS and statistics.has_min_max:
                    found = (comparable(leaf.kind, raw) for raw in (statistics.min_raw, statistics.max_raw))
                    self._take(leaf.field_id, *found)

    def count_nans(self, counts: Mapping[int, int]) -> None:
        """Take how many values of columns are NaN, by field id: of all row groups of a file the same columns."""
        self._nans.update({field_id: count for field_id, count in counts.items() if self._is_counted(field_id)})

    def add(self, other: FileMetrics) -> None:
        """Take those of more rows of the same file."""
        self._rows += other._rows
        for mine, its in (
            (self._sizes, other._sizes),
            (self._values, other._values),
            (self._nulls, other._nulls),
            (self._nans, other._nans),
        ):
            mine.update(its)
        for field_id, bounds in other._bounds.items():
            self._take(field_id, *bounds)

    def fields(self) -> dict[str, Any]:
        """The fields of a DataFile that they are."""
        lower, upper = self._serialised()
        return {
            "record_count": self._rows,
            "column_sizes": dict(self._sizes),
            "value_counts": dict(self._values),
            "null_value_counts": dict(self._nulls),
            "nan_value_counts": dict(self._nans),
            "lower_bounds": lower,
            "upper_bounds": upper,
        }

    def _is_counted(self, field_id: int) -> bool:
        return self._modes[field_id].type is not MetricModeTypes.NONE

    def _see_long(self, leaf: Leaf, parts: list[pa.Array]) -> None:
        longest = max((pc.max(pc.binary_length(part)).as_py() or 0 for part in parts), default=0)
        if longest <= _MAX_STATISTICS_BYTES:
            return
        for part in parts:
            found = pc.min_max(part.cast(pa.large_binary())).as_py()
            if found["min"] is not None:
                self._take(leaf.field_id, found["min"], found["max"])

    def _take(self, field_id: int, least: Any, greatest: Any) -> None:
        known = self._bounds.get(field_id)
        if known is not None:
            least, greatest = min(known[0], least), max(known[1], greatest)
        self._bounds[field_id] = (least, greatest)

    def _serialised(self) -> tuple[dict[int, bytes], dict[int, bytes]]:
        lower, upper = {}, {}
        for leaf in self._columns:
            if leaf.field_id not in self._bounds:
                continue
            least, greatest = self._bounds[leaf.field_id]
            length = self._modes[leaf.field_id].length
            lower[leaf.field_id] = lower_bound(leaf.kind, least, length)
            above = upper_bound(leaf.kind, greatest, length)
            if above is not None:
                upper[leaf.field_id] = above
        return lower, upper
