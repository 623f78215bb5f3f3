"""Choosing tables on the command line: one, those of a namespace, or all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.errors import InvalidArgumentError

if TYPE_CHECKING:
    from app.services.retention_sweeps import Chosen

Namespace = Annotated[str | None, typer.Option("--namespace", metavar="NS", help="Only tables of this namespace.")]
Table = Annotated[str | None, typer.Option("--table", metavar="NAME", help="Only this table of --namespace.")]
All = Annotated[bool, typer.Option("--all", help="All tables of the catalog.")]


def choose_tables(namespace: str | None, table: str | None, *, all_tables: bool) -> Chosen:
    """The tables that these options mean. Raises InvalidArgumentError."""
    from app.domain.names import DatasetName
    from app.services.retention_sweeps import Chosen

    if table is not None and all_tables:
        raise InvalidArgumentError("--table", "--all and --table cannot go together")
    if table is not None:
        if namespace is None:
            raise InvalidArgumentError("--table", "--namespace says which namespace it is in; give both")
        return Chosen(dataset=DatasetName(namespace=namespace, name=table))
    if namespace is None and not all_tables:
        raise InvalidArgumentError("--all", "say which tables: --all, or --namespace, with --table or without")
    return Chosen(namespace=namespace, is_all=all_tables)
