"""Manifests in blocks, with files copied from others: entry for entry what pyiceberg's own writers write."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.avro.codecs import AvroCompressionCodec
from pyiceberg.avro.encoder import BinaryEncoder
from pyiceberg.avro.file import AvroFile, AvroOutputFile
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import (
    DATA_FILE_TYPE,
    MANIFEST_ENTRY_SCHEMAS,
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    ManifestWriter,
    write_manifest,
)
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform
from pyiceberg.typedef import Record
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
    UUIDType,
)
from pyiceberg.utils.schema_conversion import AvroSchemaConversion

from app.lake.avro_files import parse_avro
from app.lake.compact.manifest_writing import BLOCK_BYTES, open_manifest
from app.lake.delete_manifests import DeleteManifestWriter
from app.lake.encoded_files import EntryLayout, encode_long, find_layout, layout_of
from app.lake.manifest_files import WholeManifest

SNAPSHOT_ID, EARLIER_ID = 8_000_000_000_000_000_001, 17
SCHEMA = Schema(
    NestedField(1, "at", TimestamptzType()),
    NestedField(2, "name", StringType()),
    NestedField(3, "price", DecimalType(20, 3)),
    NestedField(4, "token", UUIDType()),
    NestedField(5, "digest", FixedType(3)),
    NestedField(6, "raw", BinaryType()),
    NestedField(7, "share", DoubleType()),
    NestedField(8, "is_paid", BooleanType()),
)
_TRANSFORMS = {1: DayTransform(), 2: BucketTransform(16)}
PARTITIONED = PartitionSpec(
    *(
        PartitionField(
            field.field_id,
            1000 + field.field_id,
            _TRANSFORMS.get(field.field_id, IdentityTransform()),
            f"by_{field.name}",
        )
        for field in SCHEMA.fields
    ),
    spec_id=3,
)
PLAIN = PartitionSpec()

# pyiceberg has snappy only where it is installed.
CODECS = [codec for codec in get_args(AvroCompressionCodec) if codec != "snappy"]
# In the order of the fields of `PARTITIONED`.
_VALUES: Sequence[st.SearchStrategy[Any]] = (
    st.integers(-30_000, 60_000),
    st.integers(0, 15),
    st.decimals(min_value=Decimal(-(10**16)), max_value=Decimal(10**16), places=3),
    st.uuids(),
    st.binary(min_size=3, max_size=3),
    st.binary(max_size=9),
    st.floats(allow_nan=False),
    st.booleans(),
)
# pyiceberg 0.12 reads numbers below zero wrong where there are several, of which a manifest has none.
_LONGS = st.integers(0, 2**62)
_COUNTS = st.none() | st.dictionaries(st.integers(0, 2**31 - 1), _LONGS, max_size=4)
_BOUNDS = st.none() | st.dictionaries(st.integers(0, 2**31 - 1), st.binary(max_size=20), max_size=4)


@st.composite
def data_files(draw: st.DrawFn, spec: PartitionSpec, content: ManifestContent) -> DataFile:
    kinds = [DataFileContent.DATA] if content == ManifestContent.DATA else list(DataFileContent)[1:]
    return DataFile.from_args(
        content=draw(st.sampled_from(kinds)),
        file_path=draw(st.text(max_size=30)),
        file_format=draw(st.sampled_from(FileFormat)),
        partition=Record(*(draw(st.none() | values) for values in _VALUES[: len(spec.fields)])),
        record_count=draw(st.integers(0, 2**63 - 1)),
        file_size_in_bytes=draw(st.integers(0, 2**63 - 1)),
        column_sizes=draw(_COUNTS),
        value_counts=draw(_COUNTS),
        null_value_counts=draw(_COUNTS),
        nan_value_counts=draw(_COUNTS),
        lower_bounds=draw(_BOUNDS),
        upper_bounds=draw(_BOUNDS),
        key_metadata=draw(st.none() | st.binary(max_size=9)),
        split_offsets=draw(st.none() | st.lists(_LONGS, max_size=3)),
        equality_ids=draw(st.none() | st.lists(st.integers(0, 2**31 - 1), max_size=3)),
        sort_order_id=draw(st.none() | st.integers(0, 2**31 - 1)),
    )


@st.composite
def entries_of(draw: st.DrawFn, version: int, spec: PartitionSpec, content: ManifestContent) -> list[ManifestEntry]:
    """Entries as a commit writes them, numbered or to be."""
    made = []
    for file in draw(st.lists(data_files(spec, content), min_size=1, max_size=5)):
        status = draw(st.sampled_from([ManifestEntryStatus.ADDED, ManifestEntryStatus.EXISTING]))
        is_added = status == ManifestEntryStatus.ADDED
        is_inherited = version == 1 or (is_added and draw(st.booleans()))
        made.append(
            ManifestEntry.from_args(
                status=status,
                snapshot_id=EARLIER_ID if is_added else draw(st.integers(1, 2**63 - 1)),
                sequence_number=None if is_inherited else draw(st.integers(0, 2**40)),
                file_sequence_number=None if is_inherited or is_added else draw(st.integers(0, 2**40)),
                data_file=file,
            )
        )
    return made


class Lake:
    """Manifests in a folder."""

    def __init__(self, folder: Path) -> None:
        self.io: FileIO = PyArrowFileIO()
        self._folder = folder

    def location(self) -> str:
        return f"file://{self._folder}/{uuid.uuid4()}.avro"

    def theirs(
        self, version: int, content: ManifestContent, spec: PartitionSpec, snapshot_id: int, schema: Schema = SCHEMA
    ) -> ManifestWriter:
        """pyiceberg's own writer."""
        arguments = (spec, schema, self.io.new_output(self.location()), snapshot_id, "deflate")
        if content == ManifestContent.DELETES:
            return DeleteManifestWriter(*arguments)  # type: ignore[arg-type]
        return write_manifest(version, *arguments)  # type: ignore[arg-type]

    def ours(
        self,
        version: int,
        content: ManifestContent,
        spec: PartitionSpec,
        layout: EntryLayout | None,
        codec: AvroCompressionCodec = "deflate",
        snapshot_id: int = SNAPSHOT_ID,
    ) -> ManifestWriter:
        output = self.io.new_output(self.location())
        return open_manifest(version, content, spec, SCHEMA, output, snapshot_id, codec, layout)

    def whole(self, manifest: ManifestFile, *, keeps_encoded: bool) -> list[ManifestEntry]:
        """Its entries, as they are read where they are copied."""
        read = WholeManifest(*manifest._data)
        read.keeps_encoded = keeps_encoded
        read[4] = 0 if manifest.sequence_number == -1 and manifest.min_sequence_number == -1 else 12
        return read.fetch_manifest_entry(self.io)

    def raw(self, manifest: ManifestFile) -> list[Record]:
        """Its records, with all fields that the file has."""
        with AvroFile[Record](self.io.new_input(manifest.manifest_path)) as file:
            return list(file)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return Lake(tmp_path_factory.mktemp("manifests"))


