"""Looking at datasets, on every catalog and store."""

from __future__ import annotations

import pyarrow as pa
import pytest

from app.bootstrap import Services
from app.domain.names import DatasetName
from app.domain.pages import PageRequest
from app.domain.versions import VersionSelector
from app.errors import (
    DatasetNotFoundError,
    InvalidFilterError,
    NamespaceNotFoundError,
    SnapshotExpiredError,
    UnknownColumnError,
    UnreadableTableError,
    UnsupportedTableError,
    VersionNotFoundError,
)
from tests.contract.changing import command
from tests.contract.lakes import ContractLake
from tests.contract.reading import read, read_ids
from tests.integration.equality_deletes import commit_equality_delete
from tests.integration.format_v3 import upgrade_to_v3
from tests.lake_tables import BRANCH, TAG, append_elsewhere

pytestmark = pytest.mark.anyio


async def test_tables_are_listed_by_namespace(services: Services, lake: ContractLake) -> None:
    here = await services.datasets.list_names(namespace=lake.namespace)

    assert [name.name for name in here] == ["broken", "orders"]
    assert set(here) <= set(await services.datasets.list_names())
    with pytest.raises(NamespaceNotFoundError) as refused:
        await services.datasets.list_names(namespace=lake.namespace + "x")
    assert lake.namespace in refused.value.fields["suggestions"]  # type: ignore[operator]


async def test_a_listing_by_tag_keeps_what_cannot_be_read(services: Services, lake: ContractLake) -> None:
    page = await services.datasets.list_page(PageRequest(first=10), namespace=lake.namespace, tag=TAG)
    assert [name.name for name in page.items] == ["broken", "orders"]

    page = await services.datasets.list_page(PageRequest(first=10), namespace=lake.namespace, tag="no_such_tag")
    assert [name.name for name in page.items] == ["broken"]


async def test_a_broken_table_fails_alone_and_by_its_name(services: Services, lake: ContractLake) -> None:
    with pytest.raises(UnreadableTableError) as refused:
        await services.datasets.load(DatasetName(namespace=lake.namespace, name="broken"))
    assert refused.value.fields["dataset"] == f"{lake.namespace}.broken"


async def test_an_unknown_table_is_not_found_with_the_closest_names(services: Services, lake: ContractLake) -> None:
    with pytest.raises(DatasetNotFoundError) as refused:
        await services.datasets.load(DatasetName(namespace=lake.namespace, name="order"))
    assert lake.orders_name in refused.value.fields["suggestions"]  # type: ignore[operator]


async def test_every_form_of_a_version_reference_leads_there(
    services: Services, lake: ContractLake, name: DatasetName
) -> None:
    table = await services.datasets.load(name)
    first, second, third = lake.orders.ids
    forms = {
        None: third,
        "latest": third,
        "main~1": second,
        f"{TAG}": first,
        f"tag:{TAG}": first,
        f"{BRANCH}~1": first,
        f"branch:{BRANCH}": second,
        str(second): second,
        f"snapshot:{second}": second,
        "2999-01-01": third,
    }
    assert {form: services.datasets.resolve(table, form).snapshot_id for form in forms} == forms
    with pytest.raises(VersionNotFoundError):
        services.datasets.resolve(table, "2001-01-01")


async def test_rows_are_those_of_the_version_in_its_own_schema(services: Services, name: DatasetName) -> None:
    tagged = await read(services, name, TAG)
    now = await read(services, name)

    assert tagged.column_names == ["id", "price", "name", "at"]
    assert now.column_names == ["id", "price", "label", "at", "note"]
    assert sorted(tagged.column("id").to_pylist()) == [1, 2, 3]
    assert sorted(now.column("id").to_pylist()) == [1, 2, 3, 4, 5, 6]
    assert now.column("note").null_count == 6
    # A branch is read in the table's current schema.
    assert (await read(services, name, BRANCH)).column_names == now.column_names


