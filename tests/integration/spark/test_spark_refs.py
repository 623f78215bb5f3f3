"""Refs between Spark and us: what either sets, the other sees and respects."""

from __future__ import annotations

import asyncio
import threading

import pytest
from pyiceberg.catalog.rest import RestCatalog

from app.bootstrap import Services
from app.domain.tags import TagConvention, find_convention
from app.errors import CommitConflictError, LockTimeoutError, UnsupportedTableError
from tests.contract.changing import command
from tests.contract.reading import read_ids
from tests.integration.spark.conftest import SharedLake

pytestmark = [pytest.mark.anyio, pytest.mark.spark]

RETENTION = (3, 172_800_000)


@pytest.fixture
def snapshots(lake: SharedLake) -> list[int]:
    """Three snapshots by Spark: ids 1-2, then 3-4, then 5."""
    lake.sql("CREATE TABLE {t} (id BIGINT, name STRING) USING iceberg TBLPROPERTIES ('format-version'='2')")
    made = []
    for values in ("(1, 'a'), (2, 'b')", "(3, 'c'), (4, NULL)", "(5, 'e')"):
        lake.sql(f"INSERT INTO {{t}} VALUES {values}")
        made.append(lake.head())
    return made


def ids(lake: SharedLake, at: str = "") -> list[int]:
    return [row[0] for row in lake.sql(f"SELECT id FROM {{t}} {at} ORDER BY id")]


async def test_spark_reads_our_tags_and_branches(lake: SharedLake, services: Services, snapshots: list[int]) -> None:
    await services.versioning.create_tag(lake.name, "audit_Q1_2026", "main~2", command())
    await services.versioning.create_branch(lake.name, "dev", "main~1", command())

    assert ids(lake, "VERSION AS OF 'audit_Q1_2026'") == [1, 2]
    assert ids(lake, "VERSION AS OF 'dev'") == [1, 2, 3, 4]
    refs = lake.sql("SELECT name, type, snapshot_id FROM {t}.refs ORDER BY name")
    assert refs == [
        ("audit_Q1_2026", "TAG", snapshots[0]),
        ("dev", "BRANCH", snapshots[1]),
        ("main", "BRANCH", snapshots[2]),
    ]


async def test_spark_writes_to_our_branch_and_we_see_it(
    lake: SharedLake, services: Services, snapshots: list[int]
) -> None:
    await services.versioning.create_branch(lake.name, "dev", "main~1", command())

    lake.sql("INSERT INTO {t}.branch_dev VALUES (40, 'dev')")

    state = (await services.datasets.load(lake.name)).state
    head = state.history.refs["dev"].snapshot_id
    assert head == lake.head("dev")
    assert state.history.snapshots[head].parent_id == snapshots[1]
    preview = await read_ids(services, lake.name, "dev")
    assert preview == [1, 2, 3, 4, 40]
    assert await read_ids(services, lake.name, None) == [1, 2, 3, 4, 5]


async def test_spark_sees_our_rollback_and_builds_on_it(
    lake: SharedLake, services: Services, snapshots: list[int]
) -> None:
    # given a rollback of ours
    done = await services.versioning.roll_back(lake.name, "main~1", command())
    assert done.undo_tag is not None
    assert ids(lake) == [1, 2, 3, 4]
    assert ids(lake, f"VERSION AS OF '{done.undo_tag.name}'") == [1, 2, 3, 4, 5]

    # when Spark appends to what is there now
    lake.sql("INSERT INTO {t} VALUES (6, 'f')")
    appended = lake.head()
    history = (await services.datasets.load(lake.name)).state.history
    assert history.snapshots[appended].parent_id == snapshots[1]

    # then an undo brings the old head back, and keeps Spark's append under a tag of its own
    undone = await services.versioning.undo_rollback(lake.name, done.undo_tag.name, command())
    assert ids(lake) == [1, 2, 3, 4, 5]
    assert undone.undo_tag is not None
    assert ids(lake, f"VERSION AS OF '{undone.undo_tag.name}'") == [1, 2, 3, 4, 6]


async def test_we_see_and_respect_what_spark_sets(lake: SharedLake, services: Services, snapshots: list[int]) -> None:
    # given a tag with an age, and a main branch with retention, both set by Spark
    lake.sql(f"ALTER TABLE {{t}} CREATE TAG `production_2026_02_15` AS OF VERSION {snapshots[0]} RETAIN 365 DAYS")
    lake.sql("ALTER TABLE {t} CREATE BRANCH stage")
    lake.sql(
        f"ALTER TABLE {{t}} REPLACE BRANCH main AS OF VERSION {snapshots[2]} WITH SNAPSHOT RETENTION 3 SNAPSHOTS 2 DAYS"
    )
    state = (await services.datasets.load(lake.name)).state
    tag = state.history.refs["production_2026_02_15"]
    assert (tag.snapshot_id, tag.max_ref_age_ms) == (snapshots[0], 365 * 86_400_000)
    assert find_convention(tag.name) is TagConvention.PRODUCTION
    assert state.history.refs["stage"].snapshot_id == snapshots[2]

    # when we move main and the tag
    await services.versioning.roll_back(lake.name, "main~1", command())
    await services.versioning.move_tag(lake.name, tag.name, "main", command(), force=True)

    # then their settings are still those that Spark gave them
    query = "SELECT snapshot_id, max_reference_age_in_ms, min_snapshots_to_keep, max_snapshot_age_in_ms FROM {t}.refs "
    (main,) = lake.sql(query + "WHERE name = 'main'")
    assert main == (snapshots[1], None, *RETENTION)
    (moved,) = lake.sql(query + f"WHERE name = '{tag.name}'")
    assert moved == (snapshots[1], 365 * 86_400_000, None, None)


