"""What the tests of changes share."""

from __future__ import annotations

from typing import Any

from app.domain.changes import Actor, Command
from tests.contract.lakes import ContractLake


def command(key: str | None = None, reason: str | None = "asked for") -> Command:
    return Command(actor=Actor(subject="ada"), reason=reason, idempotency_key=key)


def refs(lake: ContractLake) -> dict[str, dict[str, Any]]:
    """The refs as another program sees them."""
    metadata = lake.foreign.load_table(lake.orders_name).metadata
    return {name: ref.model_dump(by_alias=True, exclude_none=True) for name, ref in metadata.refs.items()}


def target(lake: ContractLake, name: str) -> int:
    return int(refs(lake)[name]["snapshot-id"])
