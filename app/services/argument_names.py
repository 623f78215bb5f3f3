"""What a service calls an argument, in the words of a face: services use the names of the GraphQL schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from app.errors import InvalidArgumentError


@contextmanager
def arguments_named(spell: Callable[[str], str], special: Mapping[str, str] | None = None) -> Iterator[None]:
    """Within this block an InvalidArgumentError tells its argument as `spell` writes it, or as `special` has it."""
    try:
        yield
    except InvalidArgumentError as error:
        argument = str(error.fields["argument"])
        spelled = (special or {}).get(argument) or spell(argument)
        if spelled == argument:
            raise
        raise InvalidArgumentError(spelled, str(error.fields["reason"])) from error


def snake_case(name: str) -> str:
    """`endedAt` as `ended_at`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower() if name.isidentifier() else name


def option_name(name: str) -> str:
    """`endedAt` as `--ended-at`; `TARGET`, which is no option, as it is."""
    return "--" + snake_case(name).replace("_", "-") if name.isidentifier() and not name.isupper() else name
