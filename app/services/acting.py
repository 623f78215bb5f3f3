"""Who acts, as an HTTP request says: one rule for every face that is reached over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from app.domain.changes import Actor, Command

ACTOR_HEADER = "X-Actor"
IDEMPOTENCY_KEY_HEADER = "Idempotency-Key"
ANONYMOUS = Actor(subject="anonymous")


def actor_of(headers: Mapping[str, str]) -> Actor:
    """The actor that a request names, the anonymous one where it names none.

    Raises:
        InvalidArgumentError: the name is empty, too long or unprintable.
    """
    name = header_text(headers, ACTOR_HEADER)
    return ANONYMOUS if name is None else Actor.checked(name)


def command_of(headers: Mapping[str, str], reason: str | None) -> Command:
    """Who acts, why, and under which key.

    Raises:
        InvalidArgumentError: one of them is malformed.
    """
    key = header_text(headers, IDEMPOTENCY_KEY_HEADER)
    return Command(actor=actor_of(headers), reason=reason, idempotency_key=key)


def header_text(headers: Mapping[str, str], name: str) -> str | None:
    """The text of a header; None where there is none."""
    text = headers.get(name)
    if text is not None:
        with suppress(UnicodeDecodeError):
            # Starlette reads headers as Latin-1; who sends what is beyond ASCII sends UTF-8.
            text = text.encode("latin-1").decode()
    return text