def write(writer: ManifestWriter, entries: Sequence[ManifestEntry], do: str) -> ManifestFile:
    with writer:
        for number, entry in enumerate(entries):
            match do:
                case "add":
                    writer.add_entry(entry)
                case "delete":
                    writer.delete(entry)
                case "keep":
                    writer.existing(entry)
                case _:
                    (writer.delete if number % 2 else writer.existing)(entry)
    return writer.to_manifest_file()


def plain(value: Any) -> Any:
    """A record and all that is in it, so that all of it counts where two are compared."""
    if isinstance(value, Record):
        return [plain(each) for each in value._data]
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return dict(value.items()) if hasattr(value, "items") else value


def summary(manifest: ManifestFile) -> Any:
    """What the list of manifests tells of one but for where it is, and its size."""
    return plain(manifest)[2:]


def size(manifest: ManifestFile) -> int:
    return Path(manifest.manifest_path.removeprefix("file://")).stat().st_size


KINDS = pytest.mark.parametrize(
    ("version", "content", "spec"),
    [
        pytest.param(1, ManifestContent.DATA, PLAIN, id="version 1"),
        pytest.param(1, ManifestContent.DATA, PARTITIONED, id="version 1 with partitions"),
        pytest.param(2, ManifestContent.DATA, PLAIN, id="data"),
        pytest.param(2, ManifestContent.DATA, PARTITIONED, id="data with partitions"),
        pytest.param(2, ManifestContent.DELETES, PLAIN, id="deletes"),
        pytest.param(2, ManifestContent.DELETES, PARTITIONED, id="deletes with partitions"),
    ],
)


