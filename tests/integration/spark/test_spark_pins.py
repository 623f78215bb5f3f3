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
