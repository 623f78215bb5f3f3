"""How a table lays out its rows: the partition spec that files are split by, and the order in which they are sorted.

Which layout a version has: Iceberg keeps the table's default spec and order *now*, and does not record with a snapshot
which were in force when it was made (spec, "Table Metadata Fields" and "Snapshots"). Its manifests tell in which specs
its files are, which costs reading them, and is not the same thing: a snapshot that deletes has the specs of its
ancestors. So `latest` and branches have the table's defaults, as they have its current schema; any other version has
the one spec, or order, of a table that never had another, and of all the rest it is not known, which `None` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Of these, a date and the timestamp it is promoted to have the same value (spec, "Partition Transforms").
_SAME_OF_DATE_AND_TIMESTAMP = frozenset({"year", "month", "day", "void"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionField:
    """One part of a partition: what a transform makes of a column."""

    source_id: int
    name: str
    transform: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionSpec:
    """How files are split; one without fields does not split them."""

    spec_id: int
    fields: tuple[PartitionField, ...] = ()

    @property
    def promotion_bars(self) -> Mapping[int, str]:
        """Fields that may not go from date to timestamp, because their transform would give other values.

        Iceberg spec, "Schema Evolution". With the transform that bars it.
        """
        return {
            field.source_id: field.transform
            for field in self.fields
            if field.transform not in _SAME_OF_DATE_AND_TIMESTAMP
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SortField:
    """One part of a sort order."""

    source_id: int
    transform: str
    direction: str
    null_order: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SortOrder:
    """How rows are sorted within a file; an order without fields says nothing."""

    order_id: int
    fields: tuple[SortField, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The layout of one version; None is what Iceberg does not tell of it."""

    partition: PartitionSpec | None = None
    sort: SortOrder | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layouts:
    """All specs and orders of a table, and which of them it writes with now."""

    specs: tuple[PartitionSpec, ...] = ()
    default_spec_id: int = 0
    orders: tuple[SortOrder, ...] = ()
    default_order_id: int = 0

    @property
    def current(self) -> Layout:
        """What the table writes with now."""
        return Layout(
            partition=next((spec for spec in self.specs if spec.spec_id == self.default_spec_id), None),
            sort=next((order for order in self.orders if order.order_id == self.default_order_id), None),
        )

    @property
    def only(self) -> Layout:
        """What holds for every version: the spec, and the order, beside which there is no other."""
        return Layout(
            partition=self.specs[0] if len(self.specs) == 1 else None,
            sort=self.orders[0] if len(self.orders) == 1 else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ListChange:
    """A list of texts in two versions. None of a side is not known, and then neither is whether it changed."""

    before: tuple[str, ...] | None
    after: tuple[str, ...] | None
    is_changed: bool | None


def compare_partitions(
    before: PartitionSpec | None,
    after: PartitionSpec | None,
    names: tuple[Mapping[int, str], Mapping[int, str]],
    *,
    by_id: bool = True,
) -> ListChange:
    """The partition fields of two versions, as `bucket[16](id) as id_bucket`; `names` are the paths of each side by id.

    Two specs are the same where their fields have the same sources, transforms and names (Iceberg spec,
    "Partitioning"), whatever their numbers.
    """
    shown = [
        None if spec is None else tuple(_partition_text(field, paths) for field in spec.fields)
        for spec, paths in zip((before, after), names, strict=True)
    ]
    return _compare(shown[0], shown[1], _fields(before) != _fields(after) if by_id else shown[0] != shown[1])


def compare_orders(
    before: SortOrder | None,
    after: SortOrder | None,
    names: tuple[Mapping[int, str], Mapping[int, str]],
    *,
    by_id: bool = True,
) -> ListChange:
    """The sort fields of two versions, as `day(at) desc nulls-last`; as `compare_partitions`."""
    shown = [
        None if order is None else tuple(_sort_text(field, paths) for field in order.fields)
        for order, paths in zip((before, after), names, strict=True)
    ]
    return _compare(shown[0], shown[1], _fields(before) != _fields(after) if by_id else shown[0] != shown[1])


def _fields(layout: PartitionSpec | SortOrder | None) -> tuple[PartitionField, ...] | tuple[SortField, ...]:
    return () if layout is None else layout.fields


def _compare(before: tuple[str, ...] | None, after: tuple[str, ...] | None, differs: bool) -> ListChange:
    is_known = before is not None and after is not None
    return ListChange(before=before, after=after, is_changed=differs if is_known else None)


def _partition_text(field: PartitionField, names: Mapping[int, str]) -> str:
    text = _applied(field.transform, names.get(field.source_id))
    return text if text == field.name else f"{text} as {field.name}"


def _sort_text(field: SortField, names: Mapping[int, str]) -> str:
    return f"{_applied(field.transform, names.get(field.source_id))} {field.direction} {field.null_order}"


def _applied(transform: str, source: str | None) -> str:
    # A spec may be built on a column that was dropped since.
    shown = "(dropped column)" if source is None else source
    return shown if transform == "identity" else f"{transform}({shown})"
