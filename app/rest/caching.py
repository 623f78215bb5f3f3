"""Entity tags and cache headers of answers that are made of one version of one dataset."""

from __future__ import annotations

import hashlib
import re
from importlib.metadata import PackageNotFoundError, version

import orjson

from app.domain.datasets import TableState
from app.domain.versions import ResolvedVersion
from app.errors import JsonValue

IMMUTABLE = "private, max-age=31536000, immutable"
REVALIDATE = "private, no-cache"

_SNAPSHOT_REFERENCE = re.compile(r"(snapshot:)?[+-]?[0-9]+")
_ENTITY_TAG = re.compile(r'(?:W/)?("[^"]*")')


def _program_version() -> str:
    try:
        return version("stratigraph")
    except PackageNotFoundError:
        return "0"


# Another release may write the same rows as other bytes.
_PROGRAM_VERSION = _program_version()


def entity_tag(state: TableState, resolved: ResolvedVersion, query: dict[str, JsonValue]) -> str:
    """A strong entity tag: table, snapshot, schema and query decide every byte of the answer."""
    parts = [
        _PROGRAM_VERSION,
        str(state.table_uuid),
        str(resolved.snapshot_id),
        state.schema_of(resolved).schema_id,
        query,
    ]
    digest = hashlib.blake2b(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
    return f'"{digest}"'


def cache_control(reference: str | None) -> str:
    """Immutable for a snapshot id, which never means anything else; to be asked for again for all other references."""
    return IMMUTABLE if reference and _SNAPSHOT_REFERENCE.fullmatch(reference.strip()) else REVALIDATE


def is_not_modified(if_none_match: str | None, etag: str) -> bool:
    """Whether the client's copy is still good (RFC 9110 section 13.1.2, weak comparison)."""
    if not if_none_match:
        return False
    return if_none_match.strip() == "*" or etag in _ENTITY_TAG.findall(if_none_match)
