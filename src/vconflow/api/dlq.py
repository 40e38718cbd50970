"""/dlq: the uuids of dead letters, and putting them back to work, as existing clients know it."""

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp

from vconflow.api.call import Call
from vconflow.api.codec import json_response

__all__ = ["reprocess", "uuids"]

_CHUNK = 200
_DEFAULT, _MOST = 1_000, 100_000


async def uuids(call: Call) -> ASGIApp:
    """Return the uuids of a list's dead letters, oldest first.

    At most 100,000; the header `X-More: true` says that there are others.
    """
    list_name = call.query.required("ingress_list")
    store, after, found = call.services.dead_letters, "", 0
    # Letters hold tracebacks: no more of them than a chunk is ever kept.
    parts: list[bytes] = []
    while wanted := min(_MOST - found, _CHUNK):
        letters = await store.browse(list_name, after=after, count=wanted)
        found += len(letters)
        if letters:
            parts.append(msgspec.json.encode([letter.uuid for letter in letters])[1:-1])
            after = letters[-1].id
        if len(letters) < wanted:
            break
    more = found == _MOST and await store.browse(list_name, after=after, count=1)
    headers = {"X-More": "true"} if more else None
    return Response(b"[" + b",".join(parts) + b"]", 200, headers, "application/json")


async def reprocess(call: Call) -> ASGIApp:
    """Move dead letters back to their list; return how many were moved."""
    list_name = call.query.required("ingress_list")
    count = call.query.integer("count", _DEFAULT, 1, _MOST)
    store, after, moved = call.services.dead_letters, "", 0
    extent = (await store.extents([list_name])).get(list_name)
    # One that dies again at once is newer than the newest of now, and is not moved again.
    while extent and (wanted := min(count - moved, _CHUNK)):
        letters = await store.browse(list_name, after=after, until=extent.newest, count=wanted)
        if not letters:
            break
        moved += await store.replay(list_name, [letter.id for letter in letters])
        after = letters[-1].id
    call.note(list=list_name, replayed=moved)
    return json_response(moved)
