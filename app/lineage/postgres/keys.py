"""How the graph's tables name things: digests of texts, codes of kinds, ids that tell their kind."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from app.domain.lineage import EdgeKind, EntityKind

DIGEST_BYTES = 16
KIND_BITS = 3
KIND_MASK = (1 << KIND_BITS) - 1

# Written to the database: a code is never given to another kind.
_ENTITY_KINDS = (EntityKind.DATASET, EntityKind.MODEL, EntityKind.PIPELINE, EntityKind.FEATURE)
# In the order of their names, so that SQL can order by the code.
_EDGE_KINDS = tuple(sorted(EdgeKind))

_ENTITY_CODES = {kind: code for code, kind in enumerate(_ENTITY_KINDS)}
_EDGE_CODES = {kind: code for code, kind in enumerate(_EDGE_KINDS, start=1)}


def digest(text: str) -> bytes:
    """What a text is found by, of 16 bytes: too many to be met twice, also on purpose."""
    # What was never stored may be asked for too, lone surrogates included.
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()


def is_storable(text: str) -> bool:
    """Whether Postgres takes the text: it has no zero characters, and UTF-8 no lone surrogates."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def entity_code(kind: EntityKind) -> int:
    """The number of a kind of entity, which the ids of its entities and versions end in."""
    return _ENTITY_CODES[kind]


def entity_codes(kinds: Iterable[EntityKind]) -> list[int]:
    """Their numbers, in order."""
    return sorted(_ENTITY_CODES[kind] for kind in kinds)


def kind_of(number: int) -> EntityKind:
    """What kind of entity or version has this id."""
    return _ENTITY_KINDS[number & KIND_MASK]


def edge_code(kind: EdgeKind) -> int:
    """The number of a kind of edge."""
    return _EDGE_CODES[kind]


def edge_codes(kinds: Iterable[EdgeKind]) -> list[int]:
    """Their numbers, in order."""
    return sorted(_EDGE_CODES[kind] for kind in kinds)


def edge_kind(code: int) -> EdgeKind:
    """What kind of edge has this number."""
    return _EDGE_KINDS[code - 1]
