"""Differences of versions that Spark wrote, whatever it did between: the judge is plain Python on Spark's own rows."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from app.bootstrap import Services
from app.domain.row_diffs import Method, RowDiff, RowDiffRequest
from tests.integration.spark.conftest import SharedLake

pytestmark = [pytest.mark.anyio, pytest.mark.spark]

# Histories for each way of writing; more of them with the environment, as a long run has.
SEEDS = range(int(os.environ.get("STRATIGRAPH_TEST_SPARK_HISTORIES", "1")))
STEPS = 7
Row = tuple[object, ...]

CREATE = """CREATE TABLE {{t}} (id BIGINT, kind INT, price DOUBLE, name STRING) USING iceberg
    PARTITIONED BY ({partition}) TBLPROPERTIES ('format-version'='{version}',
    'write.delete.mode'='{mode}', 'write.update.mode'='{mode}', 'write.merge.mode'='{mode}')"""


class History:
    """A table that Spark changes by drawn steps, and what each of its versions holds, as Spark reads it."""

    def __init__(self, lake: SharedLake, mode: str, seed: int, version: int = 2) -> None:
        self.lake = lake
        self.random = random.Random(seed)
        self.next_id = 0
        self.buckets = 3
        self.rows: dict[int, list[Row]] = {}
        partition = self.random.choice(["kind", "bucket(3, id)", "truncate(2, name)"])
        lake.sql(CREATE.format(mode=mode, partition=partition, version=version))
        self.insert()

    def step(self) -> None:
        steps: list[Callable[[], None]] = [self.insert, self.delete, self.delete, self.update, self.merge, self.compact]
        self.random.choice([*steps, self.repartition])()

    def insert(self) -> None:
        rows = [self._row(self.next_id + number) for number in range(self.random.randint(1, 20))]
        self.next_id += len(rows)
        self.lake.sql(f"INSERT INTO {{t}} VALUES {', '.join(rows)}")
        self._keep()

    def delete(self) -> None:
        self.lake.sql(f"DELETE FROM {{t}} WHERE id % {self.random.randint(2, 6)} = {self.random.randint(0, 1)}")
        self._keep()

    def update(self) -> None:
        self.lake.sql(f"UPDATE {{t}} SET price = {self._price()} WHERE id % {self.random.randint(2, 5)} = 0")
        self._keep()

    def merge(self) -> None:
        ids = self.random.sample(range(self.next_id + 5), k=min(6, self.next_id + 5))
        self.next_id += 5
        rows = ", ".join(map(self._row, ids))
        self.lake.sql(
            f"MERGE INTO {{t}} t USING (SELECT * FROM VALUES {rows} AS v(id, kind, price, name)) s ON t.id = s.id "
            "WHEN MATCHED AND s.id % 3 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        )
        self._keep()

    def compact(self) -> None:
        options = "map('rewrite-all', 'true')"
        self.lake.sql(f"CALL {{c}}.system.rewrite_data_files(table => '{{n}}', options => {options})")
        self._keep()

    def repartition(self) -> None:
        # Iceberg takes no field that there is already.
        self.buckets += 1
        self.lake.sql(f"ALTER TABLE {{t}} ADD PARTITION FIELD bucket({self.buckets}, id) AS b{self.buckets}")
        self.insert()

    def _row(self, number: int) -> str:
        return f"({number}, {number % 3}, {self._price()}, 'n{self.random.randint(0, 3)}')"

    def _price(self) -> str:
        return self.random.choice(
            [
                "CAST(NULL AS DOUBLE)",
                "CAST('NaN' AS DOUBLE)",
                "CAST('-0.0' AS DOUBLE)",
                "CAST(0 AS DOUBLE)",
                "CAST(1.5 AS DOUBLE)",
            ]
        )

    def _keep(self) -> None:
        head = self.lake.head()
        if head not in self.rows:
            # As text: NaN is not equal to itself, and -0.0 to 0.0.
            found = self.lake.sql(f"SELECT id, kind, CAST(price AS STRING), name FROM {{t}} VERSION AS OF {head}")
            self.rows[head] = found


def shown(rows: list[dict[str, object]]) -> Counter[Row]:
    return Counter((int(str(row["id"])), row["kind"], _text(row["price"]), row["name"]) for row in rows)


def _text(price: object) -> str | None:
    return None if price is None else str(price) if isinstance(price, str) else repr(float(str(price)))


async def compare(services: Services, lake: SharedLake, before: int, after: int, keys: tuple[str, ...]) -> RowDiff:
    compared = await services.comparing.versions(lake.name, str(before), str(after))
    return (await services.row_diffs.compare(compared, RowDiffRequest(keys=keys, sample_size=1000))).diff


def check(found: RowDiff, before: list[Row], after: list[Row], *, is_keyed: bool) -> None:
    ours, theirs = Counter(before), Counter(after)
    sample = found.sample
    assert (found.rows_from, found.rows_to) == (len(before), len(after))
    gone = shown([dict(row) for row in (*sample.removed, *(change.before for change in sample.changed))])
    new = shown([dict(row) for row in (*sample.added, *(change.after for change in sample.changed))])
    assert gone == ours - theirs
    assert new == theirs - ours
    if is_keyed:
        assert found.key_problem is None
        old, now = ({row[0]: row for row in rows} for rows in (before, after))
        both = old.keys() & now.keys()
        assert found.rows_changed == sum(old[key] != now[key] for key in both)
        assert (found.rows_removed, found.rows_added) == (len(old) - len(both), len(now) - len(both))


@pytest.mark.parametrize(
    ("mode", "version"),
    # Deletes of version 3 are deletion vectors, of which one file has those of several data files.
    [("copy-on-write", 2), ("merge-on-read", 2), ("copy-on-write", 3), ("merge-on-read", 3)],
)
@pytest.mark.parametrize("seed", SEEDS)
async def test_what_spark_changed_is_what_is_told(
    lake: SharedLake, services: Services, mode: str, version: int, seed: int
) -> None:
    # Given a history that Spark wrote
    history = History(lake, mode, seed, version)
    for _ in range(STEPS):
        history.step()
    assert len(history.rows) > 2

    # Then its versions differ by what Spark reads of them, by key and as multisets, and the mirror too
    versions = list(history.rows)
    pairs = [
        *pairwise(versions),
        *pairwise(reversed(versions)),
        (versions[0], versions[-1]),
        (versions[-1], versions[0]),
    ]
    for before, after in [*pairs, *(history.random.sample(versions, 2) for _ in range(4))]:
        for keys in (("id",), ()):
            found = await compare(services, lake, before, after, keys)
            check(found, history.rows[before], history.rows[after], is_keyed=bool(keys))


async def test_what_spark_compacted_is_the_same_without_reading(lake: SharedLake, services: Services) -> None:
    # Given rows that Spark deleted by position, and then wrote anew in other files
    history = History(lake, "merge-on-read", 7)
    history.insert()
    history.delete()
    before = lake.head()
    history.compact()
    after = lake.head()
    assert before != after

    # Then nothing is read to see that nothing changed
    found = await compare(services, lake, before, after, ("id",))
    assert (found.is_empty, found.method, found.files_read) == (True, Method.METADATA, 0)
