"""How the schemas of two versions of datasets differ."""

from __future__ import annotations

import strawberry

from app.domain import layouts, schema_changes, schema_diff
from app.graphql.fields import field
from app.graphql.types.enums import SchemaChangeKind
from app.graphql.types.schema_version import SchemaField, SchemaVersion, show_field, show_schema


@strawberry.type(description="A column with another type.")
class TypeChange:
    """A column with another type."""

    column: str = strawberry.field(description="The column, by the name that it has now.")
    from_: str = strawberry.field(name="from", description="The type that it had.")
    to: str = strawberry.field(description="The type that it has.")


@strawberry.type(description="A column with another name.")
class ColumnRename:
    """A column with another name."""

    field_id: int = strawberry.field(description="Iceberg's id of the field, which stayed the same.")
    from_: str = strawberry.field(name="from", description="The name that it had.")
    to: str = strawberry.field(description="The name that it has.")


@strawberry.type(description="A list in two versions. Null is not known, and then neither is whether it changed.")
class ListChange:
    """A list in two versions."""

    before: list[str] | None = strawberry.field(description="The list of the version compared from.")
    after: list[str] | None = strawberry.field(description="The list of the version compared to.")
    changed: bool | None = strawberry.field(description="Whether it changed.")


@strawberry.type(description="One thing that happened to one field.")
class SchemaChange:
    """One thing that happened to one field."""

    change: strawberry.Private[schema_changes.SchemaChange]

    @field(description="Iceberg's id of the field; of one that was dropped and added again, the new one.")
    def field_id(self) -> int:
        """Iceberg's id of the field."""
        return self.change.field_id

    @field(description="What happened.")
    def kind(self) -> SchemaChangeKind:
        """What happened."""
        return self.change.kind

    @field(description="Names from the root, joined by dots; of a removed field, where it was.")
    def path(self) -> str:
        """Where the field is."""
        return self.change.path

    @field(description="The field as it was; null where it is new.")
    def before(self) -> SchemaField | None:
        """The field as it was."""
        return None if self.change.before is None else show_field(self.change.before)

    @field(description="The field as it is; null where it is gone.")
    def after(self) -> SchemaField | None:
        """The field as it is."""
        return None if self.change.after is None else show_field(self.change.after)

    @field(description="Whether programs that were written for the old version break.")
    def breaking(self) -> bool:
        """Whether readers or writers of the old version break."""
        return self.change.is_breaking

    @field(description="Why programs that read the old version break; null where they do not.")
    def breaking_for_readers(self) -> str | None:
        """Why readers of the old version break."""
        return self.change.breakage.readers

    @field(description="Why programs that write the old version break; null where they do not.")
    def breaking_for_writers(self) -> str | None:
        """Why writers of the old version break."""
        return self.change.breakage.writers


@strawberry.type(
    description="How the schemas of two versions differ. Fields of one dataset are matched by field id, and what was "
    "dropped and added again by its name; those of two datasets by name alone. The columns of the old version are "
    "removed, renamed or common, those of the new one added, renamed or common."
)
class SchemaDiff:
    """How the schemas of two versions differ."""

    diff: strawberry.Private[schema_diff.SchemaDiff]

    @field(name="from", description="The schema of the version compared from.")
    def from_(self) -> SchemaVersion:
        """The schema of the version compared from."""
        return show_schema(self.diff.before.schema)

    @field(description="The schema of the version compared to.")
    def to(self) -> SchemaVersion:
        """The schema of the version compared to."""
        return show_schema(self.diff.after.schema)

    @field(description="Columns that the old version has not.")
    def added_columns(self) -> list[str]:
        """Columns that the old version has not."""
        return list(self.diff.added_columns)

    @field(description="Columns that the new version has not.")
    def removed_columns(self) -> list[str]:
        """Columns that the new version has not."""
        return list(self.diff.removed_columns)

    @field(description="Columns that both have by the same name, in the order of the new version.")
    def common_columns(self) -> list[str]:
        """Columns that both have by the same name."""
        return list(self.diff.common_columns)

    @field(description="Columns with another type; what is nested is in `changes`.")
    def type_changes(self) -> list[TypeChange]:
        """Columns with another type."""
        found = self.diff.of_kind(SchemaChangeKind.TYPE_CHANGED)
        return [
            TypeChange(column=change.path, from_=change.before.type, to=change.after.type)
            for change in found
            if change.before is not None and change.after is not None
        ]

    @field(description="Columns with another name, by field id.")
    def renamed_columns(self) -> list[ColumnRename]:
        """Columns with another name."""
        found = self.diff.of_kind(SchemaChangeKind.RENAMED)
        return [
            ColumnRename(field_id=change.field_id, from_=change.before.path, to=change.after.path)
            for change in found
            if change.before is not None and change.after is not None
        ]

    @field(description="All that happened to fields at every depth, parents ahead of what is nested in them.")
    def changes(self) -> list[SchemaChange]:
        """All that happened to fields."""
        return [SchemaChange(change=change) for change in self.diff.changes]

    @field(description="Paths of the columns that identify a row; always known.")
    def identifier_fields(self) -> ListChange:
        """Paths of the columns that identify a row."""
        return _show_list(self.diff.identifier_fields)

    @field(
        description="How files are split, such as `day(at) as at_day`. Iceberg does not record it with a snapshot: of "
        "`latest` and branches it is what the table has now; of others it is known where the table has only one."
    )
    def partition_spec(self) -> ListChange:
        """How files are split."""
        return _show_list(self.diff.partition)

    @field(description="How rows are sorted within a file, such as `id asc nulls-first`; known as `partitionSpec` is.")
    def sort_order(self) -> ListChange:
        """How rows are sorted within a file."""
        return _show_list(self.diff.sort)

    @field(description="Whether programs that were written for the old version break, by Iceberg's own rules.")
    def breaking(self) -> bool:
        """Whether readers or writers of the old version break."""
        return self.diff.is_breaking

    @field(description="Why, each beginning with `readers: ` or `writers: `.")
    def breaking_reasons(self) -> list[str]:
        """Why readers or writers of the old version break."""
        return list(self.diff.breaking_reasons)

    @field(description="Why programs that read the old version break.")
    def breaking_for_readers(self) -> list[str]:
        """Why readers of the old version break."""
        return list(self.diff.breaking_for_readers)

    @field(description="Why programs that write the old version break.")
    def breaking_for_writers(self) -> list[str]:
        """Why writers of the old version break."""
        return list(self.diff.breaking_for_writers)


def _show_list(change: layouts.ListChange) -> ListChange:
    return ListChange(
        before=None if change.before is None else list(change.before),
        after=None if change.after is None else list(change.after),
        changed=change.is_changed,
    )
