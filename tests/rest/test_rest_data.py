import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from tests.lake_tables import BRANCH, TAG, Orders, SmallLake, append_elsewhere

DATA = "/api/v1/datasets/sales/orders/data"


def get_rows(api: TestClient, **query: Any) -> dict[str, Any]:
    response = api.get(DATA, params=query)
    assert response.status_code == 200, response.text
    return response.json()


def ids_of(page: dict[str, Any]) -> list[int]:
    return sorted(row["id"] for row in page["rows"])


def test_json_has_columns_rows_and_whether_it_is_cut(api: TestClient) -> None:
    page = get_rows(api, version=TAG)

    assert list(page) == ["columns", "rows", "truncated"]
    assert page["columns"] == ["id", "price", "name", "at"]
    assert min(page["rows"], key=lambda row: row["id"]) == {
        "id": 1,
        "price": "0.25",
        "name": 'say "hi", all',
        "at": "2026-02-15T10:00:00.000005Z",
    }
    assert page["truncated"] is False


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("", [1, 2, 3, 4, 5, 6]),
        ("latest", [1, 2, 3, 4, 5, 6]),
        ("{first}", [1, 2, 3]),
        ("snapshot:{second}", [1, 2, 3, 4, 5]),
        (TAG, [1, 2, 3]),
        (f"tag:{TAG}", [1, 2, 3]),
        (f"branch:{BRANCH}", [1, 2, 3, 4, 5]),
        ("main~1", [1, 2, 3, 4, 5]),
        ("main~2", [1, 2, 3]),
    ],
)
def test_every_kind_of_reference_names_its_rows(
    api: TestClient, orders: Orders, reference: str, expected: list[int]
) -> None:
    version = reference.format(first=orders.first, second=orders.second)

    assert ids_of(get_rows(api, version=version)) == expected


def test_a_branch_is_read_in_the_current_schema_and_an_id_in_its_own(api: TestClient, orders: Orders) -> None:
    assert get_rows(api, version=BRANCH)["columns"] == ["id", "price", "label", "at", "note"]
    assert get_rows(api, version=str(orders.second))["columns"] == ["id", "price", "name", "at"]


def test_columns_filter_and_limit_narrow_the_answer(api: TestClient) -> None:
    page = get_rows(api, columns="id,label", filter="id >= 4", limit=2)

    assert page["columns"] == ["id", "label"]
    assert len(page["rows"]) == 2
    assert set(ids_of(page)) <= {4, 5, 6}
    assert page["truncated"] is True


def test_a_limit_that_is_just_enough_cuts_nothing(api: TestClient) -> None:
    page = get_rows(api, limit=6)

    assert len(page["rows"]) == 6
    assert page["truncated"] is False


def test_empty_parameters_count_as_left_out(api: TestClient) -> None:
    page = get_rows(api, version="", columns="", filter="", limit="", format="")

    assert ids_of(page) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("row_format", ["csv", "arrow", "parquet"])
@pytest.mark.parametrize("reference", ["", TAG])
def test_duckdb_reads_the_same_rows_from_every_format(
    api: TestClient, tmp_path: Path, row_format: str, reference: str
) -> None:
    expected = sorted(tuple(row.values()) for row in get_rows(api, version=reference, columns="id,price")["rows"])

    response = api.get(DATA, params={"version": reference, "columns": "id,price", "format": row_format})

    path = tmp_path / "rows"
    path.write_bytes(response.content)
    with duckdb.connect() as judge:
        if row_format == "arrow":
            judge.register("arrived", pa.ipc.open_stream(io.BytesIO(response.content)).read_all())
        source = {"csv": f"read_csv('{path}')", "arrow": "arrived", "parquet": f"read_parquet('{path}')"}[row_format]
        found = judge.execute(f"SELECT id, printf('%.2f', price) FROM {source} ORDER BY id").fetchall()
    assert found == expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("*/*", "application/json"),
        ("text/csv", "text/csv"),
        ("text/*", "text/csv"),
        ("application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.stream"),
        ("application/json;q=0.1, application/vnd.apache.parquet", "application/vnd.apache.parquet"),
        ("text/html, */*;q=0.5", "application/json"),
        ("text/csv;q=0, */*", "application/json"),
    ],
)
def test_accept_chooses_the_format(api: TestClient, accept: str, expected: str) -> None:
    response = api.get(DATA, headers={"Accept": accept})

    assert response.headers["content-type"].partition(";")[0] == expected
    assert response.headers["vary"] == "Accept"


def test_format_wins_over_accept(api: TestClient) -> None:
    response = api.get(DATA, params={"format": "csv"}, headers={"Accept": "application/json"})

    assert response.headers["content-type"].startswith("text/csv")


