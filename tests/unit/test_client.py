import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog

from app.bootstrap import open_services
from app.client import IcebergCatalog
from app.errors import (
    AlreadyCurrentError,
    DatasetNotFoundError,
    HeadMovedError,
    InvalidArgumentError,
    InvalidFilterError,
    InvalidNameError,
    InvalidReferenceError,
    InvalidSettingError,
    NoSnapshotError,
    ProtectedTagError,
    TagExistsError,
    TagNotFoundError,
    UnknownColumnError,
    VersionNotFoundError,
)
from app.settings import Settings
from tests.integration.lineage.events import body, name, of_table, run_event
from tests.lake_fixtures import own_lake, shared_lake
from tests.lake_tables import ORDERS, TAG, Orders, SmallLake, append_elsewhere

ROOT = Path(__file__).resolve().parents[2]
NEW = "gold_validated_2026_02_15"


@pytest.fixture(scope="module")
def looking(shared_lake: SmallLake) -> Iterator[IcebergCatalog]:
    """For tests that change nothing."""
    with IcebergCatalog(settings=shared_lake.settings) as opened:
        yield opened


@pytest.fixture
def client(own_lake: SmallLake) -> Iterator[IcebergCatalog]:
    with IcebergCatalog(settings=own_lake.settings, actor="ada") as opened:
        yield opened


@pytest.fixture
def catalog(own_lake: SmallLake) -> Catalog:
    return own_lake.catalog


@pytest.fixture
def orders(own_lake: SmallLake) -> Orders:
    return own_lake.orders


@pytest.fixture
def settings(shared_lake: SmallLake) -> Settings:
    return shared_lake.settings


def head_of(catalog: Catalog) -> int:
    head = catalog.load_table(ORDERS).current_snapshot()
    assert head is not None
    return head.snapshot_id


def test_snapshots_are_dicts_oldest_first(looking: IcebergCatalog, shared_lake: SmallLake) -> None:
    first, second, third = looking.list_snapshots("sales", "orders")

    assert [first["snapshot_id"], second["snapshot_id"], third["snapshot_id"]] == shared_lake.orders.ids
    assert set(first) == {
        "snapshot_id",
        "parent_snapshot_id",
        "timestamp_ms",
        "operation",
        "summary",
        "tags",
        "is_current",
    }
    assert (first["parent_snapshot_id"], second["parent_snapshot_id"]) == (None, shared_lake.orders.first)
    assert (first["tags"], first["summary"]["tag"]) == ([TAG], TAG)
    assert second["tags"] == []
    assert "tag" not in second["summary"]
    assert [entry["is_current"] for entry in (first, second, third)] == [False, False, True]
    assert looking.get_snapshot_id("sales", "orders") == shared_lake.orders.third


def test_the_first_tag_by_name_stands_in_the_summary(client: IcebergCatalog, orders: Orders) -> None:
    client.tag_snapshot("sales", "orders", orders.first, "a_first_one")

    entry = client.list_snapshots("sales", "orders")[0]

    assert entry["tags"] == ["a_first_one", TAG]
    assert entry["summary"]["tag"] == "a_first_one"


def test_a_tag_is_an_iceberg_ref(client: IcebergCatalog, orders: Orders, catalog: Catalog) -> None:
    result = client.tag_snapshot("sales", "orders", orders.second, NEW, reason="checked")

    assert result == {"tag": NEW, "snapshot_id": orders.second, "warnings": []}
    assert catalog.load_table(ORDERS).metadata.refs[NEW].snapshot_id == orders.second
    assert client.get_snapshot_by_tag("sales", "orders", NEW) == orders.second
    assert client.remove_tag("sales", "orders", NEW) == orders.second
    assert NEW not in catalog.load_table(ORDERS).metadata.refs


def test_tags_are_never_moved_nor_protected_ones_removed(client: IcebergCatalog, orders: Orders) -> None:
    with pytest.raises(TagExistsError):
        client.tag_snapshot("sales", "orders", orders.second, TAG)
    with pytest.raises(ProtectedTagError):
        client.remove_tag("sales", "orders", TAG)
    assert client.remove_tag("sales", "orders", TAG, force=True) == orders.first