@KINDS
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_is_copied_is_what_pyiceberg_writes(
    lake: Lake, version: int, content: ManifestContent, spec: PartitionSpec, data: st.DataObject
) -> None:
    # Given a manifest of somebody else
    made = data.draw(entries_of(version, spec, content))
    source = write(lake.theirs(version, content, spec, EARLIER_ID), made, "add")
    decoded, encoded = (lake.whole(source, keeps_encoded=keeps) for keeps in (False, True))
    layout = layout_of(encoded[0].data_file)
    assert layout is not None
    assert layout.fits(version, content, spec.partition_type(SCHEMA))
    codec = data.draw(st.sampled_from(CODECS))
    do = data.draw(st.sampled_from(["delete", "keep", "both"]))

    # When what becomes of its files is written by both
    theirs = write(lake.theirs(version, content, spec, SNAPSHOT_ID), decoded, do)
    ours = write(lake.ours(version, content, spec, layout, codec), encoded, do)

    # Then every field is the same, and the manifest and its list tell the same
    assert plain(lake.raw(ours)) == plain(lake.raw(theirs))
    assert summary(ours) == summary(theirs)
    assert ours.manifest_length == size(ours)
    assert plain(lake.whole(ours, keeps_encoded=False)) == plain(lake.whole(theirs, keeps_encoded=True))
    heads = [parse_header(lake, manifest) for manifest in (ours, theirs)]
    assert heads[0].pop("avro.codec") == codec
    assert heads[1].pop("avro.codec") == "deflate"
    assert heads[0] == heads[1]


def parse_header(lake: Lake, manifest: ManifestFile) -> dict[str, str]:
    with AvroFile[Record](lake.io.new_input(manifest.manifest_path)) as file:
        return dict(file.header.meta)


@KINDS
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_is_encoded_anew_is_what_pyiceberg_writes(
    lake: Lake, version: int, content: ManifestContent, spec: PartitionSpec, data: st.DataObject
) -> None:
    made = data.draw(entries_of(version, spec, content))
    theirs = write(lake.theirs(version, content, spec, EARLIER_ID), made, "add")
    ours = write(lake.ours(version, content, spec, None, snapshot_id=EARLIER_ID), made, "add")
    assert plain(lake.raw(ours)) == plain(lake.raw(theirs))
    assert summary(ours) == summary(theirs)
    assert ours.manifest_length == size(ours)


@given(value=st.integers(-(2**63), 2**63 - 1))
def test_numbers_are_encoded_as_pyiceberg_does(value: int) -> None:
    expected = BytesIO()
    BinaryEncoder(expected).write_int(value)  # type: ignore[arg-type]
    assert encode_long(value) == expected.getvalue()


def made_file(number: int = 0, **more: Any) -> DataFile:
    told = {
        "content": DataFileContent.DATA,
        "file_path": f"s3://lake/orders/data/{number:08}.parquet",
        "file_format": FileFormat.PARQUET,
        "partition": Record(),
        "record_count": 10,
        "file_size_in_bytes": 1_000 + number,
        "lower_bounds": {column: number.to_bytes(8) for column in range(8)},
    }
    return DataFile.from_args(**told | more)


