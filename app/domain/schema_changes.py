"""What happened to the fields of a schema, and whom it breaks.

A *reader* is a program that asks a table for the columns of the old version, by name, and relies on their types and on
which of them never are null. A *writer* is one that writes rows of the old version's columns. Both go through an engine
that follows Iceberg's own rules; what those allow without harm to either is not breaking.

| change                                   | breaks readers                          | breaks writers                 |
|------------------------------------------|-----------------------------------------|--------------------------------|
| added, optional                          | no                                      | no: null or the default [1]    |
| added, required with a write default     | no                                      | no: the default is written [1] |
| added, required without one              | no                                      | yes: the writer must fail [1]  |
| added to the key of a map                | yes: which keys are equal changes [2]   | yes                            |
| removed                                  | yes: it is not found                    | yes: it is not found           |
| renamed                                  | yes: not found by its name              | yes: not found by its name     |
| another field of that name: dropped and  | yes: what was written before is not     | no                             |
| added again                              | read any more                           |                                |
| type promoted as [3] allows              | no: old and new values are read as one  | no: the values still fit       |
| any other type: narrower, of another kind| yes                                     | yes                            |
| date to timestamp under a partition      | yes: [3] forbids it where the           | yes                            |
| transform that tells them apart          | partition values would be others        |                                |
| required to optional                     | yes: nulls may come                     | no                             |
| optional to required                     | no                                      | yes: nulls are refused         |
| initial default                          | yes: old rows read otherwise, which [3] | no                             |
|                                          | forbids                                 |                                |
| write default, another value             | no                                      | no: it may change [3]          |
| write default taken from a required field| no                                      | yes: the writer must fail [1]  |
| moved                                    | no: fields are found by id [4]          | no                             |
| doc                                      | no                                      | no                             |
| identifier fields set where there were no| no                                      | no: nothing enforces them [5]  |
| identifier fields changed or taken away  | no                                      | yes: an upsert by the old ones |
|                                          |                                         | replaces other rows            |
| partition spec, sort order               | no: queries are of columns, never of    | no: a writer takes the current |
|                                          | partitions [6]                          | ones                           |

What is nested is judged as its column is. What is inside a field that came or went is not told again.

Iceberg spec: [1] "Default values"; [3] "Schema Evolution"; [4] "Column Projection"; [5] "Identifier Field IDs";
[6] "Partitioning". [2] Iceberg docs, "Evolution": map keys take no change that would change equality.
A program that reads or writes by position instead of by name is broken by moves and additions; Iceberg has no such
access, and what an engine makes of `INSERT` without a list of columns is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from app.domain.schema_matching import FieldPair
from app.domain.schemas import SchemaField
from app.domain.type_promotion import TypeKind, is_date_promotion, is_promotion, kind_of


class SchemaChangeKind(StrEnum):
    """What happened to a field. One field may have several changes."""

    ADDED = "ADDED"
    REMOVED = "REMOVED"
    RENAMED = "RENAMED"
    REPLACED = "REPLACED"
    TYPE_CHANGED = "TYPE_CHANGED"
    MADE_OPTIONAL = "MADE_OPTIONAL"
    MADE_REQUIRED = "MADE_REQUIRED"
    MOVED = "MOVED"
    DOC_CHANGED = "DOC_CHANGED"
    DEFAULT_CHANGED = "DEFAULT_CHANGED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakage:
    """Why a change breaks readers and writers of the old version; None where it does not."""

    readers: str | None = None
    writers: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaChange:
    """One thing that happened to one field; `before` and `after` are the field in either version, None where it is not.

    `path` is that of the new version; of a removed field, of the old one.
    """

    kind: SchemaChangeKind
    before: SchemaField | None
    after: SchemaField | None
    is_nested: bool
    breakage: Breakage = field(default_factory=Breakage)

    @property
    def path(self) -> str:
        """Where the field is."""
        return self._shown.path

    @property
    def field_id(self) -> int:
        """Iceberg's id of the field; of one that was dropped and added again, the new one."""
        return self._shown.field_id

    @property
    def is_breaking(self) -> bool:
        """Whether readers or writers of the old version break."""
        return self.breakage.readers is not None or self.breakage.writers is not None

    @property
    def _shown(self) -> SchemaField:
        if self.after is not None:
            return self.after
        if self.before is None:
            raise ValueError("a change is of a field")
        return self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a judgement depends on beside the field: the format version, and date columns bound by their partition.

    The initial defaults of two tables are the pasts of two tables, and say nothing about each other.
    """

    format_version: int
    is_one_table: bool = True
    promotion_bars: Mapping[int, str] = field(default_factory=dict)


def changes_of(pair: FieldPair, rules: Rules) -> Iterator[SchemaChange]:
    """What happened to one field, itself; what is nested in it is in pairs of its own."""
    for kind in _kinds(pair):
        yield SchemaChange(
            kind=kind,
            before=pair.before,
            after=pair.after,
            is_nested=pair.is_nested,
            breakage=_JUDGES[kind](pair, rules),
        )


def _kinds(pair: FieldPair) -> Iterator[SchemaChangeKind]:
    before, after = pair.before, pair.after
    if before is None or after is None:
        yield SchemaChangeKind.ADDED if before is None else SchemaChangeKind.REMOVED
        return
    if pair.is_replaced:
        yield SchemaChangeKind.REPLACED
    if pair.before_name != pair.after_name:
        yield SchemaChangeKind.RENAMED
    if _has_other_type(before, after):
        yield SchemaChangeKind.TYPE_CHANGED
    if before.is_required != after.is_required:
        yield SchemaChangeKind.MADE_REQUIRED if after.is_required else SchemaChangeKind.MADE_OPTIONAL
    if pair.is_moved:
        yield SchemaChangeKind.MOVED
    if (before.doc or None) != (after.doc or None):
        yield SchemaChangeKind.DOC_CHANGED
    if (before.initial_default, before.write_default) != (after.initial_default, after.write_default):
        yield SchemaChangeKind.DEFAULT_CHANGED


def _has_other_type(before: SchemaField, after: SchemaField) -> bool:
    kind = kind_of(after.type)
    if kind is not kind_of(before.type):
        return True
    # What is different inside of a struct, list or map is told of the part itself.
    return kind is TypeKind.PRIMITIVE and before.type != after.type


def _harmless(_pair: FieldPair, _rules: Rules) -> Breakage:
    return Breakage()


def _judge_added(pair: FieldPair, _rules: Rules) -> Breakage:
    after = _of(pair.after)
    if pair.is_in_key:
        reason = f"{after.path} is added to the key of a map, which changes which keys are equal"
        return Breakage(readers=reason, writers=reason)
    if after.is_required and after.write_default is None:
        return Breakage(writers=f"{after.path} is added as required, without a default for writers that leave it out")
    return Breakage()


def _judge_removed(pair: FieldPair, _rules: Rules) -> Breakage:
    reason = f"{_of(pair.before).path} is removed"
    return Breakage(readers=reason, writers=reason)


def _judge_renamed(pair: FieldPair, _rules: Rules) -> Breakage:
    reason = f"{_of(pair.before).path} is renamed to {_of(pair.after).path}"
    return Breakage(readers=reason, writers=reason)


def _judge_replaced(pair: FieldPair, _rules: Rules) -> Breakage:
    # In either direction: of two versions, the later one need not be the one compared to.
    before, after = _of(pair.before), _of(pair.after)
    which = f"{after.path} is another field of that name ({before.field_id}, now {after.field_id})"
    return Breakage(readers=f"{which}: what was written to the one is not read from the other")


def _judge_type(pair: FieldPair, rules: Rules) -> Breakage:
    before, after = _of(pair.before), _of(pair.after)
    change = f"{after.path} goes from {before.type} to {after.type}"
    if not is_promotion(before.type, after.type, rules.format_version):
        reason = f"{change}, which is no promotion that Iceberg allows"
        return Breakage(readers=reason, writers=reason)
    transform = rules.promotion_bars.get(before.field_id)
    if transform is not None and is_date_promotion(before.type, after.type):
        reason = f"{change}, which Iceberg forbids for a column that is partitioned by {transform}"
        return Breakage(readers=reason, writers=reason)
    return Breakage()


def _judge_optional(pair: FieldPair, _rules: Rules) -> Breakage:
    return Breakage(readers=f"{_of(pair.after).path} may be null now")


def _judge_required(pair: FieldPair, _rules: Rules) -> Breakage:
    return Breakage(writers=f"{_of(pair.after).path} may not be null any more")


def _judge_default(pair: FieldPair, rules: Rules) -> Breakage:
    before, after = _of(pair.before), _of(pair.after)
    readers = writers = None
    # A field that was added again has a first default of its own; that its old values are gone is told already.
    is_same_field = rules.is_one_table and not pair.is_replaced
    if is_same_field and before.initial_default != after.initial_default:
        readers = f"{after.path} has another initial default: rows written before it was added read otherwise"
    if before.is_required and after.is_required and before.write_default is not None and after.write_default is None:
        writers = f"{after.path} is required, and has no default any more for writers that leave it out"
    return Breakage(readers=readers, writers=writers)


_JUDGES = {
    SchemaChangeKind.ADDED: _judge_added,
    SchemaChangeKind.REMOVED: _judge_removed,
    SchemaChangeKind.RENAMED: _judge_renamed,
    SchemaChangeKind.REPLACED: _judge_replaced,
    SchemaChangeKind.TYPE_CHANGED: _judge_type,
    SchemaChangeKind.MADE_OPTIONAL: _judge_optional,
    SchemaChangeKind.MADE_REQUIRED: _judge_required,
    SchemaChangeKind.MOVED: _harmless,
    SchemaChangeKind.DOC_CHANGED: _harmless,
    SchemaChangeKind.DEFAULT_CHANGED: _judge_default,
}


def _of(found: SchemaField | None) -> SchemaField:
    if found is None:
        raise ValueError("a change of this kind has the field on that side")
    return found
