"""/dlq: the uuids of dead letters, and putting them back to work."""

from starlette.types import ASGIApp

from vconflow.api.call import Call
from vconflow.api.codec import json_response

__all__ = ["reprocess", "uuids"]

_CHUNK = 1_000
_DEFAULT, _MOST = 1_000, 100_000


async def uuids(call: Call) -> ASGIApp:
    """Return the uuids of a list's dead letters, oldest first.

    At most 100,000; the header `X-More: true` says that there are others.
    """
    list_name = call.query.required("ingress_list")
    found: list[str] = []
    after = ""
    while len(found) <= _MOST:
        letters = await call.services.dead_letters.browse(list_name, after=after, count=_CHUNK)
        found += [letter.uuid for letter in letters]
        if len(letters) < _CHUNK:
            break
        after = letters[-1].id
    more = {"X-More": "true"} if len(found) > _MOST else None
    return json_response(found[:_MOST], headers=more)


async def reprocess(call: Call) -> ASGIApp:
    """Move dead letters back to their list; return how many were moved."""
    list_name = call.query.required("ingress_list")
    left = call.query.integer("count", _DEFAULT, 1, _MOST)
    store = call.services.dead_letters
    moved, after = 0, ""
    while left:
        letters = await store.browse(list_name, after=after, count=min(left, _CHUNK))
        if not letters:
            break
        moved += await store.replay(list_name, [letter.id for letter in letters])
        left -= len(letters)
        after = letters[-1].id
    return json_response(moved)
