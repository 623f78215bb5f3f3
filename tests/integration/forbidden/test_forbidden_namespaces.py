"""A namespace whose tables the catalog forbids us to list: it is told as that, and nothing is deleted beside it."""

from __future__ import annotations

import os
import time
from typing import Any
from uuid import uuid4

import pytest
from pyiceberg.catalog import Catalog

from app.bootstrap import Services
from app.client import IcebergCatalog
from app.domain.compaction.claims import RunClaim
from app.domain.compaction.obstacles import CompactionEngine
from app.domain.names import DatasetName
from app.domain.operations import OperationStatus
from app.errors import DatasetNotFoundError, NamespaceForbiddenError
from app.services.compaction.operations import CompactionOverrides
from app.services.orphans import OrphanAge
from app.services.retention_sweeps import Chosen
from app.settings import Settings
from tests.integration.compaction.tables import COMMAND, NAME, compact, create, next_operation, on_disk
from tests.integration.forbidden.test_forbidden_tables import command_line
from tests.integration.operations.jobs import ended
from tests.integration.retention.killed import POLICY
from tests.servers.answering_proxy import AnsweringProxy

pytestmark = [pytest.mark.anyio, pytest.mark.rest_catalog]

ALLOWED, HIDDEN = NAME, DatasetName(namespace="silver", name="wages")
CODE = NamespaceForbiddenError.code


@pytest.fixture(autouse=True)
def tables(catalog: Catalog) -> None:
    create(catalog, ALLOWED, files=6)
    create(catalog, HIDDEN, files=1)


@pytest.mark.parametrize("namespace", ["silver", None], ids=["one", "all"])
async def test_listing_it_names_it(services: Services, proxy: AnsweringProxy, namespace: str | None) -> None:
    with proxy.hiding("silver"), pytest.raises(NamespaceForbiddenError) as refused:
        await services.retention_sweeps.names(Chosen(namespace=namespace, is_all=namespace is None))

    assert refused.value.fields["namespace"] == "silver"
    assert "told 403 by the test" in str(refused.value.fields["reason"])


async def test_other_namespaces_are_listed_and_names_like_an_unknown_one_told(
    services: Services, proxy: AnsweringProxy
) -> None:
    with proxy.hiding("silver"):
        assert await services.datasets.list_names(namespace="bronze") == [ALLOWED]
        with pytest.raises(DatasetNotFoundError) as unknown:
            await services.datasets.load(DatasetName(namespace="bronze", name="event"))
    assert unknown.value.fields["suggestions"] == [str(ALLOWED)]


async def test_what_is_below_it_is_looked_at(services: Services, catalog: Catalog, proxy: AnsweringProxy) -> None:
    below = DatasetName(namespace="silver.deep", name="events")
    create(catalog, below, files=1)

    with proxy.hiding("silver"):
        found = await services.lake.list_visible()

    assert found.names == [ALLOWED, below]
    assert [error.fields["namespace"] for error in found.hidden] == ["silver"]


async def test_a_compaction_of_all_tables_tells_it_and_does_the_others(
    services: Services, catalog: Catalog, proxy: AnsweringProxy
) -> None:
    with proxy.hiding("silver"):
        operation = await services.compaction_operations.start(
            Chosen(is_all=True), CompactionOverrides(), COMMAND, is_dry_run=False
        )
        await next_operation(services)

    # Then it is an entry without a table, with the catalog's words, and the others are done
    done = await ended(services.operations, operation.operation_id)
    assert done.status is OperationStatus.SUCCEEDED, done.failure
    result: Any = await services.operations.result_of(done)
    hidden, told = result["tables"]
    assert (hidden["namespace"], hidden["table"], hidden["plan"]) == ("silver", None, None)
    assert (hidden["error"]["code"], hidden["error"]["namespace"]) == (CODE, "silver")
    assert "told 403 by the test" in hidden["error"]["reason"]
    assert (told["table"], told["error"], told["files_after"]) == (ALLOWED.name, None, 1)
    assert (result["files_before"], result["files_after"]) == (6, 1)
    head = catalog.load_table(str(ALLOWED)).current_snapshot()
    assert head is not None
    assert head.summary is not None
    assert head.summary.operation.value == "replace"


async def test_one_of_it_alone_is_refused(services: Services, proxy: AnsweringProxy) -> None:
    with proxy.hiding("silver"), pytest.raises(NamespaceForbiddenError):
        await services.compaction_operations.start(
            Chosen(namespace="silver"), CompactionOverrides(), COMMAND, is_dry_run=True
        )