def test_accepting_nothing_we_have_is_a_406(api: TestClient) -> None:
    response = api.get(DATA, headers={"Accept": "image/png"})

    assert response.status_code == 406
    assert response.headers["content-type"] == "application/problem+json"
    assert "text/csv" in response.json()["detail"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [({}, "false"), ({"limit": 2}, "true"), ({"limit": 6}, "false"), ({"limit": 600}, "false")],
)
@pytest.mark.parametrize("row_format", ["json", "csv", "arrow", "parquet"])
def test_a_small_answer_says_in_a_header_whether_it_is_cut(
    api: TestClient, row_format: str, query: dict[str, Any], expected: str
) -> None:
    response = api.get(DATA, params={**query, "format": row_format})

    assert response.headers["x-truncated"] == expected


def test_an_id_is_cached_for_ever_and_any_other_reference_is_asked_for_again(api: TestClient, orders: Orders) -> None:
    by_id = api.get(DATA, params={"version": orders.first})
    by_tag = api.get(DATA, params={"version": TAG})
    latest = api.get(DATA)

    assert "immutable" in by_id.headers["cache-control"]
    assert by_tag.headers["cache-control"] == latest.headers["cache-control"] == "private, no-cache"
    # The same bytes have the same tag, by whatever name they were asked for.
    assert by_id.headers["etag"] == by_tag.headers["etag"] != latest.headers["etag"]
    assert by_id.content == by_tag.content


@pytest.mark.parametrize("matches", ["{etag}", 'W/{etag}, "x"', "*"])
def test_a_client_that_has_it_gets_a_304(api: TestClient, matches: str) -> None:
    etag = api.get(DATA).headers["etag"]

    response = api.get(DATA, headers={"If-None-Match": matches.format(etag=etag)})

    assert response.status_code == 304
    assert response.headers["etag"] == etag
    assert response.content == b""
    # It would be the rows', which are not read.
    assert "content-length" not in response.headers


@pytest.mark.parametrize("query", ["columns=nope", "filter=(((", "version=nope"])
def test_a_query_that_is_wrong_is_no_304_whatever_the_client_has(api: TestClient, query: str) -> None:
    answer = api.get(f"{DATA}?{query}", headers={"If-None-Match": "*"})
    assert answer.status_code in (400, 404)


def test_the_entity_tag_changes_with_data_and_with_every_parameter(own_api: TestClient, own_lake: SmallLake) -> None:
    queries: list[dict[str, Any]] = [
        {},
        {"columns": "id"},
        {"filter": "id > 1"},
        {"limit": 1},
        {"format": "csv"},
        {"version": TAG},
        {"version": BRANCH},
    ]
    before = [own_api.get(DATA, params=query).headers["etag"] for query in queries]

    append_elsewhere(own_lake.catalog, 7)

    assert len(set(before)) == len(queries)
    assert own_api.get(DATA).headers["etag"] not in before
    response = own_api.get(DATA, headers={"If-None-Match": before[0]})
    assert response.status_code == 200
    assert ids_of(response.json()) == [1, 2, 3, 4, 5, 6, 7]


def test_head_answers_the_headers_without_rows(api: TestClient) -> None:
    response = api.head(DATA)

    assert response.status_code == 200
    assert response.headers["etag"] == api.get(DATA).headers["etag"]
    assert response.content == b""


def test_names_may_be_percent_encoded_and_namespaces_have_levels(api: TestClient) -> None:
    response = api.get(f"/api/v1/datasets/two%2Elevels/{quote('t ü')}/tags")

    assert response.status_code == 200
    assert response.json() == {"tags": [], "total": 0, "next": None}


def test_the_name_of_a_file_is_offered_without_what_headers_cannot_hold(api: TestClient, orders: Orders) -> None:
    response = api.get(DATA, params={"format": "csv", "version": str(orders.first)})

    assert response.headers["content-disposition"] == f'attachment; filename="orders-{orders.first}.csv"'


