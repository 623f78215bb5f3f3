"""A table that the catalog forbids us to look at: it is told as that, and keeps nothing else from being done."""

from __future__ import annotations

import json
import os
import time
from typing import Any
from uuid import uuid4

import pytest
from pyiceberg.catalog import Catalog

from app.bootstrap import Services
from app.cli.main import run
from app.domain.changes import ChangeKind
from app.domain.compaction.claims import RunClaim
from app.domain.compaction.obstacles import CompactionEngine
from app.domain.names import DatasetName
from app.domain.pages import PageRequest
from app.domain.ref_changes import plan_tag
from app.errors import DatasetForbiddenError
from app.graphql.schema import build_schema
from app.registry.change_rows import Intent
from app.services.orphans import OrphanAge
from app.settings import Settings
from tests.graphql.api import Api
from tests.integration.compaction.tables import COMMAND, NAME, compact, create, on_disk
from tests.integration.races.table import change_rows
from tests.integration.retention.killed import POLICY
from tests.rest.conftest import rest_client
from tests.servers.answering_proxy import AnsweringProxy

pytestmark = [pytest.mark.anyio, pytest.mark.rest_catalog]

ALLOWED, FORBIDDEN = NAME, DatasetName(namespace="silver", name="wages")
CODE = DatasetForbiddenError.code
CLEANUP = ("retention", "cleanup", "--all", "--keep-last", "2", "--keep-days", "0", "--production-keep-days", "0")


@pytest.fixture(autouse=True)
def tables(catalog: Catalog) -> None:
    for name in (ALLOWED, FORBIDDEN):
        create(catalog, name, files=6)


def head_of(catalog: Catalog, name: DatasetName) -> Any:
    return catalog.load_table(str(name)).current_snapshot()


