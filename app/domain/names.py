"""How a dataset is addressed."""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import InvalidNameError

MAX_NAME_CHARS = 255


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class DatasetName:
    """One Iceberg table: `namespace` (its levels joined by dots) and `name`."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}.{self.name}"

    @classmethod
    def parse(cls, text: str) -> DatasetName:
        """The name in `namespace.table` form; the last dot separates.

        Raises:
            InvalidNameError: no dot, or an empty or unprintable part.
        """
        namespace, dot, name = text.rpartition(".")
        if not dot:
            raise InvalidNameError("dataset", text, "write namespace.table")
        return cls.checked(namespace, name)

    @classmethod
    def checked(cls, namespace: str, name: str) -> DatasetName:
        """The name made of two parts as a user gave them.

        Raises:
            InvalidNameError: an empty, too long or unprintable part, or a dot in `name`.
        """
        check_namespace(namespace)
        _check_part("dataset", name)
        if "." in name:
            raise InvalidNameError("dataset", name, "it has a dot, which separates the namespace from the name")
        return cls(namespace=namespace, name=name)


def check_namespace(namespace: str) -> str:
    """The namespace itself, once it is known to be well formed.

    Raises:
        InvalidNameError: an empty, too long or unprintable level.
    """
    for level in namespace.split("."):
        _check_part("namespace", level)
    return namespace


def _check_part(kind: str, part: str) -> None:
    if not part:
        raise InvalidNameError(kind, part, "it is empty")
    if len(part) > MAX_NAME_CHARS:
        raise InvalidNameError(kind, part, f"it has {len(part)} characters, at most {MAX_NAME_CHARS} are allowed")
    if not part.isprintable() or "/" in part:
        raise InvalidNameError(kind, part, "it has a slash or an unprintable character")


def is_storable(text: str) -> bool:
    """Whether Postgres can hold the text: neither NUL nor a lone surrogate, which JSON can spell, is in it."""
    return not any(char == "\x00" or "\ud800" <= char <= "\udfff" for char in text)


def escape_key(text: str) -> str:
    """The text as a part of a key whose parts `|` and `@` separate; different texts stay different."""
    return text.replace("%", "%25").replace("|", "%7C").replace("@", "%40")


def unescape_key(part: str) -> str:
    """The text that `escape_key` made this part of."""
    return part.replace("%40", "@").replace("%7C", "|").replace("%25", "%")