BAD_QUERIES = {
    "unknown parameter": ("colums=id", 400, "INVALID_ARGUMENT"),
    "doubled parameter": ("limit=1&limit=2", 400, "INVALID_ARGUMENT"),
    "limit 0": ("limit=0", 400, "INVALID_ARGUMENT"),
    "limit -1": ("limit=-1", 400, "INVALID_ARGUMENT"),
    "limit 1e3": ("limit=1e3", 400, "INVALID_ARGUMENT"),
    "limit 1.5": ("limit=1.5", 400, "INVALID_ARGUMENT"),
    "limit 2^63": (f"limit={2**63}", 400, "INVALID_ARGUMENT"),
    "limit of many digits": (f"limit={'9' * 5000}", 400, "INVALID_ARGUMENT"),
    "unknown format": ("format=xml", 400, "INVALID_ARGUMENT"),
    "unknown column": ("columns=id,nam", 400, "UNKNOWN_COLUMN"),
    "column of another version": ("columns=name", 400, "UNKNOWN_COLUMN"),
    "empty column": ("columns=id,,price", 400, "INVALID_ARGUMENT"),
    "column twice": ("columns=id,id", 400, "INVALID_ARGUMENT"),
    "open quote": ("columns=%22id", 400, "INVALID_ARGUMENT"),
    "newline in columns": ("columns=id%0Aprice", 400, "INVALID_ARGUMENT"),
    "filter that does not parse": ("filter=id%20>>%201", 400, "INVALID_FILTER"),
    "filter of a missing column": ("filter=nam%20=%20'x'", 400, "INVALID_FILTER"),
    "filter that compares what cannot be": ("filter=id%20=%20'x'", 400, "INVALID_FILTER"),
    "filter of 10,004 characters": (f"filter={'(' * 5000}id=1{')' * 5000}", 400, "INVALID_FILTER"),
    "id 0": ("version=0", 400, "INVALID_REFERENCE"),
    "id -1": ("version=-1", 400, "INVALID_REFERENCE"),
    "id 2^63": (f"version={2**63}", 400, "INVALID_REFERENCE"),
    "id 2^70": (f"version={2**70}", 400, "INVALID_REFERENCE"),
    "id in floating point": ("version=snapshot:1e3", 400, "INVALID_REFERENCE"),
    "float": ("version=snapshot:1.5", 400, "INVALID_REFERENCE"),
    "unknown id": ("version=123", 404, "VERSION_NOT_FOUND"),
    "unknown ref": ("version=1e3", 404, "VERSION_NOT_FOUND"),
    "unknown tag": ("version=tag:production_2026_02_16", 404, "TAG_NOT_FOUND"),
    "ref with a space": ("version=a%20b", 400, "INVALID_REFERENCE"),
    "ref of 10,000 characters": (f"version={'x' * 10_000}", 400, "INVALID_REFERENCE"),
    "date before the table": ("version=1999-01-01", 404, "VERSION_NOT_FOUND"),
    "no date": ("version=2026-13-45", 400, "INVALID_REFERENCE"),
    "time without zone": ("version=2026-01-01T00:00:00", 400, "INVALID_REFERENCE"),
    "nul": ("version=%00", 400, "INVALID_REFERENCE"),
    "broken utf-8": ("version=%ff%fe", 404, "VERSION_NOT_FOUND"),
}


@pytest.mark.parametrize("case", BAD_QUERIES)
def test_bad_queries_are_typed_problems(api: TestClient, case: str) -> None:
    query, status, code = BAD_QUERIES[case]

    response = api.get(f"{DATA}?{query}")

    assert_problem(response, status, code)


BAD_PATHS = {
    "unknown namespace": ("/api/v1/datasets/nowhere/orders/data", 404, None),
    "unknown table": ("/api/v1/datasets/sales/order/data", 404, "DATASET_NOT_FOUND"),
    "empty level": ("/api/v1/datasets/sales../orders/data", 400, "INVALID_NAME"),
    "nul in a name": ("/api/v1/datasets/sales/or%00ders/data", 400, "INVALID_NAME"),
    "separator in a namespace": ("/api/v1/datasets/a%1Fb/orders/data", 400, "INVALID_NAME"),
    "name of 10,000 characters": (f"/api/v1/datasets/sales/{'x' * 10_000}/data", 400, "INVALID_NAME"),
    "broken table": ("/api/v1/datasets/sales/broken/data", 503, "UNREADABLE_TABLE"),
    "empty table": ("/api/v1/datasets/sales/empty/data", 422, "NO_SNAPSHOT"),
    "unknown path": ("/api/v1/dataset/sales/orders", 404, "UNKNOWN_PATH"),
    "nothing under api": ("/api/", 404, "UNKNOWN_PATH"),
    "slash in a name": ("/api/v1/datasets/sales/or%2Fders/data", 404, "UNKNOWN_PATH"),
}


@pytest.mark.parametrize("case", BAD_PATHS)
def test_bad_paths_are_typed_problems(api: TestClient, case: str) -> None:
    path, status, code = BAD_PATHS[case]

    assert_problem(api.get(path), status, code)


def test_a_problem_tells_the_closest_names_and_where_to_read_on(api: TestClient) -> None:
    response = api.get(DATA, params={"version": "tag:production_2026_02_16"})

    problem = response.json()
    assert problem["suggestions"] == [TAG]
    assert problem["dataset"] == "sales.orders"
    assert problem["type"] == "docs/errors.md#tag_not_found"
    assert problem["instance"] == DATA
    assert problem["category"] == "NOT_FOUND"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", [DATA, "/healthz", "/api/v1/datasets/sales/orders/tags"])
def test_other_methods_are_not_allowed(api: TestClient, method: str, path: str) -> None:
    response = api.request(method, path)

    assert_problem(response, 405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "GET, HEAD"


def assert_problem(response: Any, status: int, code: str | None) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = json.loads(response.content)
    assert problem["status"] == status
    assert code is None or problem["code"] == code
    assert problem["detail"]
    assert problem["title"]
    assert problem["trace_id"] == response.headers["x-trace-id"]
    assert len(response.content) < 10_000
