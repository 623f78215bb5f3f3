"""Names and texts in Spark's SQL, whatever is in them."""

from __future__ import annotations

from app.domain.names import DatasetName


def quoted(name: str) -> str:
    """An identifier in SQL."""
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    """A text in SQL. In the session's default mode a backslash escapes what follows it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def identifier_of(name: DatasetName) -> str:
    """A table in its catalog, as it is told to procedures."""
    return ".".join(quoted(part) for part in (*name.namespace.split("."), name.name))


def table_name(catalog: str, name: DatasetName) -> str:
    """A table in SQL."""
    return f"{quoted(catalog)}.{identifier_of(name)}"
