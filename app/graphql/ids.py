"""Node ids: opaque to clients, `base64url(json([kind, *key]))` to us.

A dataset is known by its table's UUID, so that a rename breaks no id; everything below a dataset has that UUID in its
key. A dataset whose metadata cannot be read has no known UUID; it is known by its name until it can be read again.
Models and pipelines are known by their names, which never change, and their versions by their numbers.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import strawberry

from app.domain.changes import ModelSubject, PipelineSubject, RegistrySubject
from app.domain.names import DatasetName, is_storable
from app.domain.numbered import MAX_NUMBER
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
    MODEL = "model"
    MODEL_VERSION = "model-version"
    MODEL_TAG = "model-tag"
    PIPELINE = "pipeline"
    PIPELINE_VERSION = "pipeline-version"
    PIPELINE_TAG = "pipeline-tag"
    RUN = "run"
    OPERATION = "operation"
    HOLD = "hold"


_KEY_LENGTHS = {
    NodeKind.DATASET: 1,
    NodeKind.NAMED_DATASET: 2,
    NodeKind.SNAPSHOT: 2,
    NodeKind.TAG: 2,
    NodeKind.BRANCH: 2,
    NodeKind.CHANGE: 1,
    NodeKind.MODEL: 1,
    NodeKind.MODEL_VERSION: 2,
    NodeKind.MODEL_TAG: 2,
    NodeKind.PIPELINE: 1,
    NodeKind.PIPELINE_VERSION: 2,
    NodeKind.PIPELINE_TAG: 2,
    NodeKind.RUN: 1,
    NodeKind.OPERATION: 1,
    NodeKind.HOLD: 1,
}
_NUMBER = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
_OF_MODEL = (NodeKind.MODEL, NodeKind.MODEL_VERSION, NodeKind.MODEL_TAG)
_OF_PIPELINE = (NodeKind.PIPELINE, NodeKind.PIPELINE_VERSION, NodeKind.PIPELINE_TAG)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeKey:
    """An id, decoded: `uuid` is that of the table, change, run or operation, `rest` what follows it or `subject`.

    A hold has no `uuid`; its own id is `rest`.
    """

    kind: NodeKind
    uuid: UUID | None = None
    rest: str = ""
    name: DatasetName | None = None
    subject: RegistrySubject | None = None

    @property
    def snapshot_id(self) -> int:
        """Snapshot id in the key of a snapshot."""
        return int(self.rest)

    @property
    def number(self) -> int:
        """Number in the key of a version of a model or pipeline."""
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


def entity_id(subject: RegistrySubject) -> strawberry.ID:
    """Id of a model or pipeline."""
    return _encode(NodeKind.MODEL if isinstance(subject, ModelSubject) else NodeKind.PIPELINE, str(subject))


def version_id(subject: RegistrySubject, number: int) -> strawberry.ID:
    """Id of a version of a model or pipeline."""
    kind = NodeKind.MODEL_VERSION if isinstance(subject, ModelSubject) else NodeKind.PIPELINE_VERSION
    return _encode(kind, str(subject), str(number))


def version_tag_id(subject: RegistrySubject, name: str) -> strawberry.ID:
    """Id of a tag on a version of a model or pipeline."""
    kind = NodeKind.MODEL_TAG if isinstance(subject, ModelSubject) else NodeKind.PIPELINE_TAG
    return _encode(kind, str(subject), name)


def run_id(run_uuid: UUID) -> strawberry.ID:
    """Id of a run."""
    return _encode(NodeKind.RUN, str(run_uuid))


def operation_id(operation_uuid: UUID) -> strawberry.ID:
    """Id of an operation."""
    return _encode(NodeKind.OPERATION, str(operation_uuid))


def hold_id(hold: str) -> strawberry.ID:
    """Id of a hold."""
    return _encode(NodeKind.HOLD, hold)


def decode_operation_id(node_id: str) -> UUID:
    """The UUID of an operation. Raises InvalidArgumentError: not the id of one."""
    key = decode_id(node_id)
    if key.kind is not NodeKind.OPERATION or key.uuid is None:
        raise InvalidArgumentError("id", f"it is the id of a {key.kind.value}, not of an operation")
    return key.uuid


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
    if kind in _OF_MODEL or kind in _OF_PIPELINE:
        return _registry_key(kind, parts[1], rest)
    if kind is NodeKind.HOLD:
        return NodeKey(kind=kind, rest=parts[1])
    if kind is NodeKind.SNAPSHOT:
        rest = str(parse_snapshot_id(rest))
    return NodeKey(kind=kind, uuid=UUID(parts[1]), rest=rest)


def _registry_key(kind: NodeKind, name: str, rest: str) -> NodeKey:
    if not is_storable(name + rest):
        raise ValueError("a text that nothing can be named by")
    if kind in (NodeKind.MODEL_VERSION, NodeKind.PIPELINE_VERSION) and not (
        _NUMBER.fullmatch(rest) and int(rest) <= MAX_NUMBER
    ):
        raise ValueError("no number of a version")
    subject = ModelSubject(name=name) if kind in _OF_MODEL else PipelineSubject(pipeline_id=name)
    return NodeKey(kind=kind, subject=subject, rest=rest)


def _encode(kind: NodeKind, *key: str) -> strawberry.ID:
    text = json.dumps([kind.value, *key], separators=(",", ":"))
    return strawberry.ID(base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode())