async def test_nothing_is_expired_beside_it(services: Services, catalog: Catalog, proxy: AnsweringProxy) -> None:
    async def sweep(*, is_dry_run: bool) -> Any:
        swept = services.retention_sweeps.sweep([ALLOWED], POLICY, COMMAND, lambda *_: None, is_dry_run=is_dry_run)
        (entry,) = [entry async for entry in swept]
        return entry

    files = on_disk(catalog.load_table(str(ALLOWED)))
    with proxy.hiding("silver"):
        planned, told = await sweep(is_dry_run=True), await sweep(is_dry_run=False)

    # Then it says which namespace is in the way, and a dry run has said so before
    assert (told["error"]["code"], told["error"]["namespace"]) == (CODE, "silver")
    assert f"some of those of {ALLOWED} may be their own" in told["error"]["message"]
    assert any("forbids us to look at namespace silver" in warning for warning in planned["warnings"])
    # And nothing is lost, until it may be listed
    assert on_disk(catalog.load_table(str(ALLOWED))) == files
    assert len(catalog.load_table(str(ALLOWED)).metadata.snapshots) == 6
    done = await sweep(is_dry_run=False)
    assert (done["error"], done["expired"]) == (None, 4)


async def test_orphans_are_listed_and_not_removed_beside_it(
    services: Services, catalog: Catalog, proxy: AnsweringProxy
) -> None:
    orphan = min(on_disk(catalog.load_table(str(ALLOWED)))).with_name(
        "00000-0-5ae1e7c2-6a5c-4c1e-9f0e-0d8c1d1f0a11-00001.parquet"
    )
    orphan.write_bytes(b"x")
    old = time.time() - 5 * 86_400
    os.utime(orphan, (old, old))

    with proxy.hiding("silver"):
        found = await services.orphans.find(ALLOWED, OrphanAge())
        with pytest.raises(NamespaceForbiddenError) as refused:
            await services.orphans.remove(ALLOWED, COMMAND, OrphanAge())

    assert [each.path.rpartition("/")[2] for each in found.listed] == [orphan.name]
    assert found.warnings == [f"Removing them would be refused: {refused.value.message}"]
    assert orphan.exists()
    assert (await services.orphans.remove(ALLOWED, COMMAND, OrphanAge())).removed == 1


async def test_a_run_of_a_table_that_may_be_in_it_is_not_given_up(
    services: Services, catalog: Catalog, proxy: AnsweringProxy
) -> None:
    # Given a run that died, of a table that was moved there since
    table, records = await services.datasets.load(ALLOWED), services.compaction_sweeps._compaction._records
    claim = RunClaim(run_id=uuid4(), engine=CompactionEngine.LOCAL, base_id=None)
    await records.claim(table, claim, COMMAND, None)
    catalog.rename_table(str(ALLOWED), "silver.events")
    other = DatasetName(namespace="gold", name="other")
    create(catalog, other, files=1)

    # When others are compacted
    with proxy.hiding("silver"):
        await compact(services, other)

        # Then it is written down another time
        assert table.state.table_uuid in await records.list_open()
        # And whoever asks for the table is told why it is not found
        with pytest.raises(NamespaceForbiddenError):
            await services.datasets.find_name(table.state.table_uuid)


@pytest.mark.usefixtures("settings")
def test_on_the_command_line_it_ends_with_its_category(
    proxy: AnsweringProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    with proxy.hiding("silver"):
        for command in (("datasets", "--namespace", "silver"), ("compaction", "run", "--namespace", "silver")):
            code, told = command_line(capsys, *command)
            assert (command, code, told["error"]["code"]) == (command, 5, CODE)
            assert "of namespace silver: " in told["error"]["message"]


@pytest.mark.usefixtures("settings")
def test_on_the_command_line_commands_for_all_tables_tell_it_and_end_with_1(
    proxy: AnsweringProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    with proxy.hiding("silver"):
        for command in (("compaction", "analyze", "--all"), ("compaction", "run", "--all", "--execute")):
            code, told = command_line(capsys, *command)
            entries = {(entry["namespace"], entry["table"]): entry for entry in told["tables"]}
            assert (command, code, set(entries)) == (command, 1, {("silver", None), ("bronze", "events")})
            assert entries["silver", None]["error"]["code"] == CODE
            assert entries["bronze", "events"]["error"] is None
    assert entries["bronze", "events"]["files_after"] == 1


def test_python_tells_it_among_all_and_refuses_it_alone(settings: Settings, proxy: AnsweringProxy) -> None:
    with IcebergCatalog(settings=settings) as catalog, proxy.hiding("silver"):
        found = {entry["table"]: entry["error"] for entry in catalog.compact()["tables"]}
        with pytest.raises(NamespaceForbiddenError):
            catalog.compact(["bronze", "silver"])
    assert found.pop(ALLOWED.name) is None
    error = found.pop(None)
    assert error is not None
    assert (error["code"], error["namespace"], found) == (CODE, "silver", {})
