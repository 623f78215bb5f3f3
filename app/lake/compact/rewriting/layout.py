"""What all files have in common that rows of a table are written to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema, sanitize_column_names

from app.lake.compact.rewriting.leaves import Leaf, leaves
from app.lake.compact.rewriting.metrics import Modes, metrics_modes
from app.lake.compact.rewriting.writer_options import WriterOptions, writer_options
from app.lake.table import LakeTable


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLayout:
    """Columns with their ids, in names that Iceberg allows in files; how they are written and measured."""

    dataset: str
    schema: Schema
    arrow_schema: pa.Schema
    columns: Sequence[Leaf]
    modes: Modes
    options: WriterOptions
    sort_order_id: int

    def of_fields(self, places: Sequence[int]) -> FileLayout:
        """That of files which have the fields at these places alone."""
        schema = Schema(*(self.schema.fields[place] for place in places))
        arrow_schema = pa.schema([self.arrow_schema.field(place) for place in places], self.arrow_schema.metadata)
        return replace(self, schema=schema, arrow_schema=arrow_schema, columns=leaves(schema))

    def relabelled(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Rows in the names and with the field ids of files, at every depth; copies nothing."""
        # By the C data interface: a cast finds parts of structs by their names.
        return pa.record_batch(_Relabelled(batch, self.arrow_schema))


def layout_of(table: LakeTable, rows: int, sort_order_id: int) -> FileLayout:
    """How files of this table are laid out, for this many rows.

    Raises:
        InvalidTablePropertyError: a property of the table has a value that it cannot have.
    """
    schema, properties = table.metadata.schema(), table.metadata.properties
    in_files = sanitize_column_names(schema)
    columns = leaves(in_files)
    return FileLayout(
        dataset=str(table.state.name),
        schema=in_files,
        arrow_schema=schema_to_pyarrow(in_files),
        columns=columns,
        modes=metrics_modes(properties, schema, columns),
        options=writer_options(properties, schema, columns, rows),
        sort_order_id=sort_order_id,
    )


class _Relabelled:
    """The buffers of a batch under another schema of the same types, which differ in names."""

    def __init__(self, batch: pa.RecordBatch, schema: pa.Schema) -> None:
        self._batch = batch
        self._schema = schema

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        _, array = self._batch.__arrow_c_array__()
        return self._schema.__arrow_c_schema__(), array
