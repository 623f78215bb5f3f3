"""Datasets as events name them, with their facets."""

from __future__ import annotations

from collections.abc import Iterator

from app.domain.events import ColumnUse, DatasetId, DatasetRole, DatasetUse, merge_repeated
from app.domain.roles import InputRole
from app.lineage.openlineage.facets import (
    facets_of,
    leaving_out,
    read_aliases,
    read_facet,
    read_fields,
    read_lifecycle,
    read_owners,
    read_purpose,
    read_statistics,
    read_version,
)
from app.lineage.openlineage.names import PURPOSE_FACET
from app.lineage.openlineage.nodes import Node

MAX_DATASETS = 10_000


def read_uses(array: Node, role: DatasetRole) -> tuple[DatasetUse, ...]:
    """All inputs or outputs of an event, those that are told twice once.

    Raises:
        FaultError: it is no array, has too many elements, or one without a proper name.
    """
    return merge_repeated([read_use(element, role) for element in array.elements(at_most=MAX_DATASETS)])


def read_use(node: Node, role: DatasetRole) -> DatasetUse:
    """One dataset.

    Raises:
        FaultError: it is no object, or has no proper name.
    """
    dataset = _identity(node)
    facets = facets_of(node)
    columns: tuple[ColumnUse, ...] | None = None
    statistics: tuple[int | None, int | None] | None = None
    if role is DatasetRole.OUTPUT:
        columns = read_facet(facets, "columnLineage", _columns)
        statistics = read_facet(facets_of(node, "outputFacets"), "outputStatistics", read_statistics)
    purpose = None
    if role is DatasetRole.INPUT:
        purpose = read_facet(facets_of(node, "inputFacets"), PURPOSE_FACET, read_purpose)
    row_count, size_bytes = statistics or (None, None)
    return DatasetUse(
        dataset=dataset,
        role=role,
        version=read_facet(facets, "version", read_version),
        purpose=purpose or InputRole.INPUT,
        aliases=read_facet(facets, "symlinks", read_aliases) or (),
        fields=read_facet(facets, "schema", read_fields) or (),
        columns=columns or (),
        lifecycle=read_facet(facets, "lifecycleStateChange", read_lifecycle),
        row_count=row_count,
        size_bytes=size_bytes,
        owners=read_facet(facets, "ownership", read_owners) or (),
    )


def _identity(node: Node) -> DatasetId:
    return DatasetId(namespace=node.child("namespace").name(), name=node.child("name").name())


def _columns(facet: Node) -> tuple[ColumnUse, ...]:
    # A dictionary, because joins tell the same dependency once for each condition.
    found: dict[ColumnUse, None] = {}
    for column, node in facet.child("fields").members():
        with leaving_out():
            Node(column, node.warnings, node, "").name()
            for source in node.child("inputFields").elements():
                with leaving_out():
                    found.update(dict.fromkeys(_column_uses(column, source, node)))
    for source in facet.child("dataset").elements():
        with leaving_out():
            found.update(dict.fromkeys(_column_uses(None, source, source)))
    return tuple(found)


def _column_uses(column: str | None, source: Node, told_by: Node) -> Iterator[ColumnUse]:
    dataset, name = _identity(source), source.child("field").name()
    transformations = list(source.child("transformations").elements())
    for node in transformations:
        parts = (node.optional_text("type"), node.optional_text("subtype"))
        yield ColumnUse(
            column=column,
            dataset=dataset,
            field=name,
            transformation="/".join(part for part in parts if part) or None,
            description=node.optional_text("description"),
        )
    if not transformations:
        # Up to version 1-0 of the facet the output column says it for all its sources.
        yield ColumnUse(
            column=column,
            dataset=dataset,
            field=name,
            transformation=told_by.optional_text("transformationType"),
            description=told_by.optional_text("transformationDescription"),
        )
