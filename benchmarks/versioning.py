"""What versioning costs as history grows, beside stock pyiceberg on the same catalog.

    python -m benchmarks.versioning [--snapshots 10,100,1000,2000] [--tables 1000] [--rounds 15]

Cold: the metadata file is new to us and is read and parsed. Warm: it is in our cache; stock pyiceberg has none, and so
reads and parses at every load. All times are of one process, contestants taking turns.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import logging
import os
import sys
import tracemalloc
import warnings

from pyiceberg.catalog.sql import SqlCatalog

from app.bootstrap import Services
from app.domain.changes import Actor, Command
from app.domain.names import DatasetName
from app.domain.pages import PageRequest
from app.domain.versions import VersionSelector
from app.lake.metadata_cache import MetadataCache
from app.lake.table import to_state
from app.services.listings import oldest_first, snapshot_entries
from benchmarks.lakes import NAMESPACE, BenchLake, open_bench_lake, snapshot_id
from benchmarks.timing import Contestant, race, report

COMMAND = Command(actor=Actor(subject="benchmark"), reason="measured")
PAGE = 100
LISTED = "listed_"
LOAD, TAG, ROLLBACK = "stock load_table", "stock load_table + create_tag", "stock load_table + set_current_snapshot"
_tag_numbers = itertools.count()


async def main() -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--snapshots", default="10,100,1000,2000", help="lengths of history, separated by commas")
    parser.add_argument("--tables", type=int, default=1000, help="tables in the listing; 0 leaves it out")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with open_bench_lake() as lake:
        async with lake.services() as ours, lake.services(metadata_cache_bytes=0) as uncached:
            for count in (int(text) for text in arguments.snapshots.split(",")):
                await _measure_history(lake, ours, uncached, count, arguments.rounds)
            if arguments.tables:
                await _measure_listing(lake, ours, uncached, arguments.tables, arguments.rounds)


async def _measure_history(lake: BenchLake, ours: Services, uncached: Services, count: int, rounds: int) -> None:
    # Twins, because each commit makes the metadata file new to everybody else.
    own, stock, shared = (lake.create_table(f"{role}_{count}", count) for role in ("own", "stock", "shared"))
    await _measure_reads(lake, ours, uncached, own, count, rounds)

    ms = await race(
        {
            "tag": Contestant(run=lambda: _tag(ours, own)),
            "tag_after_foreign_commit": Contestant(
                run=lambda: _tag(ours, shared), prepare=lambda: _stock_tag(lake.stock, shared)
            ),
            LOAD: Contestant(run=lambda: _stock_load(lake.stock, stock)),
            TAG: Contestant(run=lambda: _stock_tag(lake.stock, stock)),
        },
        rounds,
    )
    for case in ("tag", "tag_after_foreign_commit"):
        for peer in (LOAD, TAG):
            report(case, ms, ours=case, peer=peer, snapshots=count)

    targets = itertools.cycle((snapshot_id(count // 2), snapshot_id(count - 1)))
    stock_targets = itertools.cycle((snapshot_id(count // 2), snapshot_id(count - 1)))
    ms = await race(
        {
            "rollback": Contestant(
                run=lambda: ours.versioning.roll_back(own, VersionSelector(snapshot_id=next(targets)), COMMAND)
            ),
            ROLLBACK: Contestant(run=lambda: _stock_roll_back(lake.stock, stock, next(stock_targets))),
        },
        rounds,
    )
    report("rollback", ms, ours="rollback", peer=ROLLBACK, snapshots=count)
    _report_memory(lake, stock, count)


async def _measure_reads(
    lake: BenchLake, ours: Services, uncached: Services, name: DatasetName, count: int, rounds: int
) -> None:
    listing = "stock load_table + inspect.snapshots"
    ms = await race(
        {
            "load_cold": Contestant(run=lambda: uncached.datasets.load(name)),
            "load_warm": Contestant(run=lambda: ours.datasets.load(name)),
            "list_snapshots_cold": Contestant(run=lambda: _list_snapshots(uncached, name)),
            "list_snapshots_warm": Contestant(run=lambda: _list_snapshots(ours, name)),
            LOAD: Contestant(run=lambda: _stock_load(lake.stock, name)),
            listing: Contestant(run=lambda: _stock_list_snapshots(lake.stock, name)),
        },
        rounds,
    )
    for case in ("load_cold", "load_warm"):
        report(case, ms, ours=case, peer=LOAD, snapshots=count)
    for case in ("list_snapshots_cold", "list_snapshots_warm"):
        report(case, ms, ours=case, peer=listing, snapshots=count)


async def _measure_listing(lake: BenchLake, ours: Services, uncached: Services, tables: int, rounds: int) -> None:
    for number in range(tables):
        lake.create_table(f"{LISTED}{number:05}", 10)
    names_peer, page_peer = "stock list_namespaces + list_tables", f"stock list_tables + {PAGE} load_table"
    ms = await race(
        {
            "list_names": Contestant(run=ours.datasets.list_names),
            "page_with_tags_cold": Contestant(run=lambda: _page_with_tags(uncached)),
            "page_with_tags_warm": Contestant(run=lambda: _page_with_tags(ours)),
            names_peer: Contestant(run=lambda: _stock_list_names(lake.stock)),
            page_peer: Contestant(run=lambda: stock_page_with_tags(lake.stock)),
        },
        rounds,
    )
    report("list_names", ms, ours="list_names", peer=names_peer, tables=tables)
    for case in ("page_with_tags_cold", "page_with_tags_warm"):
        report(case, ms, ours=case, peer=page_peer, tables=tables, page=PAGE, snapshots=10)


async def _tag(services: Services, name: DatasetName) -> None:
    await services.versioning.create_tag(name, f"release_{next(_tag_numbers)}", None, COMMAND)


async def _list_snapshots(services: Services, name: DatasetName) -> int:
    state = (await services.datasets.load(name)).state
    return len(snapshot_entries(state, oldest_first(state)))


async def _page_with_tags(services: Services) -> int:
    page = await services.datasets.list_page(PageRequest(first=PAGE), namespace=NAMESPACE, name_prefix=LISTED)
    tables = await asyncio.gather(*map(services.datasets.load, page.items))
    keys = [(table.state.table_uuid, tag.name) for table in tables for tag in table.state.history.tags]
    await services.datasets.tag_records(keys)
    return len([table.state.history.head for table in tables])


async def _stock_load(stock: SqlCatalog, name: DatasetName) -> object:
    return stock.load_table(str(name))


async def _stock_tag(stock: SqlCatalog, name: DatasetName) -> None:
    table = stock.load_table(str(name))
    head = table.metadata.current_snapshot_id
    assert head is not None
    table.manage_snapshots().create_tag(head, f"stock_{next(_tag_numbers)}").commit()


async def _stock_roll_back(stock: SqlCatalog, name: DatasetName, target: int) -> None:
    stock.load_table(str(name)).manage_snapshots().set_current_snapshot(target).commit()


async def _stock_list_snapshots(stock: SqlCatalog, name: DatasetName) -> int:
    return len(stock.load_table(str(name)).inspect.snapshots().to_pylist())


async def _stock_list_names(stock: SqlCatalog) -> int:
    return sum(len(stock.list_tables(namespace)) for namespace in stock.list_namespaces())


async def stock_page_with_tags(stock: SqlCatalog) -> int:
    """The first page of the listed tables with what their heads and refs are, by pyiceberg alone."""
    names = sorted(name for name in stock.list_tables(NAMESPACE) if name[-1].startswith(LISTED))[:PAGE]
    tables = [stock.load_table(name) for name in names]
    return len([(table.current_snapshot(), table.refs()) for table in tables])


def _report_memory(lake: BenchLake, name: DatasetName, count: int) -> None:
    """What one cached table holds in memory, by what Python allocated, beside the size of its metadata file."""
    cache = MetadataCache(2**30)
    location = lake.stock.load_table(str(name)).metadata_location
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        metadata = lake.stock.load_table(str(name)).metadata
        cache.put(location, metadata)
        parsed, _ = tracemalloc.get_traced_memory()
        cache.put_state(to_state(metadata, location, name))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    file_bytes = os.stat(location.removeprefix("file://")).st_size  # noqa: PTH116
    line = {
        "case": "cache_memory",
        "snapshots": count,
        "file_bytes": file_bytes,
        "parsed_bytes": parsed - before,
        "state_bytes": held - parsed,
        "ratio": round((held - before) / file_bytes, 2),
    }
    sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
