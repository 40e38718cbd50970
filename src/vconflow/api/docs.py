"""/openapi.json and /docs: the description of the API, and a page to read and try it.

Both are open: they say what every copy of vconflow says, and hold no data. The page comes from
packaged files alone, so that it works without internet.
"""

import asyncio
import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec
from starlette.types import ASGIApp

from vconflow.api.call import Call
from vconflow.api.pages import HTML, page_answer, relative_base
from vconflow.errors import NotFound, Unavailable

__all__ = ["asset", "description", "page"]

_START: Final = "start.js"
# Only these: a name from the path never becomes part of a file name.
_ASSETS: Final = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
    _START: "text/javascript",
}
# Everything from this server; styles inline, because Swagger UI sets them on its elements.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_CACHED: Final = "public, max-age=3600"

_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>vconflow API</title>
<link rel="icon" type="image/png" href="{base}favicon-32x32.png">
<link rel="stylesheet" href="{base}swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{base}swagger-ui-bundle.js"></script>
<script src="{base}start.js"></script>
</body>
</html>
"""
# The description lies beside the folder of this script, whatever path a proxy gave it.
_SCRIPT: Final = """SwaggerUIBundle({
  url: new URL("../openapi.json", document.currentScript.src).href,
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
});
"""


async def description(call: Call) -> ASGIApp:
    """Describe this API as OpenAPI 3.1."""
    settings = call.services.settings
    prefix = settings.api_root_path.rstrip("/")
    path: str = call.scope["path"]
    body = await asyncio.to_thread(
        _description,
        call.services.build.version,
        settings.conserver_header_name,
        prefix,
        bool(prefix) and path.startswith(prefix + "/"),
    )
    return page_answer(call, body, "application/json", policy=_POLICY)


async def page(call: Call) -> ASGIApp:
    """Show this API as a page where it can be tried."""
    body = _PAGE.format(base=relative_base(call, "docs")).encode()
    return page_answer(call, body, HTML, policy=_POLICY)


async def asset(call: Call) -> ASGIApp:
    """Return a file of the page."""
    name = call.path["asset"]
    if name not in _ASSETS:
        raise NotFound("Not Found")
    body = await asyncio.to_thread(_file, name)
    return page_answer(call, body, _ASSETS[name], policy=_POLICY, cache=_CACHED)


@lru_cache(maxsize=4)
def _description(version: str, header: str, prefix: str, below: bool) -> bytes:
    # Here, because both name these very handlers, and a server that nobody asks needs neither.
    from vconflow.api.openapi.document import describe
    from vconflow.api.routes import ROUTES

    # Relative to this document, so that they are right behind a proxy as well.
    other = ".." if below else f".{prefix}"
    servers = [".", other] if prefix else ["."]
    return msgspec.json.encode(describe(ROUTES, version, header, servers))


@lru_cache(maxsize=len(_ASSETS))
def _file(name: str) -> bytes:
    if name == _START:
        return _SCRIPT.encode()
    # Found but not imported: only its files are of use here.
    found = importlib.util.find_spec("swagger_ui")
    if found is None or not found.submodule_search_locations:
        raise Unavailable("swagger-ui-py is not installed")
    return (Path(found.submodule_search_locations[0]) / "static" / name).read_bytes()
