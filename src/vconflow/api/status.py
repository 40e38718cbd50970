"""/status: a page that shows how everything does, and what can be done about it.

Page and files are open: they hold no data. What the page shows it fetches from the other routes,
with the API key that somebody types in.
"""

import asyncio
import html
from functools import lru_cache
from importlib import resources
from typing import Final

from starlette.types import ASGIApp

from vconflow.api.call import Call
from vconflow.api.pages import HTML, page_answer, relative_base
from vconflow.errors import NotFound

__all__ = ["asset", "page"]

_PAGE: Final = "page.html"
_SCRIPT: Final = "text/javascript; charset=utf-8"
# Only these: a name from the path never becomes part of a file name.
_ASSETS: Final = {
    "status.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "start.js": _SCRIPT,
    "app.js": _SCRIPT,
    "actions.js": _SCRIPT,
    "server.js": _SCRIPT,
    "events.js": _SCRIPT,
    "dom.js": _SCRIPT,
    "chains.js": _SCRIPT,
    "panels.js": _SCRIPT,
    "timeline.js": _SCRIPT,
}
# Scripts and styles come in files of ours alone; nothing can be made of a text, not even by us.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


async def page(call: Call) -> ASGIApp:
    """Show how everything does, as a page that asks for the API key when there is one."""
    template = await asyncio.to_thread(_file, _PAGE)
    header = html.escape(call.services.settings.conserver_header_name)
    text = template.decode().replace("{base}", relative_base(call, "status"))
    return page_answer(call, text.replace("{header}", header).encode(), HTML, policy=_POLICY)


async def asset(call: Call) -> ASGIApp:
    """Return a file of the page."""
    name = call.path["asset"]
    if name not in _ASSETS:
        raise NotFound("Not Found")
    body = await asyncio.to_thread(_file, name)
    return page_answer(call, body, _ASSETS[name], policy=_POLICY)


@lru_cache(maxsize=len(_ASSETS) + 1)
def _file(name: str) -> bytes:
    return resources.files("vconflow.api").joinpath("static", "status", name).read_bytes()
