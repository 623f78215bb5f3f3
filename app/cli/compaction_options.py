"""Sizes of files, as the commands about compaction are given them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from app.domain.compaction.policy import CompactionPolicy
    from app.services.compaction.operations import CompactionOverrides

Target = Annotated[
    str | None,
    typer.Option(
        "--target-file-size-mb", metavar="SIZE", help="Size of the files to make, such as 2GB; 512 (MB) unless given."
    ),
]
Smallest = Annotated[
    str | None,
    typer.Option("--min-file-size-mb", metavar="SIZE", help="Size below which a file is small; 10 (MB) unless given."),
]


def read_overrides(
    target: str | None, smallest: str | None, max_concurrent_files: int | None = None, *, rewrite_all: bool = False
) -> CompactionOverrides:
    """What is asked for otherwise than by default. Raises InvalidArgumentError."""
    from app.domain.compaction.policy import parse_megabytes
    from app.services.compaction.operations import CompactionOverrides

    return CompactionOverrides(
        target_file_size_mb=None if target is None else parse_megabytes("targetFileSizeMb", target),
        min_file_size_mb=None if smallest is None else parse_megabytes("minFileSizeMb", smallest),
        max_concurrent_files=max_concurrent_files,
        rewrite_all=rewrite_all or None,
    )


def read_policy(target: str | None, smallest: str | None) -> CompactionPolicy:
    """The default policy, with these sizes. Raises InvalidArgumentError."""
    from app.domain.compaction.policy import CompactionPolicy

    return read_overrides(target, smallest).applied_to(CompactionPolicy())