def command_line(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    """The exit code of the program, within this process, and what it printed as JSON, or as an error."""
    capsys.readouterr()
    code = run([*arguments, "--json"])
    captured = capsys.readouterr()
    return code, json.loads(captured.out or captured.err)


def by_table(entries: list[Any]) -> dict[str, Any]:
    return {f"{entry['namespace']}.{entry['table']}": entry for entry in entries}


async def test_a_compaction_of_all_tables_tells_it_and_does_the_others(
    services: Services, catalog: Catalog, proxy: AnsweringProxy
) -> None:
    before = head_of(catalog, FORBIDDEN)
    with proxy.answering(str(FORBIDDEN), 403):
        told = by_table(await compact(services, FORBIDDEN, ALLOWED))

    # Then it is told by its name, with the catalog's words, and the other is done
    error = told[str(FORBIDDEN)]["error"]
    assert (error["code"], error["dataset"]) == (CODE, str(FORBIDDEN))
    assert "told 403 by the test" in error["reason"]
    assert (told[str(ALLOWED)]["error"], told[str(ALLOWED)]["files_after"]) == (None, 1)
    assert head_of(catalog, ALLOWED).summary.operation.value == "replace"
    assert head_of(catalog, FORBIDDEN) == before


async def test_a_run_of_it_that_is_yet_to_be_written_down_stops_no_other(
    services: Services, proxy: AnsweringProxy
) -> None:
    # Given a run that died, of a table that is forbidden since
    table, records = await services.datasets.load(FORBIDDEN), services.compaction_sweeps._compaction._records
    claim = RunClaim(run_id=uuid4(), engine=CompactionEngine.LOCAL, base_id=None)
    await records.claim(table, claim, COMMAND, None)

    # When another one is compacted
    with proxy.answering(str(FORBIDDEN), 403):
        told = by_table(await compact(services, ALLOWED))

    # Then it is, and the other run is written down another time
    assert (told[str(ALLOWED)]["error"], told[str(ALLOWED)]["files_after"]) == (None, 1)
    assert table.state.table_uuid in await records.list_open()


async def test_a_run_of_it_is_not_given_up_where_it_has_got_another_name(
    services: Services, catalog: Catalog, proxy: AnsweringProxy
) -> None:
    # Given a run that died, of a table that was renamed since and is forbidden under its new name
    table, records = await services.datasets.load(FORBIDDEN), services.compaction_sweeps._compaction._records
    claim = RunClaim(run_id=uuid4(), engine=CompactionEngine.LOCAL, base_id=None)
    await records.claim(table, claim, COMMAND, None)
    catalog.rename_table(str(FORBIDDEN), "silver.salaries")

    # When others are compacted, also by who has just looked for it in vain
    with proxy.answering("silver.salaries", 403):
        for _ in range(2):
            await compact(services, ALLOWED)

    # Then the run is written down another time
    assert table.state.table_uuid in await records.list_open()


async def test_nothing_is_expired_beside_a_table_that_may_have_the_same_files(
    services: Services, catalog: Catalog, proxy: AnsweringProxy
) -> None:
    async def sweep(*, is_dry_run: bool) -> dict[str, Any]:
        swept = services.retention_sweeps.sweep(
            await services.datasets.list_names(), POLICY, COMMAND, lambda *_: None, is_dry_run=is_dry_run
        )
        return by_table([entry async for entry in swept])

    files = on_disk(catalog.load_table(str(ALLOWED)))
    with proxy.answering(str(FORBIDDEN), 403):
        planned, told = await sweep(is_dry_run=True), await sweep(is_dry_run=False)

    # Then each is told, by the hidden one's name
    for name in (FORBIDDEN, ALLOWED):
        assert (told[str(name)]["error"]["code"], told[str(name)]["error"]["dataset"]) == (CODE, str(FORBIDDEN))
    assert f"some of those of {ALLOWED} may be its own" in told[str(ALLOWED)]["error"]["message"]
    # And a dry run has said so before
    assert any(f"forbids us to look at {FORBIDDEN}" in warning for warning in planned[str(ALLOWED)]["warnings"])
    # And nothing is lost
    assert on_disk(catalog.load_table(str(ALLOWED))) == files
    assert len(catalog.load_table(str(ALLOWED)).metadata.snapshots) == 6
    # And it is done once all tables may be looked at
    done = (await sweep(is_dry_run=False))[str(ALLOWED)]
    assert (done["error"], done["expired"]) == (None, 4)


async def test_orphans_of_others_are_listed_and_not_removed(
    services: Services, catalog: Catalog, proxy: AnsweringProxy
) -> None:
    # Given a file that is an orphan of one table, unless it is the hidden one's
    table = catalog.load_table(str(ALLOWED))
    orphan = min(on_disk(table)).with_name("00000-0-5ae1e7c2-6a5c-4c1e-9f0e-0d8c1d1f0a11-00001.parquet")
    orphan.write_bytes(b"x")
    old = time.time() - 5 * 86_400
    os.utime(orphan, (old, old))

    with proxy.answering(str(FORBIDDEN), 403):
        found = await services.orphans.find(ALLOWED, OrphanAge())
        with pytest.raises(DatasetForbiddenError) as refused:
            await services.orphans.remove(ALLOWED, COMMAND, OrphanAge())

    assert [each.path.rpartition("/")[2] for each in found.listed] == [orphan.name]
    (warning,) = found.warnings
    assert warning == f"Removing them would be refused: {refused.value.message}"
    assert refused.value.fields["dataset"] == str(FORBIDDEN)
    assert orphan.exists()
    # And they are removed where it may be looked at
    assert (await services.orphans.remove(ALLOWED, COMMAND, OrphanAge())).removed == 1


async def test_the_search_for_a_table_by_its_id_goes_past_it(
    services: Services, catalog: Catalog, proxy: AnsweringProxy
) -> None:
    uuid = (await services.datasets.load(ALLOWED)).state.table_uuid
    renamed = DatasetName(namespace=ALLOWED.namespace, name="renamed")
    catalog.rename_table(str(ALLOWED), str(renamed))

    with proxy.answering(str(FORBIDDEN), 403):
        assert await services.datasets.find_name(uuid) == renamed
        # And one that cannot be seen may have a tag, so that it is in the list
        page = await services.datasets.list_page(PageRequest(), tag="nothing")
    assert list(page.items) == [FORBIDDEN]


async def test_what_is_known_of_it_is_told_although_it_cannot_be_looked_at(
    services: Services, proxy: AnsweringProxy
) -> None:
    uuid = (await services.datasets.load(FORBIDDEN)).state.table_uuid
    with proxy.answering(str(FORBIDDEN), 403):
        assert await services.datasets.get_uuid(FORBIDDEN) == uuid


async def test_changes_of_other_tables_are_settled_beside_it(
    services: Services, settings: Settings, proxy: AnsweringProxy
) -> None:
    # Given changes of both tables that a process left open when it died, that of the forbidden one first
    for name in (FORBIDDEN, ALLOWED):
        state = (await services.datasets.load(name)).state
        plan = plan_tag(state, "t", state.history.refs["main"].snapshot_id)
        assert plan is not None
        intent = Intent(
            change_id=uuid4(),
            kind=ChangeKind.TAG_CREATED,
            dataset=name,
            table_uuid=state.table_uuid,
            command=COMMAND,
            request_hash=b"",
            plan=plan,
            base_metadata=state.metadata_location,
            lease_s=0.0,
        )
        await services.repair._changes.intend(intent)

    with proxy.answering(str(FORBIDDEN), 403):
        assert await services.repair.settle_overdue() == 1
    assert [row["state"] for row in await change_rows(settings.database_url or "")] == ["INTENDED", "FAILED"]


async def test_in_graphql_it_keeps_its_place_in_the_list_and_mutations_name_the_input(
    services: Services, settings: Settings, proxy: AnsweringProxy
) -> None:
    api = Api(build_schema(settings), services)
    with proxy.answering(str(FORBIDDEN), 403):
        listed = await api.run("{ datasets { nodes { name availability current { snapshotId } } } }")
        changed = await api.run(
            """mutation { createTag(input: {on: {dataset: {namespace: "silver", name: "wages"}}, name: "t"}) {
                 userErrors { code errorCode path } } }"""
        )

    assert listed.data["datasets"]["nodes"][1] == {"name": "wages", "availability": "UNREACHABLE", "current": None}
    assert listed.data["datasets"]["nodes"][0]["availability"] == "AVAILABLE"
    assert (listed.codes, listed.errors[0]["path"]) == ([CODE], ["datasets", "nodes", 1])
    assert listed.errors[0]["extensions"]["category"] == "FORBIDDEN"
    (error,) = changed.data["createTag"]["userErrors"]
    assert (error["code"], error["errorCode"], error["path"]) == ("FORBIDDEN", CODE, ["input", "on", "dataset"])


def test_rest_answers_that_it_is_forbidden(settings: Settings, proxy: AnsweringProxy) -> None:
    with proxy.answering(str(FORBIDDEN), 403), rest_client(settings) as client:
        for path in ("snapshots", "compaction", "retention", "data"):
            answer = client.get(f"/api/v1/datasets/silver/wages/{path}")
            assert (path, answer.status_code, answer.json()["code"]) == (path, 403, CODE)
            assert answer.json()["dataset"] == str(FORBIDDEN)


@pytest.mark.usefixtures("settings")
def test_on_the_command_line_one_table_ends_with_its_category_and_many_with_1(
    proxy: AnsweringProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    of_one: list[tuple[str, ...]] = [
        ("snapshots", str(FORBIDDEN)),
        ("compaction", "run", "--namespace", "silver", "--table", "wages"),
        ("retention", "cleanup", "--namespace", "silver", "--table", "wages"),
        ("orphans", "find", str(FORBIDDEN)),
    ]
    of_all: list[tuple[str, ...]] = [("compaction", "run", "--all"), ("compaction", "analyze", "--all"), CLEANUP]
    with proxy.answering(str(FORBIDDEN), 403):
        for command in of_one:
            code, told = command_line(capsys, *command)
            assert (command, code, told["error"]["code"]) == (command, 5, CODE)
        for command in of_all:
            code, told = command_line(capsys, *command)
            errors = {name: entry["error"] for name, entry in by_table(told["tables"]).items()}
            assert (command, code, errors[str(ALLOWED)]) == (command, 1, None)
            assert errors[str(FORBIDDEN)]["code"] == CODE
