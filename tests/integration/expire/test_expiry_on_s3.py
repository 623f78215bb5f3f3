"""Expiry and orphans on a real S3 protocol: what it costs in requests, and that nothing else is touched."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import orjson
import pytest

from app.domain.orphans import Orphan, OrphanKind
from app.errors import MetadataNotWrittenError
from app.lake.bulk import BulkStore
from app.lake.expire.commit import commit_expiry
from app.lake.expire.deletion import delete_files
from app.lake.expire.reachable import measure_expiry
from app.lake.internals import CachingSqlCatalog
from app.lake.metadata_cache import MetadataCache
from app.lake.orphans import find_orphans
from tests.servers.counting_proxy import counting_proxy
from tests.servers.s3 import s3_server
from tests.unit.lake.expire.histories import append, create
from tests.unit.lake.expire.naive import rows_of
from tests.unit.lake.local_tables import NAME, as_lake_table

BUCKET = "lake"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Lake:
    catalog: CachingSqlCatalog
    cache: MetadataCache
    counts: Counter[str]
    client: object

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """All objects, asked for past the proxy."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)  # type: ignore[attr-defined]
        return {f"s3://{BUCKET}/{item['Key']}": item["Size"] for page in pages for item in page.get("Contents", ())}


@pytest.fixture(scope="module")
def store() -> Iterator[Mapping[str, str]]:
    with s3_server() as properties:
        yield properties


@pytest.fixture
def lake(store: Mapping[str, str], tmp_path: Path) -> Iterator[S3Lake]:
    client = boto3.client(
        "s3",
        endpoint_url=store["s3.endpoint"],
        region_name=store["s3.region"],
        aws_access_key_id=store["s3.access-key-id"],
        aws_secret_access_key=store["s3.secret-access-key"],
    )
    with counting_proxy(store["s3.endpoint"]) as (url, counts):
        cache = MetadataCache(10**7)
        properties = {**store, "s3.endpoint": url, "warehouse": f"s3://{BUCKET}/{tmp_path.name}"}
        catalog = CachingSqlCatalog("local", cache, uri=f"sqlite:///{tmp_path}/c.db", **properties)
        catalog.create_tables()
        yield S3Lake(catalog=catalog, cache=cache, counts=counts, client=client)
        catalog.close()


def test_expiry_costs_its_manifests_and_a_request_for_a_thousand_files(lake: S3Lake):
    # Given a table of eight snapshots, and more from deletes, each of which has all files of its own
    table = create(lake.catalog)
    append(table, 1)
    for _ in range(7):
        table.overwrite(table.scan().to_arrow())
    tagged = table.metadata.snapshots[4].snapshot_id
    table.manage_snapshots().create_tag(tagged, "kept").commit()
    table.refresh()
    head = table.metadata.current_snapshot_id
    ids = [found.snapshot_id for found in table.metadata.snapshots]
    going = [one for one in ids if one not in (head, tagged)]
    stays = {one: rows_of(table, one) for one in (head, tagged) if one is not None}
    before = lake.sizes()
    lake.counts.clear()

    # When it is measured
    lake_table = as_lake_table(table)
    plan = measure_expiry(lake_table, going)

    # Then each manifest and each list was read once, for a request each, and nothing else was asked
    metadata_files = sum(plan.total.files[kind] for kind in plan.total.files if kind.value.startswith("MANIFEST"))
    assert lake.counts == {"GET": metadata_files}

    # When it is committed and its files are deleted
    done = commit_expiry(lake.catalog, lake_table, plan.expiry, lake.cache)
    lake.counts.clear()
    paths = [file.path for batch in plan.batches() for file in batch]
    deletion = delete_files(done.table.io, paths)

    # Then that took one request, freed what was planned, and all that stays reads
    assert not deletion.left
    assert lake.counts == {"delete-many": math.ceil(len(paths) / 1_000)}
    assert deletion.calls == 1
    after = lake.sizes()
    gone = {path: size for path, size in before.items() if path not in after}
    assert gone.keys() == set(paths)
    assert sum(gone.values()) == plan.freed.size_bytes
    table.refresh()
    assert {one: rows_of(table, one) for one in stays} == stays


