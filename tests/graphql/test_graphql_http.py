"""GraphQL over HTTP: methods, media types, status codes, who asks, and what a hostile page cannot do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from app.bootstrap import Services
from app.graphql.http import GRAPHQL_JSON, MAX_BODY_BYTES, PLAIN_JSON, graphql_routes
from app.settings import Settings
from tests.lake_tables import ORDERS, Orders

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": PLAIN_JSON, "Accept": GRAPHQL_JSON}
TAG_IT = """mutation { createTag(input: { name: "x", on: { dataset: { namespace: "sales", name: "orders" } } })
  { tag { createdBy { subject } } userErrors { message } } }"""


@pytest.fixture
async def client(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=graphql_routes(Settings()))
    app.state.services = services
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as opened:
        yield opened


async def test_answer_is_of_the_type_the_client_likes_better(client: httpx.AsyncClient) -> None:
    for accept, expected in (
        (None, PLAIN_JSON),
        ("*/*", PLAIN_JSON),
        (PLAIN_JSON, PLAIN_JSON),
        (GRAPHQL_JSON, GRAPHQL_JSON),
        (f"{GRAPHQL_JSON}; charset=utf-8, {PLAIN_JSON}", GRAPHQL_JSON),
        (f"{GRAPHQL_JSON};q=0.5, {PLAIN_JSON};q=0.9", PLAIN_JSON),
        (f"{GRAPHQL_JSON};q=0", PLAIN_JSON),
        ("text/html;q=nonsense,,;", PLAIN_JSON),
    ):
        headers = {"Content-Type": PLAIN_JSON} | ({"Accept": accept} if accept else {})
        response = await client.post("/graphql", content=b'{"query":"{__typename}"}', headers=headers)
        assert response.headers["content-type"] == f"{expected}; charset=utf-8", accept
        assert response.json() == {"data": {"__typename": "Query"}}


async def test_query_by_get_with_variables(client: httpx.AsyncClient, orders: Orders) -> None:
    response = await client.get(
        "/graphql",
        params={
            "query": 'query A($n: String!) { dataset(namespace: "sales", name: $n) { name } } query B { __typename }',
            "variables": '{"n": "orders"}',
            "operationName": "A",
        },
        headers={"Accept": GRAPHQL_JSON},
    )
    assert (response.status_code, response.json()) == (200, {"data": {"dataset": {"name": "orders"}}})


async def test_mutations_are_not_run_by_get(client: httpx.AsyncClient, orders: Orders, catalog: Any) -> None:
    response = await client.get("/graphql", params={"query": TAG_IT}, headers={"Accept": GRAPHQL_JSON})
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert "x" not in catalog.load_table(ORDERS).refs()


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
async def test_forms_of_other_sites_change_nothing(
    client: httpx.AsyncClient, orders: Orders, catalog: Any, content_type: str | None
) -> None:
    import json

    headers = {"Content-Type": content_type} if content_type else {}
    response = await client.post("/graphql", content=json.dumps({"query": TAG_IT}).encode(), headers=headers)
    assert response.status_code == 415
    assert "x" not in catalog.load_table(ORDERS).refs()


BAD_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"{",
    "NaN": b'{"query": NaN}',
    "lone surrogate": b'{"query": "{ dataset(namespace: \\"\\ud800\\", name: \\"x\\") { id } }"}',
    "not UTF-8": b'{"query": "\xff"}',
    "a text": b'"x"',
    "null": b"null",
    "a batch": b'[{"query": "{__typename}"}]',
    "no query": b'{"variables": {}}',
    "empty query": b'{"query": " "}',
    "query is a number": b'{"query": 1}',
    "variables are a list": b'{"query": "{__typename}", "variables": []}',
    "variables are zero": b'{"query": "{__typename}", "variables": 0}',
    "extensions are false": b'{"query": "{__typename}", "extensions": false}',
    "operationName is a list": b'{"query": "{__typename}", "operationName": []}',
    "deep": b'{"query": "{__typename}", "variables": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("case", BAD_BODIES)
async def test_what_is_no_request_is_a_400_without_data(client: httpx.AsyncClient, case: str) -> None:
    for accept in (GRAPHQL_JSON, PLAIN_JSON):
        response = await client.post("/graphql", content=BAD_BODIES[case], headers={**JSON, "Accept": accept})
        assert response.status_code == 400
        answer = response.json()
        assert "data" not in answer and answer["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_body_without_end_is_cut_off(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", content=b" " * (MAX_BODY_BYTES + 1), headers=JSON)
    assert response.status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        {"query": "{ "},
        {"query": "{ nope }"},
        {"query": "query($n: Int!) { datasets(first: $n) { totalCount } }"},
        {"query": "query($n: Int!) { datasets(first: $n) { totalCount } }", "variables": {"n": 2**70}},
        {"query": "query A { __typename } query B { __typename }"},
        {"query": "query A { __typename }", "operationName": "B"},
    ],
    ids=["syntax", "validation", "missing variable", "bad variable", "which operation", "unknown operation"],
)
async def test_request_errors_are_a_400_without_data(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    import json

    content = json.dumps(body).encode()
    response = await client.post("/graphql", content=content, headers=JSON)
    assert response.status_code == 400
    assert "data" not in response.json() and response.json()["errors"][0]["extensions"]["category"] == "INVALID"
    # As plain JSON the status is that of HTTP, which went well.
    plain = await client.post("/graphql", content=content, headers={**JSON, "Accept": PLAIN_JSON})
    assert (plain.status_code, plain.json()) == (200, response.json())


async def test_field_errors_are_a_200_with_data(client: httpx.AsyncClient) -> None:
    response = await client.post(
        "/graphql", json={"query": '{ dataset(namespace: "a", name: "b") { id } }'}, headers=JSON
    )
    assert response.status_code == 200
    assert response.json()["data"] == {"dataset": None}
    assert response.json()["errors"][0]["extensions"]["code"] == "DATASET_NOT_FOUND"


@pytest.mark.parametrize(
    ("header", "subject"),
    [(None, "anonymous"), (b"ada", "ada"), ("José".encode(), "José"), ("José".encode("latin-1"), "José")],
)
async def test_actor_is_who_the_header_says(
    client: httpx.AsyncClient, orders: Orders, header: bytes | None, subject: str
) -> None:
    headers: list[tuple[bytes, bytes]] = [(b"Content-Type", PLAIN_JSON.encode())]
    headers += [(b"X-Actor", header)] if header else []
    response = await client.post("/graphql", json={"query": TAG_IT}, headers=headers)
    assert response.json()["data"]["createTag"] == {"tag": {"createdBy": {"subject": subject}}, "userErrors": []}


@pytest.mark.parametrize("header", [b"", b" ", b"a\tb", b"x" * 201, "\x85".encode()])
async def test_bad_actor_is_refused_and_nothing_is_run(
    client: httpx.AsyncClient, orders: Orders, catalog: Any, header: bytes
) -> None:
    headers = [(b"Content-Type", PLAIN_JSON.encode()), (b"X-Actor", header)]
    response = await client.post("/graphql", json={"query": TAG_IT}, headers=headers)
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["fields"]["argument"] == "actor"
    assert "x" not in catalog.load_table(ORDERS).refs()


async def test_browser_gets_graphiql_and_a_client_does_not(client: httpx.AsyncClient) -> None:
    page = await client.get("/graphql", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert (await client.get("/graphql", headers={"Accept": "*/*"})).status_code == 400
    asked = await client.get("/graphql", params={"query": "{__typename}"}, headers={"Accept": "text/html"})
    assert asked.json() == {"data": {"__typename": "Query"}}
    assert (await client.put("/graphql")).status_code == 405
