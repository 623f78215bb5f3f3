"""What a model was trained on and what is held outlive Spark's own expiry, for as long as either is needed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.bootstrap import Services
from app.domain.models import NewModelVersion
from app.errors import SnapshotExpiredError
from app.services.model_registration import TrainingInput
from tests.contract.changing import command
from tests.contract.reading import read_ids
from tests.integration.spark.conftest import SharedLake
from tests.lake_tables import age_of, set_tag

pytestmark = [pytest.mark.anyio, pytest.mark.spark]


def expire(lake: SharedLake) -> None:
    # A day ahead: Spark's session may have another time zone than ours.
    later = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%d %H:%M:%S")
    lake.sql(
        "CALL {c}.system.expire_snapshots(table => '{n}', older_than => TIMESTAMP '" + later + "', retain_last => 1)"
    )


async def test_sparks_expiry_keeps_what_a_live_model_was_trained_on(lake: SharedLake, services: Services) -> None:
    # given a model that was trained on the second of four snapshots
    lake.sql("CREATE TABLE {t} (id BIGINT) USING iceberg TBLPROPERTIES ('format-version'='2')")
    snapshots = []
    for number in range(1, 5):
        lake.sql(f"INSERT INTO {{t}} VALUES ({number})")
        snapshots.append(lake.head())
    training = [TrainingInput(dataset=lake.name, at=str(snapshots[1]))]
    done = await services.registration.register(NewModelVersion(model=lake.namespace), training, command())

    # when Spark expires all that it may
    expire(lake)

    # then the others are gone, and it is whole
    assert [s.snapshot_id for s in lake.foreign.load_table(str(lake.name)).snapshots()] == [snapshots[1], snapshots[3]]
    assert await read_ids(services, lake.name, str(snapshots[1])) == [1, 2]
    assert await services.models.is_reproducible(done.version) is True

    # and once the model is archived, it goes with the next expiry
    await services.registration.archive(lake.namespace, 1, command())
    expire(lake)
    assert await services.models.is_reproducible(done.version) is False
    with pytest.raises(SnapshotExpiredError):
        await read_ids(services, lake.name, str(snapshots[1]))


async def test_sparks_expiry_keeps_what_is_held(lake: SharedLake, services: Services) -> None:
    # given a hold on the second of four snapshots, each of which has all its files for itself
    lake.sql("CREATE TABLE {t} (id BIGINT) USING iceberg TBLPROPERTIES ('format-version'='2')")
    snapshots = []
    for number in range(1, 5):
        lake.sql(f"INSERT OVERWRITE {{t}} VALUES ({number})")
        snapshots.append(lake.head())
    hold = await services.holding.place(lake.name, str(snapshots[1]), command())

    # when Spark expires all that it may
    expire(lake)

    # then it is whole, by either
    assert [s.snapshot_id for s in lake.foreign.load_table(str(lake.name)).snapshots()] == [snapshots[1], snapshots[3]]
    assert await read_ids(services, lake.name, hold.tag) == [2]
    assert lake.sql(f"SELECT id FROM {{t}} VERSION AS OF '{hold.tag}'") == [(2,)]

    # and once it is released, it goes with the next expiry
    await services.holding.release(hold.hold_id, command())
    expire(lake)
    with pytest.raises(SnapshotExpiredError):
        await read_ids(services, lake.name, str(snapshots[1]))


ENDS_REFS = "'history.expire.max-ref-age-ms'='1'"


@pytest.mark.parametrize("lost", ["nothing", "ages"])
async def test_sparks_expiry_keeps_pins_in_a_table_that_ends_refs(
    lake: SharedLake, services: Services, lost: str
) -> None:
    # given snapshots with all their files for themselves, of which a model, a hold and somebody's tag need one each
    lake.sql("CREATE TABLE {t} (id BIGINT) USING iceberg TBLPROPERTIES ('format-version'='2')")
    snapshots = []
    for number in range(1, 5):
        lake.sql(f"INSERT OVERWRITE {{t}} VALUES ({number})")
        snapshots.append(lake.head())
    training = [TrainingInput(dataset=lake.name, at=str(snapshots[0]))]
    done = await services.registration.register(NewModelVersion(model=lake.namespace), training, command())
    hold = await services.holding.place(lake.name, str(snapshots[1]), command())
    pin = f"model_training_{lake.namespace}_v1"
    lake.sql(f"ALTER TABLE {{t}} CREATE TAG mine AS OF VERSION {snapshots[2]}")

    # and a table that later ends what says nothing itself, perhaps with pins as earlier releases set them
    lake.sql(f"ALTER TABLE {{t}} SET TBLPROPERTIES ({ENDS_REFS})")
    if lost == "ages":
        set_tag(lake.foreign, pin, snapshots[0], None, name=str(lake.name))
        set_tag(lake.foreign, hold.tag, snapshots[1], 1, name=str(lake.name))
        assert [age_of(lake.foreign, tag, name=str(lake.name)) for tag in (pin, hold.tag)] == [None, 1]
        await services.model_upkeep.settle()

    # when Spark expires all that it may
    expire(lake)

    # then what is needed is whole, by either, and the tag has gone with its snapshot, as Iceberg says
    table = lake.foreign.load_table(str(lake.name))
    assert table.metadata.refs.keys() == {"main", pin, hold.tag}
    assert {s.snapshot_id for s in table.snapshots()} == {snapshots[0], snapshots[1], snapshots[3]}
    for tag, number in ((pin, 1), (hold.tag, 2), ("main", 4)):
        assert await read_ids(services, lake.name, tag) == [number]
        assert lake.sql(f"SELECT id FROM {{t}} VERSION AS OF '{tag}'") == [(number,)]
    assert await services.models.is_reproducible(done.version) is True
    with pytest.raises(SnapshotExpiredError):
        await read_ids(services, lake.name, str(snapshots[2]))

    # and Spark reads that they never end
    ages = lake.sql("SELECT name, max_reference_age_in_ms FROM {t}.refs WHERE type = 'TAG'")
    assert dict(ages) == {pin: 2**63 - 1, hold.tag: 2**63 - 1}

    # and once they are released, the next expiry takes them
    await services.registration.archive(lake.namespace, 1, command())
    await services.holding.release(hold.hold_id, command())
    expire(lake)
    assert [s.snapshot_id for s in lake.foreign.load_table(str(lake.name)).snapshots()] == [snapshots[3]]
