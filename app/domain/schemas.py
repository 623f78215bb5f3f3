"""Schemas as values, and in words what changes for readers when a table goes from one to another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from app.errors import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaField:
    """A column, or a part of a nested one: `path` from the root (`address.zip`, `tags.element`).

    `initial_default` is read where a file is older than the field, `write_default` is written where a writer leaves it
    out (Iceberg spec, "Default values"; from format version 3 on). None is null, which is no default.
    """

    field_id: int
    path: str
    type: str
    is_required: bool
    doc: str | None = None
    children: tuple[SchemaField, ...] = ()
    initial_default: JsonValue = None
    write_default: JsonValue = None

    def walk(self) -> Iterator[SchemaField]:
        """This field and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaVersion:
    """One schema of a table."""

    schema_id: int
    fields: tuple[SchemaField, ...]
    identifier_fields: tuple[str, ...]

    def walk(self) -> Iterator[SchemaField]:
        """All fields at every depth."""
        for field in self.fields:
            yield from field.walk()

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the top-level columns, in schema order."""
        return tuple(field.path for field in self.fields)

    @property
    def paths_by_id(self) -> dict[int, str]:
        """The path of each field."""
        return {field.field_id: field.path for field in self.walk()}

    @property
    def identifier_ids(self) -> frozenset[int]:
        """Ids of the identifier fields."""
        paths = set(self.identifier_fields)
        return frozenset(field.field_id for field in self.walk() if field.path in paths)


def describe_change(before: SchemaVersion, after: SchemaVersion) -> list[str]:
    """What a reader of `before` meets in `after`, one phrase a change; fields are matched by field id.

    A column that comes, goes or is renamed is told once, not again for all that is nested in it.
    """
    old, new = _by_id(before), _by_id(after)
    phrases = [
        f"adds {field.path} ({field.type})"
        for field_id, (field, parent) in new.items()
        if field_id not in old and (parent is None or parent.field_id in old)
    ]
    phrases += [
        f"drops {field.path} ({field.type})"
        for field_id, (field, parent) in old.items()
        if field_id not in new and (parent is None or parent.field_id in new)
    ]
    for field_id in old.keys() & new.keys():
        (was, was_in), (now, now_in) = old[field_id], new[field_id]
        if _own_name(was, was_in) != _own_name(now, now_in):
            phrases.append(f"renames {was.path} to {now.path}")
        if was.type != now.type and not now.children:
            phrases.append(f"changes {now.path} from {was.type} to {now.type}")
        if was.is_required != now.is_required:
            phrases.append(f"makes {now.path} {'required' if now.is_required else 'optional'}")
    if before.identifier_ids != after.identifier_ids:
        phrases.append(f"identifies rows by ({', '.join(after.identifier_fields) or 'nothing'})")
    return sorted(phrases)


def _by_id(schema: SchemaVersion) -> dict[int, tuple[SchemaField, SchemaField | None]]:
    """Each field with the one that it is nested in."""
    found: dict[int, tuple[SchemaField, SchemaField | None]] = {}
    found.update({field.field_id: (field, None) for field in schema.fields})
    for field in schema.walk():
        found.update({child.field_id: (child, field) for child in field.children})
    return found


def _own_name(field: SchemaField, parent: SchemaField | None) -> str:
    return field.path if parent is None else field.path.removeprefix(f"{parent.path}.")