def made_entry(number: int = 0, **more: Any) -> ManifestEntry:
    return ManifestEntry.from_args(
        status=ManifestEntryStatus.EXISTING,
        snapshot_id=EARLIER_ID,
        sequence_number=5,
        file_sequence_number=6,
        data_file=made_file(number, **more),
    )


def test_fields_that_pyiceberg_does_not_know_are_kept(lake: Lake) -> None:
    # Given a manifest of deletes as Iceberg's own library writes it, and of fields yet to come
    more = (
        NestedField(142, "first_row_id", LongType(), required=False),
        NestedField(143, "referenced_data_file", StringType(), required=False),
        NestedField(144, "content_offset", LongType(), required=False),
        NestedField(999, "yet_to_come", BinaryType(), required=False),
    )
    schema = DeleteManifestWriter(PLAIN, SCHEMA, lake.io.new_output(lake.location()), 1, "null")._with_partition(2)
    file_type = schema.find_type("data_file")
    assert isinstance(file_type, StructType)
    schema = Schema(
        *schema.fields[:-1], NestedField(2, "data_file", StructType(*file_type.fields, *more), required=True)
    )
    output = lake.io.new_output(lake.location())
    file = made_file(content=DataFileContent.POSITION_DELETES, equality_ids=[])
    beyond = [70, "s3://lake/orders/data/7.parquet", 4, b"some"]
    with AvroOutputFile[Record](output, schema, "manifest_entry") as written:
        written.write_block([Record(0, EARLIER_ID, 5, 6, Record(*file._data[:16], *beyond))])
    with lake.theirs(2, ManifestContent.DELETES, PLAIN, EARLIER_ID) as told:
        told.add_entry(made_entry(content=DataFileContent.POSITION_DELETES))
    source = told.to_manifest_file()
    source[0], source[1] = output.location, len(output)

    # When a snapshot is written that keeps the file
    entries = lake.whole(source, keeps_encoded=True)
    copied = write(lake.ours(2, ManifestContent.DELETES, PLAIN, layout_of(entries[0].data_file)), entries, "keep")

    (record,) = lake.raw(copied)
    assert plain(record) == [0, EARLIER_ID, 5, 6, [*plain(file)[:16], *beyond]]


def test_entries_are_gathered_into_blocks_as_large_as_those_of_other_writers(lake: Lake) -> None:
    source = write(
        lake.theirs(2, ManifestContent.DATA, PLAIN, EARLIER_ID), [made_entry(n) for n in range(1_000)], "add"
    )
    entries = lake.whole(source, keeps_encoded=True)
    layout = layout_of(entries[0].data_file)
    for known in (layout, None):
        copied = write(lake.ours(2, ManifestContent.DATA, PLAIN, known), entries, "delete")
        with lake.io.new_input(copied.manifest_path).open() as stream:
            blocks = [(count, len(block)) for count, block in parse_avro(stream.read()).blocks()]
        assert sum(count for count, _ in blocks) == 1_000
        assert all(BLOCK_BYTES <= length < BLOCK_BYTES + 1_000 for _, length in blocks[:-1])
        # And repeated texts take hardly any room
        assert copied.manifest_length < source.manifest_length / 3


def test_a_manifest_tells_how_long_it_is_before_a_block_ends(lake: Lake) -> None:
    with lake.ours(2, ManifestContent.DATA, PLAIN, None) as writer:
        before = writer.tell()
        writer.add_entry(made_entry())
        assert writer.tell() > before + 100


def test_a_file_of_another_schema_is_refused(lake: Lake) -> None:
    source = write(lake.theirs(2, ManifestContent.DATA, PLAIN, EARLIER_ID), [made_entry()], "add")
    (entry,) = lake.whole(source, keeps_encoded=True)
    with lake.ours(2, ManifestContent.DATA, PLAIN, layout_of(entry.data_file)) as writer:
        writer.existing(entry)
        with pytest.raises(ValueError, match="is not known in the layout"):
            writer.existing(made_entry())


