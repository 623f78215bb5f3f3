"""Finding nodes: by their ids, and by the keys under which other subgraphs refer to them."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from app.domain.changes import ModelSubject, RegistrySubject
from app.domain.names import DatasetName
from app.domain.versions import get_branch, get_tag
from app.errors import (
    AppError,
    DatasetNotFoundError,
    InvalidArgumentError,
    LineageRunNotFoundError,
    ModelNotFoundError,
    NotFound,
    PipelineNotFoundError,
    TagNotFoundError,
    VersionNotFoundError,
)
from app.graphql.context import Info
from app.graphql.ids import NodeKey, NodeKind, decode_id
from app.graphql.scalars import parse_snapshot_id_value
from app.graphql.types.branch import Branch
from app.graphql.types.change import Change
from app.graphql.types.dataset import Dataset
from app.graphql.types.hold import Hold
from app.graphql.types.interfaces import Node
from app.graphql.types.models import Model, find_model
from app.graphql.types.operation import Operation
from app.graphql.types.pipelines import Pipeline, find_pipeline
from app.graphql.types.runs import PipelineRun
from app.graphql.types.snapshot import Snapshot, find_snapshot
from app.graphql.types.tag import Tag, tag_of
from app.graphql.vertices import find_registered_version
from app.lake.table import LakeTable

Representation = Mapping[str, object]

_ENTITY_KINDS = {
    "Dataset": (NodeKind.DATASET, NodeKind.NAMED_DATASET),
    "Snapshot": (NodeKind.SNAPSHOT,),
    "Tag": (NodeKind.TAG, NodeKind.MODEL_TAG, NodeKind.PIPELINE_TAG),
    "Model": (NodeKind.MODEL,),
    "ModelVersion": (NodeKind.MODEL_VERSION,),
    "Pipeline": (NodeKind.PIPELINE,),
    "PipelineVersion": (NodeKind.PIPELINE_VERSION,),
    "PipelineRun": (NodeKind.RUN,),
}


async def get_node(info: Info, key: NodeKey) -> Node:
    """The node of a decoded id.

    Raises:
        NotFound, Expired: what it names is gone.
        UnreadableTableError, BackendUnavailableError: what it names cannot be read now.
    """
    if key.kind is NodeKind.CHANGE:
        return Change(change=await info.context.datasets.get_change(_uuid(key)))
    if key.kind is NodeKind.OPERATION:
        return Operation(operation=await info.context.operations.get(_uuid(key)))
    if key.kind is NodeKind.HOLD:
        return Hold(hold=await info.context.holding.get(key.rest))
    if key.subject is not None:
        return await _get_registered(info, key, key.subject)
    if key.kind is NodeKind.RUN:
        return await get_run(info, _uuid(key))
    if key.name is not None:
        return await get_dataset(info, key.name)
    if key.kind is NodeKind.DATASET:
        return Dataset(dataset_name=await _name_of(info, _uuid(key)), known_uuid=key.uuid)
    table = await _table_of(info, _uuid(key))
    if key.kind is NodeKind.SNAPSHOT:
        return await _snapshot_of(info, table, key.snapshot_id)
    history, name = table.state.history, str(table.state.name)
    if key.kind is NodeKind.TAG:
        return tag_of(table, get_tag(key.rest, history, name))
    return Branch(table=table, ref=get_branch(key.rest, history, name))


async def get_dataset(info: Info, name: DatasetName) -> Dataset:
    """The dataset of that name, whether or not its metadata can be read.

    Raises:
        DatasetNotFoundError: the catalog has none.
    """
    try:
        await info.context.loaders.tables.load(name)
    except NotFound:
        raise
    except AppError:
        # It exists and cannot be read: its fields say so, each time the table is needed.
        return Dataset(dataset_name=name)
    return Dataset(dataset_name=name)


async def get_model(info: Info, name: str) -> Model:
    """The model of that name. Raises ModelNotFoundError."""
    found = await find_model(info, name)
    if found is None:
        raise ModelNotFoundError(name[:200])
    return found


async def get_pipeline(info: Info, pipeline_id: str) -> Pipeline:
    """The pipeline of that id. Raises PipelineNotFoundError."""
    found = await find_pipeline(info, pipeline_id)
    if found is None:
        raise PipelineNotFoundError(pipeline_id[:200])
    return found


async def get_run(info: Info, run_id: UUID) -> PipelineRun:
    """The run of that UUID. Raises LineageRunNotFoundError."""
    found = await info.context.loaders.registry.runs.load(run_id)
    if found is None:
        raise LineageRunNotFoundError(str(run_id))
    return PipelineRun(run=found)


async def get_entity(info: Info, representation: object) -> Node:
    """The entity that another subgraph refers to by one of its keys.

    Raises:
        InvalidArgumentError: the type is none of ours, or no key of it is given whole.
        As `get_node`.
    """
    if not isinstance(representation, Mapping):
        raise _bad("it is not an object")
    type_name = representation.get("__typename")
    if not isinstance(type_name, str) or type_name not in _ENTITY_KINDS:
        raise _bad(f"{str(type_name)[:80]!r} is no entity of this subgraph")
    node_id = representation.get("id")
    if isinstance(node_id, str):
        return await _entity_of_id(info, type_name, node_id)
    if type_name == "Dataset":
        return await get_dataset(
            info, DatasetName.checked(_text(representation, "namespace"), _text(representation, "name"))
        )
    if type_name == "Snapshot":
        return await _snapshot_of_dataset(info, representation)
    if type_name == "Model":
        return await get_model(info, _text(representation, "name"))
    if type_name == "Pipeline":
        return await get_pipeline(info, _text(representation, "pipelineId"))
    raise _bad(f"a {type_name} is known by its id")


async def _get_registered(info: Info, key: NodeKey, subject: RegistrySubject) -> Node:
    is_model = isinstance(subject, ModelSubject)
    if key.kind in (NodeKind.MODEL, NodeKind.PIPELINE):
        return await (get_model(info, str(subject)) if is_model else get_pipeline(info, str(subject)))
    if key.kind in (NodeKind.MODEL_TAG, NodeKind.PIPELINE_TAG):
        tags = await info.context.loaders.registry.tags.load(subject)
        tag = next((tag for tag in tags or () if tag.name == key.rest), None)
        if tag is None:
            raise TagNotFoundError(str(subject), key.rest[:120], owner_field=subject.owner_field)
        return Tag(of=tag)
    version = await find_registered_version(info, subject, key.number)
    if version is None:
        raise VersionNotFoundError(str(subject), key.rest, "there is no such version", owner_field=subject.owner_field)
    return version


async def _entity_of_id(info: Info, type_name: str, node_id: str) -> Node:
    key = decode_id(node_id, "representations")
    if key.kind not in _ENTITY_KINDS[type_name]:
        raise _bad(f"the id is not one of a {type_name}")
    return await get_node(info, key)


async def _snapshot_of_dataset(info: Info, representation: Representation) -> Snapshot:
    dataset = representation.get("dataset")
    if not isinstance(dataset, Mapping):
        raise _bad("a Snapshot is known by its id, or by its dataset's id and its snapshotId")
    node = await _entity_of_id(info, "Dataset", _text(dataset, "id"))
    number = parse_snapshot_id_value(representation.get("snapshotId"))
    if not isinstance(node, Dataset):
        raise _bad("the id is not one of a Dataset")
    return await _snapshot_of(info, await node.get_table(info), number)


async def _snapshot_of(info: Info, table: LakeTable, number: int) -> Snapshot:
    found = find_snapshot(table, number)
    if found is None:
        raise await info.context.datasets.expired_error(table, number)
    return found


async def _name_of(info: Info, table_uuid: UUID) -> DatasetName:
    name = await info.context.loaders.names.load(table_uuid)
    if name is None:
        raise DatasetNotFoundError(str(table_uuid))
    return name


async def _table_of(info: Info, table_uuid: UUID) -> LakeTable:
    return await Dataset(dataset_name=await _name_of(info, table_uuid), known_uuid=table_uuid).get_table(info)


def _uuid(key: NodeKey) -> UUID:
    if key.uuid is None:
        raise InvalidArgumentError("id", "it is no id that this API gave out")
    return key.uuid


def _text(representation: Representation, field: str) -> str:
    value = representation.get(field)
    if not isinstance(value, str):
        raise _bad(f"{field} is needed, and is a text")
    return value


def _bad(reason: str) -> InvalidArgumentError:
    return InvalidArgumentError("representations", reason)
