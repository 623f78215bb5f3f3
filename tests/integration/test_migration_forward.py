"""A database that was in use before the registry came goes forward with all that is in it."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import asyncpg
import orjson
import pytest

from app.bootstrap import open_services
from app.domain.changes import DatasetSubject
from app.domain.names import DatasetName
from app.domain.pages import PageRequest
from app.postgres.migrate import MIGRATIONS_DIR, migrate
from app.settings import Settings
from tests.integration.lineage.events import run_event
from tests.integration.registry.lake import drain

pytestmark = pytest.mark.anyio

RUN = UUID("66666666-6666-4666-8666-666666666666")
TABLE = UUID("77777777-7777-4777-8777-777777777777")
LAST_BEFORE = 5


async def test_changes_and_events_of_before_are_there_and_projected(empty_database_url: str, tmp_path: Path) -> None:
    # given a database as it was, with a change, and a run that the graph knows
    before = tmp_path / "migrations"
    before.mkdir()
    for file in sorted(MIGRATIONS_DIR.glob("*.sql"))[:LAST_BEFORE]:
        shutil.copy(file, before)
    assert len(await migrate(empty_database_url, directory=before)) == LAST_BEFORE
    event = orjson.dumps(run_event("COMPLETE", RUN, "2026-02-15T10:00:00Z"), option=orjson.OPT_SORT_KEYS)
    connection = await asyncpg.connect(empty_database_url)
    try:
        await connection.execute(
            """
            INSERT INTO changes (change_id, kind, state, table_uuid, namespace, table_name, actor, plan, base_metadata,
                                 lease_until, settled_at)
            VALUES ($1, 'TAG_CREATED', 'DONE', $2, 'gold', 'customers', 'ada', '{"updates": [], "schema": null}',
                    'file:///m.json', now(), now())
            """,
            RUN,
            TABLE,
        )
        await connection.execute(
            "INSERT INTO lineage_events (run_key, event_time, body_hash, body) VALUES ($1, $2, $3, $4)",
            f"run:{RUN}",
            datetime(2026, 2, 15, 10, tzinfo=UTC),
            b"hash",
            event,
        )
    finally:
        await connection.close()

    # when the server of today opens it
    async with open_services(Settings(home=tmp_path / "home", database_url=empty_database_url)) as services:
        await drain(services)
        changes = await services.datasets.changes_page(PageRequest(first=5))
        run = await services.runs.get(RUN)

    # then
    assert [change.subject for change in changes.items] == [
        DatasetSubject(dataset=DatasetName.parse("gold.customers"), table_uuid=TABLE)
    ]
    assert run.pipeline_id == "tests/refresh"
