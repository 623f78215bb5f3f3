"""Reading one data file as the table has it now: the data side of pyiceberg's private parts.

The steps are those of `pyiceberg.io.pyarrow._task_to_record_batches`, which is not used itself because

- it makes empty lists of null lists of structs, and empty maps of null maps to structs;
- it evaluates filters on the values of the file: a float that was promoted to double is compared in single precision,
  a uuid not at all, and a column that the file lacks only where it is in the answer too;
- it forgets how many rows there are when none of the columns is in the file.

The public reader gathers whole files in memory before it gives the first row.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import AlwaysTrue, BooleanExpression, BoundTerm
from pyiceberg.expressions.literals import Literal
from pyiceberg.expressions.visitors import bind, extract_field_ids, translate_column_names, visit
from pyiceberg.io import FileIO, InputStream
from pyiceberg.io.pyarrow import (
    ArrowAccessor,
    ArrowProjectionVisitor,
    _ConvertToArrowExpression,
    _get_column_projection_values,
    _get_file_format,
)
from pyiceberg.manifest import FileFormat
from pyiceberg.schema import Schema, visit_with_partner
from pyiceberg.table import FileScanTask
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.types import DoubleType, FloatType, ListType, MapType, NestedField, StructType, UUIDType

from app.lake.deleted_positions import naming_file, positions_within
from app.lake.deleted_rows import DeletedRows, read_deleted_rows
from app.lake.file_scans import INT96_UNIT, READ_BUFFER_BYTES, scan_file
from app.lake.file_schemas import fit_schema, in_utc, is_downcast, to_arrow_schema
from app.lake.plain_columns import take_plain

# Smaller files are read whole, by one request rather than one for the footer and one for each range of columns.
_WHOLE_BYTES = 256 * 1024


def stream_data_file(
    io: FileIO,
    task: FileScanTask,
    *,
    bound_filter: BooleanExpression,
    projected: Schema,
    read: Schema,
    metadata: TableMetadata,
    only: pa.Array | None = None,
    deleted: pa.Array | DeletedRows | None = None,
    checks_texts: bool = True,
    is_bulk: bool = False,
) -> Iterator[pa.RecordBatch]:
    """The rows of one data file, without those that its position deletes or deletion vectors name, batch by batch.

    With `only`, the rows at these positions (in order) instead, whatever the deletes say; row groups without any are
    not read. `deleted` is what the deletes say, where it is known already. Batches are in the Arrow schema of
    `projected`. `read` is `projected` and whatever else `bound_filter` looks at, whole. Memory: a run of row groups as
    they are in the file (64 MiB of the columns read), a batch of at most 16,384 rows, and where there are deletes a bit
    for each row of the file (`app.lake.deleted_rows`). Without `checks_texts`, texts may be no UTF-8, which all that
    comes after takes them for. With `is_bulk`, which is for who reads many files whole and several at once, a batch may
    have up to 131,072 rows, where the file tells that they are 16 MiB at most.

    Raises:
        ResolveError: the file cannot be read in this schema, for it was written with a later one.
        OSError: it is missing or broken; its name is in the message.
    """
    with naming_file(task.file.file_path):
        yield from _stream(io, task, bound_filter, projected, read, metadata, only, deleted, checks_texts, is_bulk)


def _stream(
    io: FileIO,
    task: FileScanTask,
    bound_filter: BooleanExpression,
    projected: Schema,
    read: Schema,
    metadata: TableMetadata,
    only: pa.Array | None,
    deleted: pa.Array | DeletedRows | None,
    checks_texts: bool,
    is_bulk: bool,
) -> Iterator[pa.RecordBatch]:
    if only is None and deleted is None and task.delete_files:
        (deleted,) = read_deleted_rows(io, [task])
    is_filtered = not isinstance(bound_filter, AlwaysTrue)
    row_filter = visit(bound_filter, _ToArrow(read)) if is_filtered else None
    int96 = {"coerce_int96_timestamp_unit": INT96_UNIT} if task.file.file_format == FileFormat.PARQUET else {}
    file_format = _get_file_format(task.file.file_format, pre_buffer=True, buffer_size=READ_BUFFER_BYTES, **int96)
    read_schema, answer_schema = to_arrow_schema(read), to_arrow_schema(projected)
    with _opened(io, task) as stream:
        fragment = file_format.make_fragment(stream)
        fitted = fit_schema(fragment.physical_schema, metadata, read)
        file_schema, columns = fitted.of_file, fitted.columns
        spec = metadata.specs().get(task.file.spec_id)
        constants = _get_column_projection_values(task.file, read, metadata.schema(), spec, file_schema.field_ids)
        # Arrow compares no instants of two zones.
        is_pushed = is_filtered and deleted is None and only is None and fitted.is_in_utc
        pushed = _pushed_down(bound_filter, read, file_schema, constants) if is_pushed else None
        projection = _Projection(
            file_schema,
            downcast_ns_timestamp_to_us=is_downcast(metadata.format_version),
            projected_missing_fields=constants,
            allow_timestamp_tz_mismatch=True,
        )
        # Of columns that are converted, or that the file lacks, its footer does not tell how much they become.
        is_bulk = is_bulk and fitted.plain_columns(fragment.physical_schema) is not None
        plain: Sequence[int] | None = None
        for number, (first, batch) in enumerate(scan_file(stream, fragment, columns, pushed, only, is_bulk=is_bulk)):
            in_zone = batch if fitted.is_in_utc else batch.cast(in_utc(batch.schema))
            if number == 0:
                plain = fitted.plain_columns(in_zone.schema)
            rows = _chosen(in_zone, first, only=only, deleted=deleted)
            if rows.num_rows == 0:
                continue
            if plain is not None:
                rows = take_plain(rows, plain, read_schema)
            else:
                rows = _conform(_projected(rows, read, projection, ArrowAccessor(file_schema)), read_schema)
            if row_filter is not None:
                rows = rows.filter(row_filter)
                if rows.num_rows == 0:
                    continue
            if read is not projected:
                rows = _conform(_projected(rows, projected, _Projection(read), ArrowAccessor(read)), answer_schema)
            for column in rows.columns if checks_texts else ():
                # Ten nanoseconds a row.
                column.validate(full=True)
            yield rows


def _opened(io: FileIO, task: FileScanTask) -> InputStream:
    with contextlib.ExitStack() as opened:
        stream = opened.enter_context(io.new_input(task.file.file_path).open())
        if task.file.file_size_in_bytes <= _WHOLE_BYTES:
            content = stream.read(_WHOLE_BYTES + 1)
            if len(content) <= _WHOLE_BYTES:
                return cast("InputStream", pa.BufferReader(content))
            # Its manifest says less than there is.
            stream.seek(0)
        opened.pop_all()
    return stream


def _chosen(
    batch: pa.RecordBatch, first: int, *, only: pa.Array | None, deleted: pa.Array | DeletedRows | None
) -> pa.RecordBatch:
    end = first + batch.num_rows
    if only is not None:
        return batch.take(positions_within(only, first, end))
    if isinstance(deleted, DeletedRows):
        live = deleted.live_within(first, end)
        return batch if live is None else batch.filter(live)
    if deleted is None or len(gone := positions_within(deleted, first, end)) == 0:
        return batch
    return batch.filter(pc.invert(pc.is_in(pa.arange(0, batch.num_rows), value_set=gone)))


def _projected(
    batch: pa.RecordBatch, schema: Schema, projection: ArrowProjectionVisitor, accessor: ArrowAccessor
) -> pa.RecordBatch:
    return pa.RecordBatch.from_struct_array(visit_with_partner(schema, batch, projection, accessor))


def _pushed_down(
    bound_filter: BooleanExpression, read: Schema, file_schema: Schema, constants: dict[int, Any]
) -> pc.Expression | None:
    """The filter in the file's own columns, to skip row groups by; None where it means another thing there."""
    for field_id in extract_field_ids(bound_filter) & file_schema.field_ids:
        kind = read.find_type(field_id)
        if isinstance(kind, UUIDType) or file_schema.find_type(field_id) != kind:
            return None
    translated = translate_column_names(bound_filter, file_schema, True, constants)
    return visit(bind(file_schema, translated, True), _ToSkipBy(file_schema))


