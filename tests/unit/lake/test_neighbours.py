"""Where all tables of a catalog have their files: each is looked at once, and none stays in memory for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyiceberg.schema import Schema
from pyiceberg.types import IntegerType, NestedField

from app.domain.names import DatasetName
from app.lake.internals import CachingSqlCatalog
from app.lake.metadata_cache import MetadataCache
from app.lake.names import Listing
from app.lake.neighbours import Neighbours, list_neighbours
from app.lake.table import LakeTable, to_state

NAMES = [DatasetName(namespace="sales", name=name) for name in ("customers", "orders")]
SCHEMA = Schema(NestedField(1, "id", IntegerType()))


class Looked:
    """The catalog, and which tables were loaded to be looked at."""

    def __init__(self, folder: Path) -> None:
        self.cache = MetadataCache(10_000_000)
        place = f"file://{folder}/warehouse"
        self.catalog = CachingSqlCatalog("own", self.cache, uri=f"sqlite:///{folder}/catalog.db", warehouse=place)
        self.catalog.create_namespace_if_not_exists("sales")
        self.loaded: list[DatasetName] = []

    def neighbours(self) -> Neighbours:
        return list_neighbours(self.catalog, lambda: Listing(names=NAMES), self._load, self.cache)

    def _load(self, name: DatasetName) -> LakeTable:
        self.loaded.append(name)
        handle = self.catalog.load_table(str(name))
        return LakeTable(state=to_state(handle.metadata, handle.metadata_location, name), handle=handle)


@pytest.fixture
def looked(tmp_path: Path) -> Iterator[Looked]:
    looked = Looked(tmp_path)
    for name in NAMES:
        looked.catalog.create_table(str(name), SCHEMA, properties={"write.data.path": f"file://{tmp_path}/{name}"})
    yield looked
    looked.catalog.close()


def test_only_tables_that_changed_are_looked_at_again(looked: Looked, tmp_path: Path) -> None:
    first = looked.neighbours()
    looked.loaded.clear()

    second = looked.neighbours()
    untouched = list(looked.loaded)
    elsewhere = f"file://{tmp_path}/elsewhere"
    with looked.catalog.load_table("sales.orders").transaction() as transaction:
        transaction.set_properties({"write.data.path": elsewhere})
    third = looked.neighbours()

    assert [first[name][1] for name in NAMES] == [f"file://{tmp_path}/{name}" for name in NAMES]
    assert second == first
    assert untouched == []
    assert looked.loaded == [NAMES[1]]
    assert third[NAMES[1]][1] == elsewhere


def test_the_metadata_of_those_looked_at_is_not_kept(looked: Looked, tmp_path: Path) -> None:
    locations = [location for *_, location in looked.catalog.list_metadata_locations()]
    later = Looked(tmp_path)

    found = later.neighbours()
    later.catalog.close()

    assert list(found) == later.loaded == NAMES
    assert [later.cache.find(location) for location in locations] == [None, None]
