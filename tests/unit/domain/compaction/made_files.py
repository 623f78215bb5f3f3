"""Files of a table, by their sizes."""

from __future__ import annotations

from app.domain.compaction.files import Place, TableFile
from app.domain.compaction.policy import MIB
from app.domain.live_files import LiveFile


def file(
    number: int,
    megabytes: float,
    *,
    deletes: int = 0,
    partition: str = "",
    spec_id: int = 0,
    left_alone: str | None = None,
) -> TableFile:
    return TableFile(
        file=LiveFile(f"{number:06d}.parquet", frozenset(f"{number}-{place}.deletes" for place in range(deletes))),
        size_bytes=int(megabytes * MIB),
        rows=number + 1,
        place=Place(spec_id, partition, partition),
        is_left_alone=left_alone,
    )


def files(count: int, megabytes: float, *, partition: str = "", first: int = 0) -> list[TableFile]:
    return [file(first + number, megabytes, partition=partition) for number in range(count)]
