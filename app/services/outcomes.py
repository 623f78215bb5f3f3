"""What became of a change of versions."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from app.domain.history import Ref
from app.lake.table import LakeTable


@dataclass(frozen=True, slots=True, kw_only=True)
class TagOutcome:
    """A tag as it is now; `is_unchanged` where it was so before, `is_new` where it was not there at all."""

    table: LakeTable
    tag: Ref
    warnings: tuple[str, ...]
    is_new: bool
    is_unchanged: bool
    change_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchOutcome:
    """A branch as it is now; `is_unchanged` where it was so before."""

    table: LakeTable
    branch: Ref
    warnings: tuple[str, ...]
    is_unchanged: bool
    change_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefRemoval:
    """A ref that is gone, and the snapshot it was on."""

    table: LakeTable
    name: str
    snapshot_id: int
    change_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackOutcome:
    """Where a branch was and is; with `dry_run`, where it would be."""

    table: LakeTable
    branch: str
    previous_id: int
    current_id: int
    undo_tag: Ref | None
    schema_warning: str | None
    restored_schema: bool
    dry_run: bool
    change_id: UUID | None
