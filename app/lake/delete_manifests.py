"""Manifests of delete files, which pyiceberg 0.12 reads but does not write."""

from __future__ import annotations

from pyiceberg.manifest import ManifestContent, ManifestWriterV2
from pyiceberg.schema import Schema
from pyiceberg.typedef import TableVersion
from pyiceberg.types import IntegerType, ListType, StructType


class DeleteManifestWriter(ManifestWriterV2):
    """pyiceberg's writer of v2 manifests marks them all as data; this one marks them as deletes."""

    def content(self) -> ManifestContent:
        """What is in it."""
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}

    def _with_partition(self, format_version: TableVersion) -> Schema:
        # pyiceberg 0.12 would write equality_ids as longs; the spec says int, and Iceberg's Java reader fails on longs.
        schema = super()._with_partition(format_version)
        data_file = schema.find_type("data_file")
        if not isinstance(data_file, StructType):
            raise TypeError(f"data_file is {data_file}, not a struct")
        ids = ListType(element_id=136, element_type=IntegerType(), element_required=True)
        fields = [
            field.model_copy(update={"field_type": ids}) if field.name == "equality_ids" else field
            for field in data_file.fields
        ]
        return Schema(
            *(
                field.model_copy(update={"field_type": StructType(*fields)}) if field.name == "data_file" else field
                for field in schema.fields
            )
        )
