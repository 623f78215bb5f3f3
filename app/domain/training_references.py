"""Which of our datasets, at which snapshot, a run of another system says that it read.

MLflow knows nothing of Iceberg: people write what they know into a dataset's source, its name, or tags of the input.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.imported_models import ImportedDataset
from app.domain.names import DatasetName
from app.errors import InvalidNameError

TABLE_TAG = "iceberg.table"
SNAPSHOT_TAG = "iceberg.snapshot_id"
# First come the names that can mean nothing else.
_TABLE_KEYS = ("iceberg_table", "table", "table_name", "delta_table_name", "table_identifier", "identifier")
_SNAPSHOT_KEYS = ("snapshot_id", "snapshot-id", "snapshotId", "iceberg_snapshot_id", SNAPSHOT_TAG)
_LOCATION_KEYS = ("location", "path", "uri", "url")
# Iceberg's own way to name a snapshot of a table in Spark: catalog.db.table.snapshot_id_10963874102873
_AT_SNAPSHOT = re.compile(r"(.+)\.snapshot_id_(-?[0-9]{1,19})")
_IDENTIFIER = re.compile(r"[^\W\d][\w-]*(\.[^\W\d][\w-]*)+")
_PLACE = re.compile(r"/|[A-Za-z][A-Za-z0-9+.\-]*:/")
_MIN_ID, _MAX_ID = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingReference:
    """What could be made of a dataset that a run read.

    Whether there is such a table, or one at the location, is for the caller to find out. `reason` says why no table or
    no snapshot is given; None where both are.
    """

    table: DatasetName | None = None
    snapshot_id: int | None = None
    location: str | None = None
    context: str | None = None
    reason: str | None = None

    @property
    def candidates(self) -> tuple[DatasetName, ...]:
        """Names under which the table may be known here, best first: its first level may be that of a catalog."""
        if self.table is None:
            return ()
        _, dot, below = self.table.namespace.partition(".")
        return (self.table, DatasetName(namespace=below, name=self.table.name)) if dot else (self.table,)


def find_training_reference(dataset: ImportedDataset) -> TrainingReference:
    """The table, snapshot and place that a dataset's tags, source and name tell of, in this order."""
    source = _parse_source(dataset.source)
    given = _text_of(dataset.tags, (TABLE_TAG,)) or _text_of(source, _TABLE_KEYS)
    location = _text_of(source, _LOCATION_KEYS)
    if given and _PLACE.match(given):
        # A table that is named by where it is.
        given, location = None, location or given
    text, snapshot_in_name = _split_snapshot(given or _name_like_a_table(dataset))
    table, reason = _parse_table(text)
    snapshot_id, snapshot_reason = _find_snapshot(dataset.tags, source, snapshot_in_name)
    if table is None and location is not None and given is None:
        reason = "only a location is given, and no table's name"
    return TrainingReference(
        table=table,
        snapshot_id=snapshot_id,
        location=location,
        context=dataset.context,
        reason=reason or snapshot_reason,
    )


def _parse_source(text: str) -> Mapping[str, object]:
    try:
        source = json.loads(text)
    except (ValueError, RecursionError):
        source = text.strip()
    if isinstance(source, dict):
        return source
    if isinstance(source, str) and source:
        return {"location" if _PLACE.match(source) else "table": source}
    return {}


def _text_of(values: Mapping[str, object], keys: tuple[str, ...]) -> str | None:
    for key in keys:
        value = values.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return None


def _name_like_a_table(dataset: ImportedDataset) -> str | None:
    return dataset.name if _IDENTIFIER.fullmatch(dataset.name) else None


def _split_snapshot(text: str | None) -> tuple[str | None, str | None]:
    match = _AT_SNAPSHOT.fullmatch(text) if text else None
    return (match[1], match[2]) if match else (text, None)


def _parse_table(text: str | None) -> tuple[DatasetName | None, str | None]:
    if text is None:
        return None, "neither its source nor its name is that of a table"
    plain = text.replace("`", "").replace('"', "").removeprefix("spark_catalog.")
    try:
        return DatasetName.parse(plain), None
    except InvalidNameError as error:
        return None, f"{plain[:120]!r} is no table's name: {error.fields['reason']}"


def _find_snapshot(
    tags: Mapping[str, str], source: Mapping[str, object], in_name: str | None
) -> tuple[int | None, str | None]:
    told = [tags.get(SNAPSHOT_TAG), *(source.get(key) for key in _SNAPSHOT_KEYS), in_name]
    found = [value for value in told if value not in (None, "")]
    if not found:
        return None, "it does not say which snapshot was read"
    ids = {_snapshot_id(value) for value in found}
    if None in ids:
        return None, "what it says of the snapshot is no id of 64 bits"
    if len(ids) > 1:
        return None, "it names more than one snapshot"
    return ids.pop(), None


def _snapshot_id(value: object) -> int | None:
    # A number with a fraction or an exponent was rounded on its way here.
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]{1,19}", value.strip()):
        return None
    number = int(value)
    return number if _MIN_ID <= number <= _MAX_ID else None
