"""The GraphiQL page and its files, all served from here: the browser needs no other host."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Route

ASSETS_PREFIX: Final = "/graphiql"

# Scripts only from files of this origin. Inline styles are allowed because the editor (CodeMirror) and the dialogs
# (Radix) write them; small images in the style sheet and the editor's markers are data: URLs.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

_FILES: Final = Path(__file__).parent / "graphiql"
_MEDIA_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_STYLES: Final = ("graphiql.min.css", "boot.css")
# In the order in which each needs the one before.
_SCRIPTS: Final = ("react.production.min.js", "react-dom.production.min.js", "graphiql.min.js", "boot.js")
_ICON: Final = "icon.svg"
_EXAMPLE_HEADERS: Final = '{\n  "X-Actor": "your-name"\n}'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asset:
    path: Path
    media_type: str
    content_hash: str


@cache
def _assets() -> dict[str, _Asset]:
    names = {*_STYLES, *_SCRIPTS, _ICON}
    paths = [path for folder in (_FILES, _FILES / "vendor") for path in folder.iterdir() if path.name in names]
    return {
        path.name: _Asset(
            path=path,
            media_type=_MEDIA_TYPES[path.suffix],
            content_hash=hashlib.sha256(path.read_bytes()).hexdigest()[:16],
        )
        for path in paths
    }


@cache
def _example_tabs() -> tuple[dict[str, str], ...]:
    tabs = []
    for path in sorted((_FILES / "examples").glob("*.graphql")):
        tab = {"query": path.read_text(encoding="utf-8")}
        variables = path.with_suffix(".variables.json")
        if variables.exists():
            tab["variables"] = variables.read_text(encoding="utf-8").strip()
        tabs.append(tab)
    return tuple(tabs)


def graphiql_html(endpoint: str, *, title: str = "Stratigraph", assets_prefix: str = ASSETS_PREFIX) -> str:
    """Return the page that sends its operations to `endpoint` and loads its files from below `assets_prefix`.

    Both are paths on the page's own origin, with the root path of a proxy if there is one. Serve the page by
    `graphiql_response`, which adds the policy that the page is written for.
    """
    config = {"endpoint": endpoint, "title": title, "headers": _EXAMPLE_HEADERS, "tabs": _example_tabs()}
    # In a script element only "<" can end the data; JSON may write it as an escape.
    config_json = json.dumps(config).replace("<", "\\u003c")

    def url(name: str) -> str:
        return escape(f"{assets_prefix}/{name}?v={_assets()[name].content_hash}")

    styles = "\n".join(f'<link rel="stylesheet" href="{url(name)}">' for name in _STYLES)
    scripts = "\n".join(f'<script defer src="{url(name)}"></script>' for name in _SCRIPTS)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)} · GraphiQL</title>
<link rel="icon" type="image/svg+xml" href="{url(_ICON)}">
{styles}
<script type="application/json" id="graphiql-config">{config_json}</script>
{scripts}
</head>
<body>
<div id="graphiql"><p class="loading">Loading…</p></div>
<noscript>GraphiQL needs JavaScript. The API itself takes POST requests at {escape(endpoint)}.</noscript>
</body>
</html>
"""


def graphiql_response(endpoint: str, *, title: str = "Stratigraph", assets_prefix: str = ASSETS_PREFIX) -> HTMLResponse:
    """Return the page of `graphiql_html` with a Content-Security-Policy that forbids every other origin."""
    return HTMLResponse(
        graphiql_html(endpoint, title=title, assets_prefix=assets_prefix),
        headers={
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            # The page names the current hashes, so it is asked for anew; the same address also answers JSON.
            "Cache-Control": "no-cache",
            "Vary": "Accept",
        },
    )


def graphiql_routes(path_prefix: str = ASSETS_PREFIX) -> list[BaseRoute]:
    """Return the routes that serve the page's scripts, style sheets and icon below `path_prefix`."""
    return [Route(f"{path_prefix}/{{name}}", _serve_asset, methods=["GET"], name="graphiql_asset")]


async def _serve_asset(request: Request) -> Response:
    asset = _assets().get(request.path_params["name"])
    if asset is None:
        raise HTTPException(404)
    # Only the address with the right hash may be kept for ever: during an update an old page can meet a new server.
    is_current = request.query_params.get("v") == asset.content_hash
    return FileResponse(
        asset.path,
        media_type=asset.media_type,
        headers={
            "Cache-Control": "public, max-age=31536000, immutable" if is_current else "no-cache",
            "X-Content-Type-Options": "nosniff",
        },
    )