def _conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    # Files differ in what Arrow makes of them (string or large_string, dictionary or not); an answer has one schema.
    if batch.schema.equals(schema):
        return batch
    return pa.Table.from_batches([batch]).cast(schema).combine_chunks().to_batches()[0]


class _Projection(ArrowProjectionVisitor):
    """pyiceberg's, but that nulls stay null."""

    def list(self, list_type: ListType, list_array: pa.Array | None, value_array: pa.Array | None) -> pa.Array | None:
        """The list in the projected type."""
        return _with_nulls_of(list_array, super().list(list_type, list_array, value_array))

    def map(
        self, map_type: MapType, map_array: pa.Array | None, key_result: pa.Array | None, value_result: pa.Array | None
    ) -> pa.Array | None:
        """The map in the projected type."""
        return _with_nulls_of(map_array, super().map(map_type, map_array, key_result, value_result))


def _with_nulls_of(original: pa.Array | None, array: pa.Array | None) -> pa.Array | None:
    if original is None or array is None or original.null_count == array.null_count:
        return array
    return pc.if_else(original.is_valid(), array, pa.scalar(None, array.type))


class _ToArrow(_ConvertToArrowExpression):
    """pyiceberg's, and uuids as their bytes, because Arrow compares no extension types."""

    def _get_field_name(self, term: BoundTerm) -> tuple[str, ...]:
        # pyiceberg splits the full name at its dots, which a column's own name may have too.
        return _path_to(self._schema.fields if self._schema else (), term.ref().field.field_id)

    def visit_equal(self, term: BoundTerm, literal: Literal[Any]) -> pc.Expression:
        """Equality of a value."""
        if _is_uuid(term):
            return self._bytes_of(term) == pa.scalar(literal.value, pa.binary(16))
        return super().visit_equal(term, literal)

    def visit_not_equal(self, term: BoundTerm, literal: Literal[Any]) -> pc.Expression:
        """Inequality of a value."""
        return ~self.visit_equal(term, literal) if _is_uuid(term) else super().visit_not_equal(term, literal)

    def visit_in(self, term: BoundTerm, literals: set[Any]) -> pc.Expression:
        """Membership of a value."""
        if _is_uuid(term):
            return self._bytes_of(term).isin(pa.array(literals, pa.binary(16)))
        return super().visit_in(term, literals)

    def visit_not_in(self, term: BoundTerm, literals: set[Any]) -> pc.Expression:
        """No membership of a value."""
        return ~self.visit_in(term, literals)

    def _bytes_of(self, term: BoundTerm) -> pc.Expression:
        return pc.field(self._get_field_name(term)).cast(pa.binary(16))


