"""Pins: the tags by which the system keeps data that something still needs.

A pin has an endless max-ref-age-ms of its own: without one, the table's `history.expire.max-ref-age-ms`, which anybody
may set at any time, lets other engines remove it, and the snapshot with it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from app.domain.history import History, Ref, RefKind
from app.domain.names import DatasetName
from app.domain.roles import InputRole
from app.domain.uses import VersionUse

MAX_MODEL_CHARS = 80


class PinState(StrEnum):
    """How a pin stands. Only RELEASED ones keep nothing any more.

    WANTED: before the fact that needs it is recorded. LIVE: it is. RELEASING: its tag is to go.
    """

    WANTED = "WANTED"
    LIVE = "LIVE"
    RELEASING = "RELEASING"
    RELEASED = "RELEASED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One tag that keeps a snapshot for a model version. An adopted one was set by somebody else, and stays theirs."""

    pin_id: UUID
    model: str
    number: int
    dataset: DatasetName
    table_uuid: UUID
    snapshot_id: int
    tag: str
    state: PinState
    is_adopted: bool = False


def pin_names(model: str, number: int, role: InputRole) -> Iterator[str]:
    """Names for the pin of a snapshot that a model version was trained on, the first free one to be taken.

    `model_training_<model>_v<n>`; for a second snapshot of the same table `…_<role>`, `…_<role>_2` and so on. What a
    tag's name cannot have is replaced in the model's.
    """
    shown = re.sub(r"[^A-Za-z0-9_.\-]+", "_", model)[:MAX_MODEL_CHARS]
    base = f"model_training_{shown}_v{number}"
    yield base
    suffixed = f"{base}_{role.value.lower()}"
    yield suffixed
    count = 2
    while True:
        yield f"{suffixed}_{count}"
        count += 1


def choose_pin_name(use: VersionUse, model: str, number: int, history: History, taken: Collection[str]) -> str:
    """The first name that is free in the table, or a tag of this very snapshot; never one of those taken.

    A tag with an age that ends is somebody's wish that it ends: the next name is taken.
    """
    return _first(pin_names(model, number, use.role), use.snapshot_id, history, taken)


def choose_other_pin_name(pin: Pin, history: History, taken: Collection[str]) -> str:
    """A name for a pin whose own is something else's by now, as `choose_pin_name`: `<tag>_2`, `<tag>_3` and so on."""
    return _first((f"{pin.tag}_{count}" for count in itertools.count(2)), pin.snapshot_id, history, taken)


def is_pinned(ref: Ref | None, snapshot_id: int) -> bool:
    """Whether a ref is a tag that keeps this snapshot in every engine, until somebody removes it."""
    return ref is not None and ref.kind is RefKind.TAG and ref.snapshot_id == snapshot_id and ref.is_endless


def _first(names: Iterable[str], snapshot_id: int, history: History, taken: Collection[str]) -> str:
    for name in names:
        ref = history.refs.get(name)
        if name not in taken and (ref is None or _can_be_adopted(ref, snapshot_id)):
            return name
    raise AssertionError("there is no end of names")


def _can_be_adopted(ref: Ref, snapshot_id: int) -> bool:
    is_without_end = ref.max_ref_age_ms is None or ref.is_endless
    return ref.kind is RefKind.TAG and ref.snapshot_id == snapshot_id and is_without_end