def test_files_have_their_bytes_only_where_they_are_asked_for(lake: Lake) -> None:
    source = write(lake.theirs(2, ManifestContent.DATA, PLAIN, EARLIER_ID), [made_entry()], "add")
    (entry,) = lake.whole(source, keeps_encoded=False)
    assert layout_of(entry.data_file) is None


def layout_of_schema(change: Callable[[Any], None] = lambda _: None, *, version: int = 2) -> EntryLayout | None:
    """The layout of the manifests of a version, with a change to their schema in Avro's words."""
    schema = AvroSchemaConversion().iceberg_to_avro(MANIFEST_ENTRY_SCHEMAS[version], "manifest_entry")
    change(schema)
    return find_layout(json.dumps(schema))


def test_layouts_are_good_for_tables_of_their_own_version() -> None:
    found = {version: layout_of_schema(version=version) for version in (1, 2)}
    good = [
        (version, known)
        for version in (1, 2)
        for known, layout in found.items()
        if layout is not None and layout.fits(version, ManifestContent.DATA, StructType())
    ]
    assert good == [(1, 1), (2, 2)]


def test_ids_that_are_longs_are_not_copied_into_manifests_of_deletes() -> None:
    layout = layout_of_schema()
    assert layout is not None
    assert not layout.fits(2, ManifestContent.DELETES, StructType())


@pytest.mark.parametrize(
    ("of_manifest", "of_table"),
    [
        pytest.param([], [(1000, LongType())], id="a field more"),
        pytest.param([(1000, IntegerType())], [(1000, LongType())], id="a wider type"),
        pytest.param([(1000, DateType())], [(1001, DateType())], id="another field"),
        pytest.param([(1000, DateType()), (1001, LongType())], [(1001, LongType()), (1000, DateType())], id="an order"),
    ],
)
def test_partitions_of_another_type_are_not_copied(
    of_manifest: list[tuple[int, IcebergType]], of_table: list[tuple[int, IcebergType]]
) -> None:
    kinds = [
        StructType(*(NestedField(field_id, f"f{field_id}", kind) for field_id, kind in fields))
        for fields in (of_manifest, of_table)
    ]
    file_type = [
        NestedField(102, "partition", kinds[0], required=True) if field.field_id == 102 else field
        for field in DATA_FILE_TYPE[2].fields
    ]
    head = MANIFEST_ENTRY_SCHEMAS[2].fields[:-1]
    schema = Schema(*head, NestedField(2, "data_file", StructType(*file_type), required=True))

    def change(found: Any) -> None:
        found |= AvroSchemaConversion().iceberg_to_avro(schema, "manifest_entry")  # type: ignore[operator]

    layout = layout_of_schema(change)
    assert layout is not None
    assert layout.fits(2, ManifestContent.DATA, kinds[0])
    assert not layout.fits(2, ManifestContent.DATA, kinds[1])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda schema: schema["fields"].reverse(), id="another order"),
        pytest.param(lambda schema: schema["fields"].pop(2), id="a field less"),
        pytest.param(lambda schema: schema["fields"][1].update(type=["long", "null"]), id="null last"),
        pytest.param(lambda schema: schema["fields"][4]["type"]["fields"].pop(0), id="no content"),
    ],
)
def test_schemas_that_differ_from_what_is_written_are_not_copied(change: Callable[[Any], None]) -> None:
    assert layout_of_schema() is not None
    assert layout_of_schema(change) is None


def test_a_number_that_must_be_told_is_missed() -> None:
    layout = layout_of_schema(version=1)
    assert layout is not None
    with pytest.raises(ValueError, match="lacks what its manifest must tell"):
        layout.head_of(ManifestEntry.from_args(status=ManifestEntryStatus.DELETED, data_file=made_file()))
