"""Where the tables of a catalog have their files: some share a location, or lie in another one's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pyiceberg.catalog import Catalog

from app.domain.names import DatasetName
from app.errors import (
    DatasetForbiddenError,
    DatasetNotFoundError,
    Forbidden,
    NamespaceForbiddenError,
    UnreadableTableError,
)
from app.lake.expire.walking import own_locations
from app.lake.internals import CachingSqlCatalog
from app.lake.metadata_cache import MetadataCache, passing_by
from app.lake.names import Listing
from app.lake.table import LakeTable


@dataclass(frozen=True, slots=True)
class HiddenNamespace:
    """The tables of a namespace in which the catalog forbids us to look for any."""

    namespace: str

    def __str__(self) -> str:
        return f"namespace {self.namespace}"


Neighbour: TypeAlias = DatasetName | HiddenNamespace
# The locations of each table; none of what the catalog forbids us to look at.
Neighbours: TypeAlias = Mapping[Neighbour, Sequence[str]]


def list_neighbours(
    catalog: Catalog,
    list_names: Callable[[], Listing],
    load: Callable[[DatasetName], LakeTable],
    cache: MetadataCache,
) -> Neighbours:
    """The locations of all tables, that of a broken one guessed from its metadata file's.

    Loads each table once, but those of SQL catalogs whose metadata file was looked at before.

    Raises:
        UnreadableTableError: a table cannot be loaded, and the catalog does not say where its metadata file is.
    """
    files = {}
    if isinstance(catalog, CachingSqlCatalog):
        files = {
            DatasetName(namespace=namespace, name=name): location
            for namespace, name, location in catalog.list_metadata_locations()
        }
    listing = list_names()
    found: dict[Neighbour, Sequence[str]] = {
        HiddenNamespace(str(error.fields["namespace"])): () for error in listing.hidden
    }
    for name in listing.names:
        try:
            found[name] = _places(files.get(name), name, load, cache)
        except DatasetNotFoundError:
            continue  # dropped meanwhile
        except DatasetForbiddenError:
            found[name] = ()
        except UnreadableTableError:
            if not files.get(name):
                raise
            folder = files[name].rpartition("/")[0]
            found[name] = [folder.removesuffix("/metadata")]
    return found


def _places(
    file: str | None, name: DatasetName, load: Callable[[DatasetName], LakeTable], cache: MetadataCache
) -> list[str]:
    if file and (known := cache.find_places(file)) is not None:
        return known
    with passing_by():
        table = load(name)
    places = own_locations(table)
    cache.put_places(table.state.metadata_location, places)
    return places


def hidden_from(name: DatasetName, neighbours: Neighbours) -> list[Neighbour]:
    """The tables but this one, and namespaces, of which it is not known where they have their files."""
    return [other for other, places in neighbours.items() if not places and other != name]


def why_hidden(name: DatasetName, hidden: Sequence[Neighbour]) -> Forbidden | None:
    """Why no file of a table is deleted beside tables that are hidden; None where none is.

    One of them may be the same table, registered once more.
    """
    if not hidden:
        return None
    if isinstance(hidden[0], HiddenNamespace):
        reason = f"where its tables have their files cannot be told, and some of those of {name} may be their own"
        return NamespaceForbiddenError(hidden[0].namespace, reason)
    reason = f"where it has its files cannot be told, and some of those of {name} may be its own"
    return DatasetForbiddenError(str(hidden[0]), reason)


def others_of(name: DatasetName, neighbours: Neighbours) -> dict[str, Sequence[str]]:
    """The locations of all tables but this one."""
    return {str(other): places for other, places in neighbours.items() if other != name}
