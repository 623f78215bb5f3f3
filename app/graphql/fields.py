"""Fields that are methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import strawberry


def field(
    *, description: str, name: str | None = None, directives: Sequence[object] = ()
) -> Callable[[Callable[..., Any]], Any]:
    """`strawberry.field` as a decorator that type checkers can follow.

    They take strawberry's own for the specifier of a dataclass attribute, which no method may override; as it is here,
    an interface's field can be overridden, by a coroutine too.
    """
    decorator: Callable[[Callable[..., Any]], Any] = strawberry.field(
        name=name, description=description, directives=directives
    )
    return decorator