def test_time_travel_answers_the_schema_of_that_snapshot(looking: IcebergCatalog, shared_lake: SmallLake) -> None:
    then = looking.time_travel("sales", "orders", shared_lake.orders.first)
    now = looking.time_travel("sales", "orders", shared_lake.orders.third)

    assert isinstance(then, pa.Table)
    assert then.column_names == ["id", "price", "name", "at"]
    assert now.column_names == ["id", "price", "label", "at", "note"]
    assert sorted(then["id"].to_pylist()) == [1, 2, 3]
    assert sorted(now["id"].to_pylist()) == [1, 2, 3, 4, 5, 6]
    assert looking.time_travel_by_tag("sales", "orders", TAG).equals(then)


def test_time_travel_narrows(looking: IcebergCatalog, shared_lake: SmallLake) -> None:
    found = looking.time_travel(
        "sales", "orders", shared_lake.orders.second, columns=["id"], row_filter="id > 2", limit=2
    )

    assert found.column_names == ["id"]
    assert found.num_rows == 2
    assert min(found["id"].to_pylist()) > 2


def test_no_rows_still_have_a_schema(looking: IcebergCatalog, shared_lake: SmallLake) -> None:
    found = looking.time_travel("sales", "orders", shared_lake.orders.first, row_filter="id > 100")

    assert found.num_rows == 0
    assert found.column_names == ["id", "price", "name", "at"]


def test_a_rollback_keeps_the_state_before_it_under_a_tag(
    client: IcebergCatalog, orders: Orders, catalog: Catalog
) -> None:
    result = client.rollback_to_snapshot("sales", "orders", orders.first, reason="bad load")

    assert head_of(catalog) == orders.first == result["snapshot_id"]
    assert result["previous_snapshot_id"] == orders.third
    assert result["undo_tag"] is not None
    assert client.get_snapshot_by_tag("sales", "orders", result["undo_tag"]) == orders.third
    assert "renames name to label" in str(result["schema_warning"])


def test_a_rollback_back_to_a_descendant_is_a_rollback_too(client: IcebergCatalog, orders: Orders) -> None:
    client.rollback_to_snapshot("sales", "orders", orders.first)

    result = client.rollback_to_snapshot("sales", "orders", orders.third)

    assert result["previous_snapshot_id"] == orders.first


@pytest.mark.parametrize("look", ["get_snapshot_id", "list_snapshots"])
def test_a_head_that_moved_since_the_caller_looked_is_a_conflict(
    client: IcebergCatalog, orders: Orders, catalog: Catalog, look: str
) -> None:
    getattr(client, look)("sales", "orders")
    moved = append_elsewhere(catalog, 7)

    with pytest.raises(HeadMovedError) as caught:
        client.rollback_to_snapshot("sales", "orders", orders.first)

    assert caught.value.fields["actual"] == str(moved)
    assert head_of(catalog) == moved
    # Having looked again, the caller may.
    assert client.get_snapshot_id("sales", "orders") == moved
    assert client.rollback_to_snapshot("sales", "orders", orders.first)["previous_snapshot_id"] == moved


def test_without_a_look_the_head_at_the_call_counts(client: IcebergCatalog, orders: Orders, catalog: Catalog) -> None:
    moved = append_elsewhere(catalog, 7)

    assert client.rollback_to_snapshot("sales", "orders", orders.first)["previous_snapshot_id"] == moved


