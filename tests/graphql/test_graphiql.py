import hashlib
import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest
from graphql import OperationDefinitionNode, parse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from app.graphql.graphiql_page import graphiql_html, graphiql_response, graphiql_routes

FILES = Path(__file__).parents[2] / "app" / "graphql" / "graphiql"
CONTENT_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass
class Page(HTMLParser):
    """What a page loads, and what stands inside its script and style elements."""

    urls: list[str] = field(default_factory=list)
    event_handlers: list[str] = field(default_factory=list)
    data: str = ""
    inline_scripts: str = ""
    open_script: dict[str, str | None] | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.urls += [url for name in ("src", "href") if (url := found.get(name))]
        self.event_handlers += [name for name in found if name.startswith("on")]
        if tag == "script":
            self.open_script = found

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self.open_script = None

    def handle_data(self, data: str) -> None:
        if self.open_script is None:
            return
        if self.open_script.get("type") == "application/json":
            self.data += data
        else:
            self.inline_scripts += data


def parsed(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    return page


@pytest.fixture
def client() -> TestClient:
    async def page(request: Request) -> Response:
        return graphiql_response("/graphql")

    return TestClient(Starlette(routes=[Route("/graphql", page), *graphiql_routes()]))


def test_page_is_html_that_names_the_endpoint(client: TestClient) -> None:
    response = client.get("/graphql", headers={"Accept": "text/html"})

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert json.loads(parsed(response.text).data)["endpoint"] == "/graphql"


def test_policy_forbids_other_origins_and_inline_scripts(client: TestClient) -> None:
    policy = client.get("/graphql").headers["content-security-policy"]

    directives = {name: sources for name, *sources in (part.split() for part in policy.split(";"))}
    assert directives["default-src"] == ["'none'"]
    assert directives["script-src"] == ["'self'"]
    assert directives["connect-src"] == ["'self'"]
    sources = {source for listed in directives.values() for source in listed}
    assert sources == {"'none'", "'self'", "'unsafe-inline'", "data:"}
    assert [name for name, listed in directives.items() if "'unsafe-inline'" in listed] == ["style-src"]


def test_page_keeps_to_the_policy(client: TestClient) -> None:
    page = parsed(client.get("/graphql").text)

    assert page.inline_scripts.strip() == ""
    assert page.event_handlers == []


def test_every_file_the_page_loads_is_served_from_its_own_origin(client: TestClient) -> None:
    urls = parsed(client.get("/graphql").text).urls

    assert len(urls) == 7
    for url in urls:
        assert re.match(r"/(?!/)", url), url
        path, version = re.fullmatch(r"(/graphiql/[^?/]+)\?v=([0-9a-f]{16})", url).groups()
        response = client.get(url)
        assert response.status_code == 200, url
        assert response.headers["content-type"].split(";")[0] == CONTENT_TYPES[Path(path).suffix], url
        assert response.headers["cache-control"] == "public, max-age=31536000, immutable", url
        assert response.headers["x-content-type-options"] == "nosniff", url
        assert hashlib.sha256(response.content).hexdigest().startswith(version), url


@pytest.mark.parametrize("query", ["", "?v=", "?v=0000000000000000"])
def test_file_asked_for_by_another_hash_is_not_kept(client: TestClient, query: str) -> None:
    response = client.get(f"/graphiql/boot.js{query}")

    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "name", ["missing.js", "package.json", "LICENSES.txt", "..%2Fgraphiql_page.py", "vendor%2Fgraphiql.min.js"]
)
def test_nothing_but_the_pages_files_is_served(client: TestClient, name: str) -> None:
    assert client.get(f"/graphiql/{name}").status_code == 404


def test_style_sheets_load_nothing_else() -> None:
    sheets = [*FILES.glob("*.css"), *FILES.glob("vendor/*.css")]

    assert len(sheets) == 2
    for sheet in sheets:
        text = sheet.read_text(encoding="utf-8")
        assert "@import" not in text
        assert [url for url in re.findall(r"url\(\s*['\"]?([^)]{0,40})", text) if not url.startswith("data:")] == []


def test_markup_in_title_and_paths_is_escaped() -> None:
    hostile = '"></title></script><script>alert(1)</script>'

    html = graphiql_html(f"/{hostile}", title=hostile, assets_prefix=f"/{hostile}")

    page = parsed(html)
    assert "alert(1)" not in page.inline_scripts
    assert json.loads(page.data)["title"] == hostile
    assert "<script>alert" not in html


def test_prefixes_are_the_callers() -> None:
    page = parsed(graphiql_html("/lake/graphql", assets_prefix="/lake/assets"))

    assert all(url.startswith("/lake/assets/") for url in page.urls)
    client = TestClient(Starlette(routes=graphiql_routes("/lake/assets")))
    assert {client.get(url).status_code for url in page.urls} == {200}


def test_tabs_hold_one_named_operation_each_with_its_variables() -> None:
    config = json.loads(parsed(graphiql_html("/graphql")).data)

    operations = []
    for tab in config["tabs"]:
        (operation,) = parse(tab["query"]).definitions
        assert isinstance(operation, OperationDefinitionNode)
        declared = {definition.variable.name.value for definition in operation.variable_definitions or ()}
        assert declared == set(json.loads(tab.get("variables", "{}")))
        operations.append(operation.name.value)
    assert operations == ["Datasets", "TagVersion", "RollBack"]
    assert "X-Actor" in json.loads(config["headers"])


def test_example_rollback_is_a_dry_run() -> None:
    config = json.loads(parsed(graphiql_html("/graphql")).data)

    assert json.loads(config["tabs"][2]["variables"])["input"]["dryRun"] is True


def test_lock_file_names_no_registry() -> None:
    packages = json.loads((FILES / "package-lock.json").read_text(encoding="utf-8"))["packages"]

    assert all("integrity" in package for path, package in packages.items() if path)
    assert [path for path, package in packages.items() if "resolved" in package] == []


def test_vendored_versions_are_the_pinned_ones() -> None:
    pinned = json.loads((FILES / "package.json").read_text(encoding="utf-8"))["dependencies"]

    for name in ("react", "react-dom"):
        text = (FILES / "vendor" / f"{name}.production.min.js").read_text(encoding="utf-8")
        assert f"{pinned[name]}" in text, name
