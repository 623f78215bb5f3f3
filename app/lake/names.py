"""Which tables a catalog has, by name, and of which namespaces it does not let us know."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyiceberg.catalog import Catalog

from app.domain.names import DatasetName
from app.errors import NamespaceForbiddenError
from app.lake.catalog import translated_errors
from app.lake.internals import CachingSqlCatalog


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """All tables of a catalog whose names it tells, sorted.

    `hidden` are the namespaces of which it forbids to list the tables, or the namespaces below.
    """

    names: list[DatasetName]
    hidden: tuple[NamespaceForbiddenError, ...] = ()


def list_all_names(catalog: Catalog) -> Listing:
    """The tables of all namespaces. One statement on SQL catalogs, elsewhere two calls for each namespace.

    Raises:
        BackendUnavailableError: the catalog does not answer, or does not even tell its namespaces.
    """
    with translated_errors():
        if isinstance(catalog, CachingSqlCatalog):
            return Listing(names=_sorted(catalog.list_all_tables()))
        walk = _Walk(catalog)
        walk.below(())
        return Listing(names=_sorted(walk.found), hidden=tuple(walk.hidden.values()))


def list_names_of(catalog: Catalog, namespace: str) -> list[DatasetName]:
    """The tables of one namespace, sorted; one statement or call.

    Raises:
        NamespaceNotFoundError, NamespaceForbiddenError: no such namespace, or none that we may look into.
        BackendUnavailableError: the catalog does not answer.
    """
    with translated_errors(namespace=namespace):
        if isinstance(catalog, CachingSqlCatalog):
            found = [pair for pair in catalog.list_all_tables() if pair[0] == namespace]
            if not found and not catalog.namespace_exists(namespace):
                catalog.list_tables(namespace)  # raises NoSuchNamespaceError
            return _sorted(found)
        return _sorted(_tables_of(catalog, tuple(namespace.split("."))))


@dataclass(frozen=True, slots=True)
class _Walk:
    """Through all namespaces, past those that are forbidden."""

    catalog: Catalog
    found: list[tuple[str, str]] = field(default_factory=list)
    hidden: dict[str, NamespaceForbiddenError] = field(default_factory=dict)

    def below(self, parent: tuple[str, ...]) -> None:
        for levels in self.catalog.list_namespaces(parent):
            # Some REST servers answer the whole path, some only what is below the parent.
            full = levels if levels[: len(parent)] == parent else (*parent, *levels)
            if full != parent:
                self._look_into(full)

    def _look_into(self, levels: tuple[str, ...]) -> None:
        namespace = ".".join(levels)
        try:
            with translated_errors(namespace=namespace):
                self.found.extend(_tables_of(self.catalog, levels))
        except NamespaceForbiddenError as error:
            self.hidden[namespace] = error
        try:
            with translated_errors(namespace=namespace):
                self.below(levels)
        except NamespaceForbiddenError as error:
            self.hidden.setdefault(namespace, error)


def _tables_of(catalog: Catalog, levels: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(".".join(identifier[:-1]), identifier[-1]) for identifier in catalog.list_tables(levels)]


def _sorted(found: list[tuple[str, str]]) -> list[DatasetName]:
    return sorted(DatasetName(namespace=namespace, name=name) for namespace, name in found)