async def test_filters_columns_and_limits_hold(services: Services, name: DatasetName) -> None:
    assert await read_ids(services, name, row_filter="id > 2 and label is not null") == [4, 5, 6]
    assert (await read(services, name, columns=("label",), row_filter="id = 4")).to_pylist() == [{"label": "order 4"}]
    assert (await read(services, name, limit=2)).num_rows == 2
    with pytest.raises(UnknownColumnError):
        await read(services, name, columns=("name",))
    with pytest.raises(InvalidFilterError):
        await read(services, name, row_filter="name = 'x'")


async def test_statistics_come_from_manifests(services: Services, lake: ContractLake, name: DatasetName) -> None:
    table = await services.datasets.load(name)
    (stats,) = await services.datasets.column_stats(table, lake.orders.third, ["id"])
    assert (stats.value_count, stats.null_count, stats.lower, stats.upper) == (6, 0, 1, 6)


async def test_another_writers_commits_are_seen_at_once(
    services: Services, lake: ContractLake, name: DatasetName
) -> None:
    assert await read_ids(services, name) == [1, 2, 3, 4, 5, 6]

    head = append_elsewhere(lake.foreign, 7, name=lake.orders_name)

    assert (await services.datasets.load(name)).state.history.head_id == head
    assert await read_ids(services, name) == [1, 2, 3, 4, 5, 6, 7]


async def test_an_expired_snapshot_that_we_remember_is_not_just_unknown(
    services: Services, lake: ContractLake, name: DatasetName
) -> None:
    # given a snapshot that a tag of ours was on, and that another program has expired
    gone = lake.orders.second
    await services.versioning.create_tag(name, "t", VersionSelector(snapshot_id=gone), command())
    await services.versioning.delete_tag(name, "t", command())
    await services.versioning.delete_branch(name, BRANCH, command())
    lake.foreign.load_table(lake.orders_name).maintenance.expire_snapshots().by_id(gone).commit()

    table = await services.datasets.load(name)
    with pytest.raises(SnapshotExpiredError):
        await services.datasets.resolve_with_record(table, VersionSelector(snapshot_id=gone))
    with pytest.raises(VersionNotFoundError):
        await services.datasets.resolve_with_record(table, VersionSelector(snapshot_id=gone - 1))


async def test_a_table_is_found_by_its_id_after_a_rename(
    services: Services, lake: ContractLake, name: DatasetName
) -> None:
    table_uuid = (await services.datasets.load(name)).state.table_uuid

    lake.foreign.rename_table(lake.orders_name, f"{lake.namespace}.renamed")

    assert await services.datasets.find_name(table_uuid) == DatasetName(namespace=lake.namespace, name="renamed")
    with pytest.raises(DatasetNotFoundError):
        await services.datasets.load(name)


async def test_equality_deletes_are_refused_and_earlier_versions_read(
    services: Services, lake: ContractLake, name: DatasetName
) -> None:
    table = lake.foreign.load_table(lake.orders_name)
    deleting = commit_equality_delete(lake.foreign, table, pa.table({"id": pa.array([2], pa.int64())}))

    with pytest.raises(UnsupportedTableError) as refused:
        await read(services, name)
    assert refused.value.fields["feature"] == "equality deletes"
    assert str(deleting) in refused.value.message
    assert await read_ids(services, name, str(lake.orders.third)) == [1, 2, 3, 4, 5, 6]


async def test_tables_of_format_3_are_read(services: Services, lake: ContractLake, name: DatasetName) -> None:
    upgrade_to_v3(lake.foreign, lake.foreign.load_table(lake.orders_name))

    table = await services.datasets.load(name)

    assert table.state.format_version == 3
    assert [ref.name for ref in table.state.history.tags] == [TAG]
    assert await read_ids(services, name, TAG) == [1, 2, 3]
    assert await read_ids(services, name) == [1, 2, 3, 4, 5, 6]