async def test_our_undo_outlives_sparks_expiry(lake: SharedLake, services: Services, snapshots: list[int]) -> None:
    done = await services.versioning.roll_back(lake.name, "main~2", command())
    assert done.undo_tag is not None

    lake.sql(
        "CALL {c}.system.expire_snapshots(table => '{n}', older_than => TIMESTAMP '2999-01-01 00:00:00', "
        "retain_last => 1)"
    )

    state = (await services.datasets.load(lake.name)).state
    assert set(state.history.snapshots) == {snapshots[0], snapshots[2]}
    await services.versioning.undo_rollback(lake.name, done.undo_tag.name, command())
    assert ids(lake) == await read_ids(services, lake.name, None) == [1, 2, 3, 4, 5]


async def test_we_see_sparks_rollback(lake: SharedLake, services: Services, snapshots: list[int]) -> None:
    lake.sql(f"CALL {{c}}.system.rollback_to_snapshot('{{n}}', {snapshots[0]})")

    history = (await services.datasets.load(lake.name)).state.history

    assert history.head_id == snapshots[0]
    assert await read_ids(services, lake.name, None) == [1, 2]
    assert await read_ids(services, lake.name, str(snapshots[2])) == [1, 2, 3, 4, 5]


async def test_tables_of_format_3_are_changed_where_the_catalog_can(lake: SharedLake, services: Services) -> None:
    lake.sql(
        "CREATE TABLE {t} (id BIGINT, name STRING) USING iceberg TBLPROPERTIES ('format-version'='3', "
        "'write.delete.mode'='merge-on-read')"
    )
    lake.sql("INSERT INTO {t} SELECT id, CAST(id AS STRING) FROM range(0, 50)")
    first = lake.head()
    lake.sql("DELETE FROM {t} WHERE id % 2 = 0")
    second = lake.head()

    # Deletion vectors are read, by us as by Spark.
    assert await read_ids(services, lake.name, None) == ids(lake) == list(range(1, 50, 2))
    assert await read_ids(services, lake.name, str(first)) == list(range(50))

    if not isinstance(lake.foreign, RestCatalog):
        with pytest.raises(UnsupportedTableError):
            await services.versioning.create_tag(lake.name, "before", "main~1", command())
        assert lake.head() == second
        return
    await services.versioning.create_tag(lake.name, "before", "main~1", command())
    await services.versioning.roll_back(lake.name, "before", command())
    assert ids(lake) == list(range(50))
    # Row lineage goes on: Spark can still write.
    lake.sql("INSERT INTO {t} VALUES (50, 'x')")
    assert ids(lake) == await read_ids(services, lake.name, None) == list(range(51))


async def test_spark_appends_while_we_tag_and_roll_back(
    lake: SharedLake, services: Services, snapshots: list[int]
) -> None:
    # given a Spark that appends all the time
    stop = threading.Event()
    appended: list[int] = []
    told: asyncio.Queue[int] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def append_on() -> None:
        number = 100
        while not stop.is_set() or not appended:
            number += 1
            lake.sql(f"INSERT INTO {{t}} VALUES ({number}, 'x')")
            appended.append(number)
            loop.call_soon_threadsafe(told.put_nowait, number)

    appender = asyncio.create_task(asyncio.to_thread(append_on))

    async def see_two_more() -> None:
        # Of two rows told from now on the second was begun after now: `main` has grown, however slow Spark is.
        seen = len(appended)
        async with asyncio.timeout(120):
            while await told.get() < 100 + seen + 2:
                pass

    # when we tag and roll back
    acknowledged: dict[str, int] = {}
    try:
        for number in range(10):
            try:
                tagged = await services.versioning.create_tag(lake.name, f"t_{number}", None, command())
                acknowledged[tagged.tag.name] = tagged.tag.snapshot_id
                if number % 3 == 0:
                    await see_two_more()
                    rolled = await services.versioning.roll_back(lake.name, "main~1", command())
                    assert rolled.undo_tag is not None
                    acknowledged[rolled.undo_tag.name] = rolled.previous_id
            except (CommitConflictError, LockTimeoutError):
                continue
            await asyncio.sleep(0.1)
    finally:
        # A thread that nobody stops would keep the event loop from closing, and with it all tests that follow.
        stop.set()
        await appender

    # then every tag is where it was set, and every row that Spark was told of is under some ref
    assert acknowledged
    refs = dict(lake.sql("SELECT name, snapshot_id FROM {t}.refs"))
    assert {name: refs[name] for name in acknowledged} == acknowledged
    found: set[int] = set()
    for name in refs:
        found.update(ids(lake, f"VERSION AS OF '{name}'"))
    assert set(appended) <= found
