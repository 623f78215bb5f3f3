"""Node ids: opaque to clients, `base64url(json([kind, *key]))` to us.

A dataset is known by its table's UUID, so that a rename breaks no id; everything below a dataset has that UUID in its
key. A dataset whose metadata cannot be read has no known UUID; it is known by its name until it can be read again.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import strawberry

from app.domain.names import DatasetName
from app.domain.versions import parse_snapshot_id
from app.errors import InvalidArgumentError, InvalidNameError, InvalidReferenceError


class NodeKind(StrEnum):
    """What an id is of."""

    DATASET = "dataset"
    NAMED_DATASET = "named-dataset"
    SNAPSHOT = "snapshot"
    TAG = "tag"
    BRANCH = "branch"
    CHANGE = "change"


_KEY_LENGTHS = {
    NodeKind.DATASET: 1,
    NodeKind.NAMED_DATASET: 2,
    NodeKind.SNAPSHOT: 2,
    NodeKind.TAG: 2,
    NodeKind.BRANCH: 2,
    NodeKind.CHANGE: 1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeKey:
    """An id, decoded: `uuid` is the table's or the change's, `rest` what follows it."""

    kind: NodeKind
    uuid: UUID | None = None
    rest: str = ""
    name: DatasetName | None = None

    @property
    def snapshot_id(self) -> int:
        """Snapshot id in the key of a snapshot."""
        return int(self.rest)


def dataset_id(table_uuid: UUID) -> strawberry.ID:
    """Id of a dataset."""
    return _encode(NodeKind.DATASET, str(table_uuid))


def named_dataset_id(name: DatasetName) -> strawberry.ID:
    """Id of a dataset whose UUID is not known."""
    return _encode(NodeKind.NAMED_DATASET, name.namespace, name.name)


def snapshot_id(table_uuid: UUID, snapshot_id: int) -> strawberry.ID:
    """Id of a snapshot."""
    return _encode(NodeKind.SNAPSHOT, str(table_uuid), str(snapshot_id))


def tag_id(table_uuid: UUID, name: str) -> strawberry.ID:
    """Id of a tag."""
    return _encode(NodeKind.TAG, str(table_uuid), name)


def branch_id(table_uuid: UUID, name: str) -> strawberry.ID:
    """Id of a branch."""
    return _encode(NodeKind.BRANCH, str(table_uuid), name)


def change_id(change_uuid: UUID) -> strawberry.ID:
    """Id of a change."""
    return _encode(NodeKind.CHANGE, str(change_uuid))


def decode_id(node_id: str, argument: str = "id") -> NodeKey:
    """The key inside an id.

    Raises:
        InvalidArgumentError: not an id of this API.
    """
    try:
        padded = node_id.encode("ascii") + b"=" * (-len(node_id) % 4)
        parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        return _key(parts)
    except (
        # Also what UnicodeError and json's own error are.
        ValueError,
        TypeError,
        RecursionError,
        binascii.Error,
        InvalidReferenceError,
        InvalidNameError,
    ) as error:
        shown = node_id if len(node_id) <= 80 else node_id[:77] + "..."
        raise InvalidArgumentError(argument, f"{shown!r} is no id that this API gave out") from error


def _key(parts: object) -> NodeKey:
    if not isinstance(parts, list) or not parts or not all(isinstance(part, str) for part in parts):
        raise ValueError("not a list of strings")
    "".join(parts).encode()  # JSON can spell lone surrogates, which no answer could carry back
    kind = NodeKind(parts[0])
    if len(parts) != 1 + _KEY_LENGTHS[kind]:
        raise ValueError("a key of another length")
    if kind is NodeKind.NAMED_DATASET:
        return NodeKey(kind=kind, name=DatasetName.checked(parts[1], parts[2]))
    rest = parts[2] if len(parts) > 2 else ""
    if kind is NodeKind.SNAPSHOT:
        rest = str(parse_snapshot_id(rest))
    return NodeKey(kind=kind, uuid=UUID(parts[1]), rest=rest)


def _encode(kind: NodeKind, *key: str) -> strawberry.ID:
    text = json.dumps([kind.value, *key], separators=(",", ":"))
    return strawberry.ID(base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode())
