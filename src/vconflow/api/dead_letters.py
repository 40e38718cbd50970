"""/dlq: the uuids of dead letters, and putting them back to work."""

from starlette.types import ASGIApp

from vconflow.api.call import Call
from vconflow.api.codec import json_response
from vconflow.ports.dead_letters import DeadLetter, DeadLetters

__all__ = ["reprocess", "uuids"]

_CHUNK = 1_000
_DEFAULT, _MOST = 1_000, 100_000


async def uuids(call: Call) -> ASGIApp:
    """Return the uuids of a list's dead letters, oldest first.

    At most 100,000; the header `X-More: true` says that there are others.
    """
    list_name = call.query.required("ingress_list")
    letters = await _oldest(call.services.dead_letters, list_name, _MOST + 1)
    more = {"X-More": "true"} if len(letters) > _MOST else None
    return json_response([letter.uuid for letter in letters[:_MOST]], headers=more)


async def reprocess(call: Call) -> ASGIApp:
    """Move dead letters back to their list; return how many were moved."""
    list_name = call.query.required("ingress_list")
    count = call.query.integer("count", _DEFAULT, 1, _MOST)
    store = call.services.dead_letters
    # All are named before the first is moved: one that dies again at once is not moved again.
    ids = [letter.id for letter in await _oldest(store, list_name, count)]
    moved = 0
    for start in range(0, len(ids), _CHUNK):
        moved += await store.replay(list_name, ids[start : start + _CHUNK])
    return json_response(moved)


async def _oldest(store: DeadLetters, list_name: str, count: int) -> list[DeadLetter]:
    found: list[DeadLetter] = []
    after = ""
    while wanted := min(count - len(found), _CHUNK):
        letters = await store.browse(list_name, after=after, count=wanted)
        found += letters
        if len(letters) < wanted:
            break
        after = letters[-1].id
    return found