def test_thousands_of_objects_are_deleted_with_few_requests(lake: S3Lake):
    # Given 2,500 paths of objects, by either scheme, of most of which there is nothing
    table = create(lake.catalog)
    append(table, 1)
    location = table.location()
    kept = lake.sizes()
    keys = [f"{location.removeprefix(f's3://{BUCKET}/')}/data/old {number}.parquet" for number in range(2_500)]
    for key in keys[::50]:
        lake.client.put_object(Bucket=BUCKET, Key=key, Body=b"x")  # type: ignore[attr-defined]
    paths = [f"{'s3a' if number % 2 else 's3'}://{BUCKET}/{key}" for number, key in enumerate(keys)]
    lake.counts.clear()
    seen: list[int] = []

    # When they are deleted
    deletion = delete_files(table.io, paths, on_progress=seen.append)

    # Then that takes three requests
    assert lake.counts == {"delete-many": 3}
    assert sorted(deletion.gone) == sorted(paths)
    assert seen[-1] == 2_500
    assert lake.sizes() == kept


def test_store_that_does_not_answer_loses_nothing_of_the_account(lake: S3Lake):
    table = create(lake.catalog)
    append(table, 1)
    paths = [f"s3://no-such-bucket-here/{number}" for number in range(1_500)]

    deletion = delete_files(table.io, paths)

    assert len(deletion.left) + len(deletion.gone) == 1_500
    assert deletion.gone == []
    assert deletion.examples[0].reason


def test_orphans_are_found_by_listing(lake: S3Lake):
    # Given a table with 25 files that it does not know, and a neighbour whose name begins alike
    table = create(lake.catalog)
    append(table, 1)
    inside = table.location().removeprefix(f"s3://{BUCKET}/")
    for number in range(25):
        lake.client.put_object(Bucket=BUCKET, Key=f"{inside}/data/{number}.parquet", Body=b"xy")  # type: ignore[attr-defined]
    lake.client.put_object(Bucket=BUCKET, Key=f"{inside}_2/data/1.parquet", Body=b"xy")  # type: ignore[attr-defined]
    lake.counts.clear()
    found: list[Orphan] = []

    # When orphans are looked for
    tally = find_orphans(as_lake_table(table), {}, 2**60, found.extend)

    # Then it is these, for one request that lists; smaller pages are put together
    assert len(found) == 25
    assert tally.bytes[OrphanKind.ORPHAN] == 50
    assert lake.counts["list"] == 1
    pages = list(BulkStore(table.io).pages(BUCKET, f"{inside}/data/", page_keys=10))
    assert [len(page) for page in pages] == [10, 10, 6]
    assert {item.size_bytes for page in pages for item in page} > {2}
    assert all(orphan.path.startswith(table.location() + "/") for orphan in found)


def test_a_store_that_takes_no_metadata_file_changes_nothing(lake: S3Lake):
    # Given a table whose new metadata files are to go where there is nothing
    table = create(lake.catalog)
    for _ in range(2):
        append(table, 1)
    bucket, _, key = table.metadata_location.removeprefix("s3://").partition("/")
    client: Any = lake.client
    document = orjson.loads(client.get_object(Bucket=bucket, Key=key)["Body"].read())
    document["properties"]["write.metadata.path"] = "s3://nowhere/metadata"
    client.put_object(Bucket=bucket, Key=key, Body=orjson.dumps(document))
    lake.cache.drop(table.metadata_location, str(NAME))
    loaded = as_lake_table(lake.catalog.load_table(table.name()))
    plan = measure_expiry(loaded, [loaded.metadata.snapshots[0].snapshot_id])

    with pytest.raises(
        MetadataNotWrittenError, match=r"nothing was changed.*s3://nowhere/metadata/00003-.*NO_SUCH_BUCKET"
    ):
        commit_expiry(lake.catalog, loaded, plan.expiry, lake.cache)

    assert lake.catalog.load_table(table.name()).metadata_location == table.metadata_location
