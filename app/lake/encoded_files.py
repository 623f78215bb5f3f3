"""Data files as manifests have them: their bytes, which stay the same in whatever manifest of the schema they are.

What becomes of a file is told before it, in the other fields of its entry (Iceberg spec, "Manifests").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from pyiceberg.manifest import DataFile, ManifestContent, ManifestEntry
from pyiceberg.types import IcebergType, StructType
from pyiceberg.utils.schema_conversion import AvroSchemaConversion

_STATUS, _SNAPSHOT_ID, _DATA_FILE, _SEQUENCE_NUMBER, _FILE_SEQUENCE_NUMBER = 0, 1, 2, 3, 4
_PARTITION, _CONTENT, _BLOCK_SIZE, _EQUALITY_IDS = 102, 134, 105, 135
_HEADS: Mapping[int, tuple[int, ...]] = {
    1: (_STATUS, _SNAPSHOT_ID),
    2: (_STATUS, _SNAPSHOT_ID, _SEQUENCE_NUMBER, _FILE_SEQUENCE_NUMBER),
}
# Which versions have always had, and so their manifests must.
_NEEDED: Mapping[int, int] = {1: _BLOCK_SIZE, 2: _CONTENT}
_MAX_LAYOUTS = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EntryLayout:
    """The schema of a manifest's entries whose last field is the data file; one object for each schema.

    `nullable` tells of each of the other fields whether it may be null, `version` which of the format they are of, and
    `partition` the types of the values of a partition by their fields' ids.
    """

    schema: str
    version: int
    nullable: tuple[bool, ...]
    partition: tuple[tuple[int, IcebergType], ...]
    is_good_for_deletes: bool

    def fits(self, version: int, content: ManifestContent, partition: StructType) -> bool:
        """Whether a manifest of such content of a table of this version, and of partitions of this type, may have it.

        It may not where a column that the table is partitioned by has got wider since.
        """
        return (
            version == self.version
            and (content == ManifestContent.DATA or self.is_good_for_deletes)
            and self.partition == _types(partition)
        )

    def end_of_head(self, entry: bytes) -> int:
        """Where in the bytes of an entry its data file begins."""
        at = 0
        for is_nullable in self.nullable:
            if is_nullable:
                at += 1
                if entry[at - 1] == 0:
                    continue
            while entry[at] >= 0x80:
                at += 1
            at += 1
        return at

    def head_of(self, entry: ManifestEntry) -> bytes:
        """The bytes of an entry up to its data file."""
        values = (entry.status, entry.snapshot_id, entry.sequence_number, entry.file_sequence_number)
        head = bytearray()
        for value, is_nullable in zip(values, self.nullable, strict=False):
            if value is None:
                if not is_nullable:
                    raise ValueError(f"{entry} lacks what its manifest must tell of it")
                head.append(0)
                continue
            if is_nullable:
                head.append(2)
            head += encode_long(value)
        return bytes(head)


class EncodedFile(DataFile):
    """A data file, and where its manifest was read for that its bytes there; not to be changed then."""

    layout: EntryLayout | None = None
    encoded: bytes = b""


def layout_of(file: DataFile) -> EntryLayout | None:
    """The layout that a file's bytes are known in, if they are."""
    return file.layout if isinstance(file, EncodedFile) else None


def encode_long(value: int) -> bytes:
    """Avro's variable-length zig-zag number."""
    left = (value << 1) ^ (value >> 63)
    encoded = bytearray()
    while left > 0x7F:
        encoded.append((left & 0x7F) | 0x80)
        left >>= 7
    encoded.append(left)
    return bytes(encoded)


@lru_cache(_MAX_LAYOUTS)
def find_layout(schema: str) -> EntryLayout | None:
    """The layout of entries of an Avro schema; None where it is none that data files can be copied out of and into."""
    parsed = json.loads(schema)
    fields = {field.get("field-id"): field["type"] for field in parsed["fields"]}
    ids = tuple(fields)
    version = next((version for version, head in _HEADS.items() if ids == (*head, _DATA_FILE)), None)
    data_file = fields.get(_DATA_FILE)
    if version is None or not isinstance(data_file, dict):
        return None
    kinds = [fields[field_id] for field_id in ids[:-1]]
    of_file = {field.get("field-id"): field["type"] for field in data_file.get("fields", ())}
    if any(_plain(kind) not in ("int", "long") for kind in kinds) or _NEEDED[version] not in of_file:
        return None
    partition = AvroSchemaConversion().avro_to_iceberg(parsed).find_type(_PARTITION)
    return EntryLayout(
        schema=schema,
        version=version,
        nullable=tuple(isinstance(kind, list) for kind in kinds),
        partition=_types(partition) if isinstance(partition, StructType) else (),
        is_good_for_deletes=_has_small_ids(of_file.get(_EQUALITY_IDS)),
    )


def _types(partition: StructType) -> tuple[tuple[int, IcebergType], ...]:
    return tuple((field.field_id, field.field_type) for field in partition.fields)


def _plain(kind: object) -> object:
    """What a value is that may be null, where null is what it may be first."""
    return kind[1] if isinstance(kind, list) and len(kind) == 2 and kind[0] == "null" else kind


def _has_small_ids(kind: object) -> bool:
    # pyiceberg 0.12 writes longs, on which Iceberg's Java reader fails.
    ids = _plain(kind)
    return isinstance(ids, dict) and ids.get("items") == "int"
