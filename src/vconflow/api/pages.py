"""Answers with a packaged page or a file of it: not sent twice, and held to a policy."""

import hashlib
from functools import lru_cache

from starlette.responses import Response

from vconflow.api import preconditions
from vconflow.api.call import Call

__all__ = ["HTML", "page_answer", "relative_base"]

HTML = "text/html; charset=utf-8"
_FRESH = "no-cache"
"""Asked for again every time, which costs nothing while its ETag is the same."""


def relative_base(call: Call, folder: str) -> str:
    """Where the files of the page lie, as seen from it: `/x/` is a folder deeper than `/x`.

    Relative, so that it works below any path that a proxy has put before ours.
    """
    return "" if call.scope["path"].endswith("/") else f"{folder}/"


def page_answer(
    call: Call, body: bytes, media_type: str, *, policy: str, cache: str = _FRESH
) -> Response:
    """The answer with `policy` as its Content-Security-Policy, or 304 for who has it already."""
    etag = f'"{_digest(body)}"'
    headers = {"ETag": etag, "Cache-Control": cache, "Content-Security-Policy": policy}
    wanted = call.header(b"if-none-match")
    if wanted and preconditions.matches_weakly(wanted, etag):
        return Response(None, 304, headers)
    return Response(body, 200, headers | {"Content-Type": media_type})


@lru_cache(maxsize=32)
def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()
