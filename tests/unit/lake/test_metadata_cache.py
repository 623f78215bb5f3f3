"""How much the cache of parsed metadata holds, and which entry goes first."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from pydantic import BaseModel
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema, prune_columns
from pyiceberg.table.metadata import TableMetadata, TableMetadataUtil
from pyiceberg.transforms import BucketTransform
from pyiceberg.types import IntegerType, ListType, LongType, MapType, NestedField, StringType, StructType

from app.domain.datasets import TableState
from app.domain.names import DatasetName
from app.lake.metadata_cache import MetadataCache, passing_by
from app.lake.table import to_state
from tests.unit.lake.local_tables import NAME, append, create_table

# By the cache's own account: an empty table of one column, and the domain's value of it.
EMPTY_BYTES, STATE_BYTES = 14_050, 4_096


@pytest.fixture
def metadata(catalog: SqlCatalog) -> TableMetadata:
    return create_table(catalog, Schema(NestedField(1, "id", IntegerType()))).metadata


def state_at(metadata: TableMetadata, location: str, name: DatasetName = NAME) -> TableState:
    return to_state(metadata, location, name)


def held(cache: MetadataCache, *locations: str) -> list[str]:
    return [location for location in locations if cache.find(location) is not None]


def test_what_was_put_is_found_again(metadata: TableMetadata) -> None:
    cache = MetadataCache(1_000_000)
    state = state_at(metadata, "a")

    cache.put("a", metadata)
    cache.put_state(state)

    assert cache.find("a") is metadata
    assert cache.find_state("a", str(NAME)) is state
    assert cache.find("b") is None
    assert cache.find_state("b", str(NAME)) is None


def test_a_state_is_that_of_one_dataset_name(metadata: TableMetadata) -> None:
    cache = MetadataCache(1_000_000)
    other = DatasetName(namespace="sales", name="registered_again")
    cache.put_state(state_at(metadata, "a"))

    assert cache.find_state("a", str(other)) is None

    cache.put_state(state_at(metadata, "a", other))

    assert [cache.find_state("a", str(name)).name for name in (NAME, other)] == [NAME, other]


@pytest.mark.parametrize(
    ("case", "max_bytes", "expected"),
    [
        ("room for all", 4 * EMPTY_BYTES, ["a", "b", "c", "d"]),
        ("one byte short", 4 * EMPTY_BYTES - 1, ["b", "c", "d"]),
        ("room for one", EMPTY_BYTES, ["d"]),
        ("room for none", EMPTY_BYTES - 1, []),
        ("no room at all", 0, []),
    ],
)
def test_the_oldest_goes_where_the_bytes_do_not_suffice(
    metadata: TableMetadata, case: str, max_bytes: int, expected: list[str]
) -> None:
    cache = MetadataCache(max_bytes)

    for location in "abcd":
        cache.put(location, metadata)

    assert held(cache, *"abcd") == expected, case


@pytest.mark.parametrize(
    ("case", "max_bytes", "expected"),
    [
        ("room for two", 2 * STATE_BYTES, [False, True, True]),
        ("room for none", STATE_BYTES - 1, [False, False, False]),
        ("no room at all", 0, [False, False, False]),
    ],
)
def test_states_have_the_same_bound_of_their_own(
    metadata: TableMetadata, case: str, max_bytes: int, expected: list[bool]
) -> None:
    cache = MetadataCache(max_bytes)

    for location in "abc":
        cache.put_state(state_at(metadata, location))

    assert [cache.find_state(location, str(NAME)) is not None for location in "abc"] == expected, case


def test_what_was_asked_for_last_stays(metadata: TableMetadata) -> None:
    cache = MetadataCache(2 * EMPTY_BYTES)
    cache.put("a", metadata)
    cache.put("b", metadata)

    cache.find("a")
    cache.put("c", metadata)

    assert held(cache, *"abc") == ["a", "c"]


def test_what_was_put_again_counts_once(metadata: TableMetadata) -> None:
    cache = MetadataCache(2 * EMPTY_BYTES)
    cache.put("a", metadata)
    cache.put("b", metadata)
    cache.put("a", metadata)

    assert held(cache, *"ab") == ["a", "b"]


def test_more_snapshots_take_more_room(catalog: SqlCatalog) -> None:
    table = create_table(catalog, Schema(NestedField(1, "id", IntegerType())))
    small = table.metadata
    for number in range(3):
        append(table, [{"id": number}])
    cache = MetadataCache(2 * EMPTY_BYTES)
    cache.put("small", small)

    cache.put("large", table.metadata)

    # A file that the whole cache has no room for pushes nothing out.
    assert held(cache, "small", "large") == ["small"]


def test_a_dropped_file_is_forgotten_under_that_name_alone(metadata: TableMetadata) -> None:
    cache = MetadataCache(1_000_000)
    other = DatasetName(namespace="sales", name="registered_again")
    for location in "ab":
        cache.put(location, metadata)
        cache.put_state(state_at(metadata, location))
    cache.put_state(state_at(metadata, "a", other))

    cache.drop("a", str(NAME))
    cache.drop("never put", str(NAME))

    assert held(cache, "a", "b") == ["b"]
    assert cache.find_state("a", str(NAME)) is None
    assert cache.find_state("a", str(other)) is not None
    assert cache.find_state("b", str(NAME)) is not None


def test_what_is_passed_by_is_found_until_then_and_drives_nothing_out(metadata: TableMetadata) -> None:
    cache = MetadataCache(EMPTY_BYTES)
    cache.put("a", metadata)
    cache.put_state(state_at(metadata, "a"))

    with passing_by():
        for location in "bc":
            cache.put(location, metadata)
            cache.put_state(state_at(metadata, location))
        within = held(cache, *"abc")
        states = [cache.find_state(location, str(NAME)) is not None for location in "abc"]
        with ThreadPoolExecutor(1) as threads:
            elsewhere = threads.submit(held, cache, *"abc").result()
        with passing_by():
            further = held(cache, *"abc")

    assert within == ["a", "b", "c"]
    assert states == [True, True, True]
    # Requests that are under way meanwhile know nothing of it, nor does a walk within the walk.
    assert elsewhere == further == ["a"]
    assert held(cache, *"abc") == ["a"]
    assert cache.find_state("b", str(NAME)) is None


def test_what_is_dropped_while_passing_by_is_dropped_everywhere(metadata: TableMetadata) -> None:
    cache = MetadataCache(1_000_000)
    cache.put("a", metadata)

    with passing_by():
        cache.put("b", metadata)
        cache.put_state(state_at(metadata, "b"))
        for location in "ab":
            cache.drop(location, str(NAME))
        within = held(cache, *"ab")

    assert within == held(cache, *"ab") == []


def test_places_are_kept_also_of_what_is_passed_by_and_go_with_the_file() -> None:
    cache = MetadataCache(1_000)

    with passing_by():
        cache.put_places("a", ["s3://lake/a"])
    cache.put_places("too large", ["s3://lake/" + "b" * 1_000])
    found = [cache.find_places(location) for location in ("a", "too large")]
    cache.drop("a", str(NAME))

    assert found == [["s3://lake/a"], None]
    assert cache.find_places("a") is None


def test_eight_threads_find_whole_entries_or_none(metadata: TableMetadata) -> None:
    cache = MetadataCache(3 * EMPTY_BYTES)
    locations = [f"location {number}" for number in range(8)]
    states = {location: state_at(metadata, location) for location in locations}
    ready = Barrier(8)

    def work(offset: int) -> None:
        ready.wait()
        for round_number in range(500):
            location = locations[(round_number * 3 + offset) % 8]
            cache.put(location, metadata)
            cache.put_state(states[location])
            assert cache.find(location) in (None, metadata)
            assert cache.find_state(location, str(NAME)) in (None, states[location])
            if round_number % 5 == 0:
                cache.drop(location, str(NAME))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(work, range(8)))
    finally:
        sys.setswitchinterval(interval)

    # Its account of the bytes is still right: as many entries fit as ever.
    for location in "abc":
        cache.put(location, metadata)
    assert held(cache, *"abc", *locations) == ["a", "b", "c"]


def parts_of(value: Any) -> Iterator[BaseModel]:
    """Whatever metadata is made of that has attributes, itself among them."""
    if isinstance(value, BaseModel):
        yield value
        value = list(vars(value).values())
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        yield from parts_of(part)


def attributes_of(metadata: TableMetadata) -> dict[int, list[str]]:
    return {id(part): sorted(vars(part)) for part in parts_of(metadata)}


@pytest.mark.parametrize("is_shared", [True, False])
def test_what_is_shared_is_not_changed_by_its_first_use(catalog: SqlCatalog, is_shared: bool) -> None:
    # Given metadata as it is parsed, of a schema with all that nests
    point = StructType(NestedField(6, "x", LongType()), NestedField(7, "Y", ListType(8, point_of(9))))
    schema = Schema(
        NestedField(1, "id", LongType(), required=True),
        NestedField(2, "points", MapType(3, StringType(), 4, ListType(5, point))),
        identifier_field_ids=[1],
    )
    spec = PartitionSpec(PartitionField(1, 1000, BucketTransform(8), "bucket"))
    table = catalog.create_table(str(NAME), schema, partition_spec=spec)
    metadata = TableMetadataUtil.parse_raw(table.metadata.model_dump_json())
    if is_shared:
        MetadataCache(1_000_000).put("a", metadata)
    before = attributes_of(metadata)

    # When it is read in all the ways that there are
    parsed, spec = metadata.schema(), metadata.spec()
    assert parsed.find_field("points.value.element.y.element.x", case_sensitive=False).name == "x"
    assert parsed.find_column_name(1) == "id"
    assert parsed.accessor_for_field(1).position == 0
    assert [field.field_id for field in parsed.name_mapping] == [1, 2]
    assert prune_columns(parsed, {1}).column_names == ["id"]
    assert [field.name for field in spec.fields_by_source_id(1)] == ["bucket"]
    assert len(spec.partition_type(parsed).fields) == len(schema_to_pyarrow(parsed)) - 1

    # Then nothing has been added to it: another thread may be copying it, attribute by attribute
    assert (attributes_of(metadata) == before) is is_shared


def point_of(first_id: int) -> StructType:
    return StructType(NestedField(first_id, "x", LongType(), required=True))
