"""/egress/{list}: fetching without losing, by leases that end unless they are acknowledged."""

from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.types import ASGIApp

from vconflow.api.call import Call
from vconflow.api.codec import decode_json, json_response, read_body
from vconflow.api.egress import Handover, refuse_ingress
from vconflow.api.refusals import InvalidRequest
from vconflow.errors import Problem
from vconflow.model.entry import Entry, split_lease_id
from vconflow.ports.egress import LONGEST_LEASE

__all__ = [
    "Acked",
    "Extended",
    "LeaseIds",
    "Leased",
    "LeasedEntry",
    "Returned",
    "ack",
    "extend",
    "give_back",
    "lease",
]

MOST = 10_000


class LeasedEntry(msgspec.Struct, frozen=True):
    """A uuid on lease. `id` stands for this lease of it: another lease of it has another."""

    id: str
    uuid: str


class Leased(msgspec.Struct, frozen=True):
    """What was handed out, oldest first; it comes back after `seconds`."""

    entries: list[LeasedEntry]
    seconds: float


class LeaseIds(msgspec.Struct, frozen=True):
    """Leases, by the ids that leasing gave."""

    ids: Annotated[list[str], Meta(max_length=MOST)]


class Acked(msgspec.Struct, frozen=True):
    """How many were removed. `not_leased` are removed already, or lent to somebody else by now."""

    acked: int
    not_leased: list[str]


class Returned(msgspec.Struct, frozen=True):
    """How many are there for others again; `not_leased` as in `Acked`."""

    returned: int
    not_leased: list[str]


class Extended(msgspec.Struct, frozen=True):
    """How many leases now end after `seconds`; `not_leased` as in `Acked`."""

    extended: int
    not_leased: list[str]
    seconds: float


async def lease(call: Call) -> ASGIApp:
    """Hand out the oldest uuids of an egress list, without removing them.

    They come back after `seconds` unless they are acknowledged. Of several clients each gets its
    own; what came back is handed out first.
    """
    name = _list_of(call)
    limit = call.query.integer("limit", 1, 1, MOST)
    seconds = _seconds(call)
    refuse_ingress(call, name)
    lists = call.services.egress
    entries = await lists.lease(name, limit, seconds)
    answer = Leased([LeasedEntry(entry.lease_id, entry.uuid) for entry in entries], seconds)
    # A client that is gone before it could read the ids must not hold them for a day.
    return Handover(lists, name, entries, answer, remove=False)


async def ack(call: Call) -> ASGIApp:
    """Remove leased entries for good.

    An id whose lease has ended still counts, until the entry is handed out again.
    """
    ids, entries = await _named(call)
    done = await call.services.egress.ack(_list_of(call), entries)
    return json_response(Acked(len(done), _others(ids, done)))


async def give_back(call: Call) -> ASGIApp:
    """Let others have leased entries at once."""
    ids, entries = await _named(call)
    done = await call.services.egress.give_back(_list_of(call), entries)
    return json_response(Returned(len(done), _others(ids, done)))


async def extend(call: Call) -> ASGIApp:
    """Let leases end `seconds` from now, whenever they would have ended."""
    seconds = _seconds(call)
    ids, entries = await _named(call)
    done = await call.services.egress.extend(_list_of(call), entries, seconds)
    return json_response(Extended(len(done), _others(ids, done), seconds))


def _list_of(call: Call) -> str:
    name = call.path["list"]
    call.note(list=name)
    return name


def _seconds(call: Call) -> float:
    if call.query.optional("seconds") is None:
        return call.services.settings.vconflow_egress_lease_seconds
    return call.query.integer("seconds", 1, 1, LONGEST_LEASE)


async def _named(call: Call) -> tuple[list[str], list[Entry]]:
    limit = call.services.settings.vconflow_max_body_bytes
    body = await read_body(call.headers, call.receive, limit, call.hold_body)
    sent: list[str] | LeaseIds = decode_json(body, list[str] | LeaseIds)
    ids = list(dict.fromkeys(sent.ids if isinstance(sent, LeaseIds) else sent))
    if len(ids) > MOST:
        message = f"List should have at most {MOST} items"
        raise InvalidRequest.at(("body",), message, "too_long")
    problems = [
        Problem(("body", number), "Input should be an id that leasing gave", "lease_id")
        for number, text in enumerate(ids)
        if not _is_lease_id(text)
    ]
    if problems:
        raise InvalidRequest(problems)
    return ids, await call.services.egress.find(_list_of(call), ids) if ids else []


def _is_lease_id(text: str) -> bool:
    try:
        split_lease_id(text)
    except ValueError:
        return False
    return True


def _others(ids: list[str], done: list[str]) -> list[str]:
    there = frozenset(done)
    return [name for name in ids if name not in there]
