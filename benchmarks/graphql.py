"""One GraphQL operation end to end, beside stock pyiceberg: a page of 100 datasets with current snapshot and tags.

    python -m benchmarks.graphql [--tables 1000] [--snapshots 10] [--rounds 15]

Ours goes through the whole ASGI application in this process, from JSON to JSON, without a socket. Stock pyiceberg lists
the namespace and loads the 100 tables one after the other, which is the least that a script has to do for the answer.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import warnings

import httpx
from starlette.applications import Starlette

from app.bootstrap import Services
from app.graphql.http import graphql_routes
from benchmarks.lakes import open_bench_lake
from benchmarks.timing import Contestant, race, report
from benchmarks.versioning import LISTED, PAGE, stock_page_with_tags

QUERY = """query Page($prefix: String!) {
  datasets(first: 100, namespace: "bench", namePrefix: $prefix) {
    totalCount
    nodes {
      id name namespace
      current { snapshotId createdAt operation }
      tags { nodes { name createdAt createdBy { subject } } }
    }
  }
}"""


async def main() -> None:
    """Run the case, cold and warm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=1000)
    parser.add_argument("--snapshots", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    peer = f"stock list_tables + {PAGE} load_table"
    with open_bench_lake() as lake:
        for number in range(arguments.tables):
            lake.create_table(f"{LISTED}{number:05}", arguments.snapshots)
        async with (
            lake.services() as ours,
            lake.services(metadata_cache_bytes=0) as uncached,
            _client(ours) as warm,
            _client(uncached) as cold,
        ):
            ms = await race(
                {
                    "graphql_page_cold": Contestant(run=lambda: _page(cold)),
                    "graphql_page_warm": Contestant(run=lambda: _page(warm)),
                    peer: Contestant(run=lambda: stock_page_with_tags(lake.stock)),
                },
                arguments.rounds,
            )
    for case in ("graphql_page_cold", "graphql_page_warm"):
        report(case, ms, ours=case, peer=peer, tables=arguments.tables, page=PAGE, snapshots=arguments.snapshots)


def _client(services: Services) -> httpx.AsyncClient:
    server = Starlette(routes=graphql_routes(services.settings))
    server.state.services = services
    return httpx.AsyncClient(transport=httpx.ASGITransport(server), base_url="http://bench")


async def _page(client: httpx.AsyncClient) -> None:
    answer = (await client.post("/graphql", json={"query": QUERY, "variables": {"prefix": LISTED}})).json()
    nodes = answer["data"]["datasets"]["nodes"]
    assert len(nodes) == PAGE
    assert all(node["current"] and node["tags"]["nodes"] for node in nodes)


if __name__ == "__main__":
    asyncio.run(main())
