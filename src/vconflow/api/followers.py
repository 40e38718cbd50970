"""/followers: pulling from other servers, and what cannot be had from them."""

from collections.abc import Sequence

import msgspec
from starlette.types import ASGIApp

from vconflow.api.call import Call
from vconflow.api.codec import json_response
from vconflow.ports.follow import FollowerStatus, Parked

__all__ = [
    "Dropped",
    "FollowerPage",
    "ParkedPage",
    "Retried",
    "drop",
    "parked",
    "read_all",
    "retry",
]

MOST = 1_000


class FollowerPage(msgspec.Struct, frozen=True):
    """Every configured follower."""

    followers: Sequence[FollowerStatus]


class ParkedPage(msgspec.Struct, frozen=True):
    """Ids that left the other server and whose vCon cannot be had, the oldest first."""

    parked: Sequence[Parked]


class Retried(msgspec.Struct, frozen=True):
    """How many ids are fetched once more."""

    retried: int


class Dropped(msgspec.Struct, frozen=True):
    """How many ids were forgotten."""

    dropped: int


async def read_all(call: Call) -> ASGIApp:
    """List all followers, with how many ids wait and how many are parked."""
    return json_response(FollowerPage(await call.services.followers().followers()))


async def parked(call: Call) -> ASGIApp:
    """Return ids whose vCon the other server has no more, or that is none, with the reason."""
    limit = call.query.integer("limit", 100, 1, MOST)
    found = await call.services.followers().parked(call.path["follower"], limit)
    return json_response(ParkedPage(found))


async def retry(call: Call) -> ASGIApp:
    """Fetch everything that a follower has parked once more."""
    name = call.path["follower"]
    call.note(follower=name)
    return json_response(Retried(await call.services.followers().retry(name)))


async def drop(call: Call) -> ASGIApp:
    """Forget everything that a follower has parked."""
    name = call.path["follower"]
    call.note(follower=name)
    return json_response(Dropped(await call.services.followers().drop(name)))