BAD: dict[str, tuple[Any, Any]] = {
    "unknown table": (lambda c: c.get_snapshot_id("sales", "order"), DatasetNotFoundError),
    "malformed name": (lambda c: c.list_snapshots("sales", ""), InvalidNameError),
    "empty table": (lambda c: c.get_snapshot_id("sales", "empty"), NoSnapshotError),
    "rollback of an empty table": (
        lambda c: c.rollback_to_snapshot("sales", "empty", 5),
        (NoSnapshotError, VersionNotFoundError),
    ),
    "unknown snapshot": (lambda c: c.time_travel("sales", "orders", 123), VersionNotFoundError),
    "id 0": (lambda c: c.time_travel("sales", "orders", 0), InvalidReferenceError),
    "id -1": (lambda c: c.rollback_to_snapshot("sales", "orders", -1), InvalidReferenceError),
    "id 2^63": (lambda c: c.tag_snapshot("sales", "orders", 2**63, NEW), InvalidReferenceError),
    "id 2^70": (lambda c: c.time_travel("sales", "orders", 2**70), InvalidReferenceError),
    "float": (lambda c: c.time_travel("sales", "orders", 1e3), InvalidReferenceError),
    "bool": (lambda c: c.time_travel("sales", "orders", True), InvalidReferenceError),
    "text that is no id": (lambda c: c.time_travel("sales", "orders", "1e3"), InvalidReferenceError),
    "unknown tag": (lambda c: c.time_travel_by_tag("sales", "orders", "nope"), TagNotFoundError),
    "unknown tag to remove": (lambda c: c.remove_tag("sales", "orders", "nope"), TagNotFoundError),
    "tag with a space": (
        lambda c: c.tag_snapshot("sales", "orders", c.get_snapshot_id("sales", "orders"), "a b"),
        InvalidNameError,
    ),
    "filter": (lambda c: c.time_travel_by_tag("sales", "orders", TAG, row_filter="id >>"), InvalidFilterError),
    "column": (lambda c: c.time_travel_by_tag("sales", "orders", TAG, columns=["nam"]), UnknownColumnError),
    "no columns": (lambda c: c.time_travel_by_tag("sales", "orders", TAG, columns=[]), InvalidArgumentError),
    "limit 0": (lambda c: c.time_travel_by_tag("sales", "orders", TAG, limit=0), InvalidArgumentError),
    "current": (
        lambda c: c.rollback_to_snapshot("sales", "orders", c.get_snapshot_id("sales", "orders")),
        AlreadyCurrentError,
    ),
    "reason": (lambda c: c.remove_tag("sales", "orders", TAG, force=True, reason="x" * 3000), InvalidArgumentError),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_typed_and_changes_nothing(looking: IcebergCatalog, shared_lake: SmallLake, case: str) -> None:
    call, expected = BAD[case]
    before = shared_lake.location

    with pytest.raises(expected):
        call(looking)

    assert shared_lake.location == before


def test_the_id_may_be_text(looking: IcebergCatalog, shared_lake: SmallLake) -> None:
    assert looking.time_travel("sales", "orders", str(shared_lake.orders.first)).num_rows == 3  # type: ignore[arg-type]


def test_it_works_inside_a_running_event_loop(looking: IcebergCatalog, shared_lake: SmallLake) -> None:
    async def use() -> int:
        return looking.get_snapshot_id("sales", "orders")

    assert asyncio.run(use()) == shared_lake.orders.third


def test_the_impact_of_a_change_is_a_dict(client: IcebergCatalog, own_lake: SmallLake) -> None:
    # given a run on the head of `sales.orders`, reported and not projected yet
    async def report() -> None:
        async with open_services(own_lake.settings) as services:
            read = of_table(await services.datasets.load(name(ORDERS)), own_lake.orders.third)
            topic = {"namespace": "kafka://b", "name": "orders"}
            event = run_event("COMPLETE", UUID(int=1), "2026-02-15T10:00:00Z", [read], [topic])
            await services.ingesting.ingest(body(event))

    asyncio.run(report())

    impact = client.get_impact("sales", "orders")
    assert (impact["total_affected"], impact["severity"], impact["complete"]) == (2, "HIGH", True)
    assert [(one["name"], one["severity"]) for one in impact["datasets"]] == [("kafka://b/orders", "MEDIUM")]
    back = client.get_impact("sales", "orders", "rollback", rollback_to=own_lake.orders.second)
    assert [step["version"] for step in back["pipelines"][0]["path"]] == [str(own_lake.orders.third), None]
    assert client.get_impact("sales", "orders", "SCHEMA", columns=["price"], depth=1)["severity"] == "MEDIUM"


def test_impacts_that_cannot_be_asked_for(looking: IcebergCatalog) -> None:
    with pytest.raises(InvalidArgumentError):
        looking.get_impact("sales", "orders", "nope")
    with pytest.raises(InvalidArgumentError):
        looking.get_impact("sales", "orders", rollback_to="main~1")
    with pytest.raises(UnknownColumnError):
        looking.get_impact("sales", "orders", columns=["nope"])
    with pytest.raises(VersionNotFoundError):
        looking.get_impact("sales", "orders", "ROLLBACK", rollback_to="nope")
    with pytest.raises(InvalidReferenceError):
        looking.get_impact("sales", "orders", "ROLLBACK", rollback_to=True)


def test_threads_may_share_one(settings: Settings, shared_lake: SmallLake) -> None:
    found: list[int] = []
    with IcebergCatalog(settings=settings) as shared:
        threads = [
            threading.Thread(target=lambda: found.append(shared.get_snapshot_id("sales", "orders"))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert found == [shared_lake.orders.third] * 8


def test_closed_is_closed(settings: Settings, shared_lake: SmallLake) -> None:
    before = threading.active_count()
    opened = IcebergCatalog(settings=settings)
    opened.get_snapshot_id("sales", "orders")
    opened.close()
    opened.close()

    with pytest.raises(RuntimeError, match="closed"):
        opened.get_snapshot_id("sales", "orders")
    assert threading.active_count() == before


def test_nothing_is_opened_before_the_first_call(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", database_url="postgresql://u:p@127.0.0.1:1/d")

    IcebergCatalog(settings=settings).close()

    assert not settings.home.exists()


def test_without_arguments_the_environment_decides(
    settings: Settings, shared_lake: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRATIGRAPH_HOME", str(settings.home))
    monkeypatch.setenv("STRATIGRAPH_DATABASE_URL", str(settings.database_url))

    with IcebergCatalog() as opened:
        assert opened.get_snapshot_id("sales", "orders") == shared_lake.orders.third


def test_a_catalog_that_is_not_configured_is_said(settings: Settings) -> None:
    with IcebergCatalog("nowhere", settings=settings) as opened, pytest.raises(InvalidSettingError, match="nowhere"):
        opened.get_snapshot_id("sales", "orders")


def test_an_actor_needs_a_name(settings: Settings) -> None:
    with pytest.raises(InvalidArgumentError, match="actor"):
        IcebergCatalog(settings=settings, actor=" ")


def test_a_program_that_never_closes_it_ends_all_the_same(settings: Settings, shared_lake: SmallLake) -> None:
    script = (
        "from app.client import IcebergCatalog\n"
        "from app.settings import Settings\n"
        f"settings = Settings(home={str(settings.home)!r}, database_url={settings.database_url!r})\n"
        "c = IcebergCatalog(settings=settings)\n"
        "print(c.get_snapshot_id('sales', 'orders'))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )

    assert done.stdout.strip() == str(shared_lake.orders.third)
    assert done.stderr == ""
    assert done.returncode == 0


__all__ = ["own_lake", "shared_lake"]


@pytest.mark.parametrize(
    ("case", "call"),
    [
        ("namespace", lambda c: c.get_snapshot_id(None, "orders")),
        ("table", lambda c: c.list_snapshots("sales", 5)),
        ("tag", lambda c: c.time_travel_by_tag("sales", "orders", 5)),
        ("tag", lambda c: c.tag_snapshot("sales", "orders", 1, None)),
        ("limit", lambda c: c.time_travel("sales", "orders", 1, limit="5")),
        ("limit", lambda c: c.time_travel("sales", "orders", 1, limit=1.5)),
        ("limit", lambda c: c.time_travel("sales", "orders", 1, limit=True)),
        ("row_filter", lambda c: c.time_travel("sales", "orders", 1, row_filter=object())),
        ("columns", lambda c: c.time_travel("sales", "orders", 1, columns="id")),
        ("reason", lambda c: c.rollback_to_snapshot("sales", "orders", 1, reason=5)),
    ],
)
def test_an_argument_of_the_wrong_type_is_told_by_its_name(looking: IcebergCatalog, case: str, call: Any) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        call(looking)
    assert case in str(refused.value.fields["argument"])
