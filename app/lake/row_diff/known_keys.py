"""Whether keys are on one row each, of rows most of which are never joined."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from app.lake.row_diff.engine import Engine, Source

# Eight bytes each, two or three times.
_SORTED_AT_ONCE = 4_000_000
# All are read once for each share.
_MOST_SHARES = 4


class KnownKeys:
    """Hashes of the keys of the later side's rows, kept by the engine: eight bytes a row, within its memory or on disk.

    Equal keys have equal hashes. Those of others hardly ever are: "may be" is to be looked into.
    """

    def __init__(self, engine: Engine, keys: Sequence[int]) -> None:
        self._engine = engine
        self._keys = keys
        self._names = engine.columns(keys)
        self._has_null = False
        engine.run("CREATE OR REPLACE TEMP TABLE known (h UBIGINT)")

    def add(self, rows: Source) -> None:
        """Rows of the later side; reads their keys alone."""
        names = ", ".join(self._names)
        given = " AND ".join(f"c{place} IS NOT NULL" for place in self._keys)
        self._engine.run(
            f"INSERT INTO known SELECT hash({names}) FROM ({self._engine.select('rows', self._keys)}) WHERE {given}",
            rows=rows(self._keys),
        )

    def look_at(self, rows: Source) -> None:
        """Rows of the earlier side that are joined; reads their keys alone."""
        if self._has_null:
            return
        opened = rows(self._keys)
        if isinstance(opened, pa.Table):
            self._has_null = any(column.null_count for column in opened.columns)
            return
        null = " OR ".join(f"c{place} IS NULL" for place in self._keys)
        (nulls,) = self._engine.one(f"SELECT count(*) FROM rows WHERE {null}", rows=opened)
        self._has_null = bool(nulls)

    def may_have_faults(self, rows: int) -> bool:
        """Whether rows that are joined have no key, or some of so many of the later side may have none, or that of
        another one.
        """
        (found,) = self._engine.one("SELECT count(*) FROM known")
        if self._has_null or found != rows:
            return True
        # Sorting few of them here takes a fifth of the time that the engine takes to group them.
        shares = 1 + found // _SORTED_AT_ONCE
        if shares > _MOST_SHARES:
            (distinct,) = self._engine.one("SELECT count(DISTINCT h) FROM known")
            return bool(distinct != found)
        for share in range(shares):
            hashes = self._engine.table(f"SELECT h FROM known WHERE h % {shares} = {share}")["h"].to_numpy()
            hashes = np.sort(hashes)
            if bool((hashes[1:] == hashes[:-1]).any()):
                return True
        return False

    def may_be_of_removed(self) -> bool:
        """Whether, after a join, rows that are on the earlier side only may have a key that is known: that of a row
        which was left out on both sides.
        """
        names = ", ".join(f"f{name}" for name in self._names)
        (known,) = self._engine.one(
            f"SELECT count(*) FROM known WHERE h IN (SELECT hash({names}) FROM d WHERE tp IS NULL)"
        )
        return bool(known)
