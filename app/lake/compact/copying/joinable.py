"""Whether several Parquet files can be joined by copying."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.lake.compact.copying.footers import Footer
from app.lake.compact.copying.obstacles import Obstacle, ObstacleKind
from app.lake.deleted_positions import naming_file
from app.lake.parquet.fields import FileFields, SchemaFields
from app.lake.parquet.thrift import Struct, read_list, read_struct, to_bytes

# What the footers and offset indexes of all files may take together.
MAX_METADATA_BYTES = 128 * 2**20
# A row group's ordinal has 16 bits.
MAX_ROW_GROUPS = 2**15 - 1

_WRITER = re.compile(r"(.+?)\s+version\s+(\d+)\.(\d+)\.(\d+)")
# Readers look at who wrote a file and take care with what earlier ones are known to have got wrong, mostly statistics:
# parquet-java's CorruptStatistics and CorruptDeltaByteArrays, Arrow's ApplicationVersion.
_FIXED_IN = {"parquet-mr": (1, 10, 0), "parquet-cpp": (2, 0, 0), "parquet-cpp-arrow": (4, 0, 0)}


def find_obstacle(footers: Sequence[Footer]) -> Obstacle | None:
    """The first reason for which these files cannot be joined by copying, None where they can.

    Decided by footers alone, of which nothing is read again.

    Raises:
        OSError: a schema is none; the name of its file is in the message.
    """
    for footer in footers:
        with naming_file(footer.location):
            found = footer.obstacle or _own_obstacle(footer) or _difference(footers[0], footer)
        if found is not None:
            return found
    if (found := _mixed_statistics(footers)) is not None:
        return found
    row_groups, metadata_bytes = (
        sum(counts) for counts in zip(*((len(one.row_groups), one.metadata_bytes) for one in footers), strict=True)
    )
    if row_groups > MAX_ROW_GROUPS:
        return _obstacle(ObstacleKind.TOO_LARGE, footers[-1], f"there are {row_groups} row groups in all of them")
    if metadata_bytes > MAX_METADATA_BYTES:
        return _obstacle(ObstacleKind.TOO_LARGE, footers[-1], f"metadata has {metadata_bytes} bytes in all of them")
    return None


def _own_obstacle(footer: Footer) -> Obstacle | None:
    writer = (footer.created_by or b"").decode(errors="replace")
    if not writer:
        # parquet-java does not trust the statistics of such files.
        return _obstacle(ObstacleKind.OLD_WRITER, footer, "it does not say what wrote it")
    if (match := _WRITER.match(writer)) and tuple(map(int, match.groups()[1:])) < _FIXED_IN.get(match[1], (0,)):
        return _obstacle(ObstacleKind.OLD_WRITER, footer, f"{writer!r}, whose files readers take care with")
    return None


def _difference(first: Footer, footer: Footer) -> Obstacle | None:
    if (detail := _schema_difference(first, footer)) is not None:
        return _obstacle(ObstacleKind.SCHEMA, footer, detail)
    if first.fields.get(FileFields.COLUMN_ORDERS) != footer.fields.get(FileFields.COLUMN_ORDERS):
        # What least and greatest values mean depends on it.
        return _obstacle(ObstacleKind.COLUMN_ORDERS, footer, f"not as in {first.location}")
    for field_id in first.fields.keys() | footer.fields.keys():
        if field_id > FileFields.LAST and first.fields.get(field_id) != footer.fields.get(field_id):
            detail = f"field {field_id} of FileMetaData is not known, and not as in {first.location}"
            return _obstacle(ObstacleKind.UNKNOWN_FIELDS, footer, detail)
    return None


def _mixed_statistics(footers: Sequence[Footer]) -> Obstacle | None:
    """DataFusion 55 takes the statistics of those row groups that have some for the whole file's, and skips it."""
    if len(footers) < 2:
        return None
    told, untold = set(footers[0].with_statistics), set(footers[0].without_statistics)
    for footer in footers[1:]:
        told |= footer.with_statistics
        untold |= footer.without_statistics
        if mixed := told & untold:
            detail = f"column {min(mixed)} has least and greatest values in some row groups alone"
            return _obstacle(ObstacleKind.STATISTICS, footer, detail)
    return None


def _schema_difference(first: Footer, footer: Footer) -> str | None:
    if first.fields.get(FileFields.SCHEMA) == footer.fields.get(FileFields.SCHEMA):
        return None
    theirs, ours = (
        [read_struct(element)[0] for element in read_list(one.fields.get(FileFields.SCHEMA))[1]]
        for one in (first, footer)
    )
    for one, other in zip(theirs, ours, strict=False):
        if one == other:
            continue
        if one.get(SchemaFields.NAME) != other.get(SchemaFields.NAME):
            return f"{_name(other)!r} is where {first.location} has {_name(one)!r}"
        attributes = [
            SchemaFields.NAMES.get(field_id, f"field {field_id}")
            for field_id in sorted(one.keys() | other.keys())
            if one.get(field_id) != other.get(field_id)
        ]
        return f"{_name(other)!r} has another {', '.join(attributes)} than in {first.location}"
    return f"{len(ours)} elements, and {first.location} has {len(theirs)}" if len(ours) != len(theirs) else None


def _name(element: Struct) -> str:
    value = element.get(SchemaFields.NAME)
    return "" if value is None else to_bytes(value).decode(errors="replace")


def _obstacle(kind: ObstacleKind, footer: Footer, detail: str) -> Obstacle:
    return Obstacle(kind=kind, location=footer.location, detail=detail)
