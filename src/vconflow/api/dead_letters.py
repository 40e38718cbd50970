"""/dead-letters: what could not be processed and why; putting it back to work, or dropping it."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from msgspec import UNSET
from starlette.responses import Response
from starlette.types import ASGIApp

from vconflow.api.answers import NewestDeadLetters
from vconflow.api.call import Call
from vconflow.api.codec import json_response, read_body
from vconflow.api.dead_letter_form import cursor_of, detailed, letter_key, letter_keys, shown
from vconflow.api.dead_letter_query import Browse, Purge, Replay, parse
from vconflow.errors import NotFound
from vconflow.pipeline.dead_letters import DeadLetterPasses, Step
from vconflow.ports.dead_letters import DeadLetter

__all__ = ["drop", "newest", "page", "purge", "read", "replay"]

_MOST_NEWEST: Final = 100


async def page(call: Call) -> ASGIApp:
    """Return dead letters that match, oldest first, list by list.

    A page may have fewer than `limit`, even none, and yet a cursor: one request looks at so many.
    """
    wanted = parse(Browse, call.query.members())
    lists = await _lists(call, wanted.list)
    passes = DeadLetterPasses(call.services.dead_letters)
    letters, position = await passes.page(lists, wanted.chosen, wanted.limit, wanted.position)
    items = [shown(letter) for letter in letters]
    return json_response({"dead_letters": items, "cursor": cursor_of(position)})


async def newest(call: Call) -> ASGIApp:
    """Return the last dead letters of all lists, the newest first, and how many there are."""
    limit = call.query.integer("limit", 20, 1, _MOST_NEWEST)
    passes = DeadLetterPasses(call.services.dead_letters)
    letters, total = await passes.newest(call.services.topology().lists, limit)
    return json_response(NewestDeadLetters([shown(letter) for letter in letters], total))


async def read(call: Call) -> ASGIApp:
    """Return one dead letter with its traceback and its progress."""
    return json_response(detailed(await _letter(call)))


async def replay(call: Call) -> ASGIApp:
    """Move dead letters back to their lists: those of `ids`, or a step through those that match.

    With a limit of 0 nothing moves, and the cursor says where the pass will begin and end.
    """
    limit = call.services.settings.vconflow_max_body_bytes
    body = await read_body(call.headers, call.receive, limit, call.hold_body)
    wanted = parse(Replay, call.query.members("ids"), body)
    passes = DeadLetterPasses(call.services.dead_letters)
    from_start = wanted.from_ == "start"
    if wanted.ids is not UNSET:
        return await _replay_ids(call, wanted.ids, from_start)
    lists = _feeding(call, wanted.list)
    step = await passes.replay(
        lists, wanted.chosen, wanted.limit, wanted.position, from_start=from_start
    )
    call.note(lists=sorted(lists), replayed=step.moved)
    return await _told("replayed", step, passes, lists)


async def drop(call: Call) -> ASGIApp:
    """Drop one dead letter, and its document if nothing else keeps it."""
    letter = await _letter(call)
    call.note(uuid=letter.uuid, list=letter.list)
    if not await call.services.dead_letters.drop(letter.list, [letter.id]):
        raise NotFound("Dead letter not found")
    return Response(None, 204)


async def purge(call: Call) -> ASGIApp:
    """Drop a step of the dead letters that match; without any condition only with `all=true`."""
    wanted = parse(Purge, call.query.members())
    lists = await _lists(call, wanted.list)
    passes = DeadLetterPasses(call.services.dead_letters)
    step = await passes.purge(lists, wanted.chosen, wanted.limit, wanted.position)
    call.note(lists=sorted(lists), purged=step.moved)
    return await _told("purged", step, passes, lists)


async def _told(
    verb: str, step: Step, passes: DeadLetterPasses, lists: Collection[str]
) -> Response:
    """`total` is how many dead letters are left in these lists, whether they match or not."""
    answer: Mapping[str, Any] = {
        verb: step.moved,
        "scanned": step.scanned,
        "total": await passes.total(lists),
        "cursor": cursor_of(step.position),
    }
    return json_response(answer)


async def _replay_ids(call: Call, ids: list[str], from_start: bool) -> Response:
    named = letter_keys(ids)
    for list_name in named:
        _feeding(call, list_name)
    store = call.services.dead_letters
    moved = 0
    for list_name, wanted in named.items():
        moved += await store.replay(list_name, wanted, from_start=from_start)
    call.note(ids=ids, replayed=moved)
    step = Step(moved, len(ids), None)
    return await _told("replayed", step, DeadLetterPasses(store), named)


async def _letter(call: Call) -> DeadLetter:
    list_name, letter_id = letter_key(call.path["dead_letter"])
    found = await call.services.dead_letters.find(list_name, [letter_id]) if letter_id else []
    if not found:
        raise NotFound("Dead letter not found")
    return found[0]


async def _lists(call: Call, named: str) -> Collection[str]:
    """The list that was named, or all. One that left the configuration may still have letters."""
    configured = call.services.topology().lists
    if not named:
        return configured
    if named in configured or await call.services.dead_letters.extents([named]):
        return (named,)
    raise NotFound(f"List '{named}' is not configured")


def _feeding(call: Call, named: str) -> Collection[str]:
    """The list that was named, or all: what is replayed to a list needs a chain that reads it."""
    feeds = call.services.topology().feeds
    if named and named not in feeds:
        raise NotFound(f"Ingress list '{named}' is not configured")
    return (named,) if named else feeds