class _ToSkipBy(_ToArrow):
    """For row groups that hold no row of the answer: statistics leave NaN out, so any group may have what NaN meets."""

    def visit_is_nan(self, term: BoundTerm) -> pc.Expression:
        """No group can be skipped."""
        return self.visit_true()

    def visit_not_equal(self, term: BoundTerm, literal: Literal[Any]) -> pc.Expression:
        """Inequality of a value, where it cannot be NaN."""
        return self.visit_true() if _has_nan(term) else super().visit_not_equal(term, literal)

    def visit_not_in(self, term: BoundTerm, literals: set[Any]) -> pc.Expression:
        """No membership of a value, where it cannot be NaN."""
        return self.visit_true() if _has_nan(term) else super().visit_not_in(term, literals)


def _path_to(fields: Iterable[NestedField], field_id: int) -> tuple[str, ...]:
    for field in fields:
        if field.field_id == field_id:
            return (field.name,)
        if isinstance(field.field_type, StructType) and (inner := _path_to(field.field_type.fields, field_id)):
            return (field.name, *inner)
    return ()


def _has_nan(term: BoundTerm) -> bool:
    return isinstance(term.ref().field.field_type, (FloatType, DoubleType))


def _is_uuid(term: BoundTerm) -> bool:
    return isinstance(term.ref().field.field_type, UUIDType)
