"""/chains: what is configured, how it does, and stopping and starting it."""

from collections.abc import Sequence

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp

from vconflow.api.call import Call
from vconflow.api.codec import json_response
from vconflow.ports.chain_control import ChainStatus

__all__ = ["ChainPage", "pause", "read", "read_all", "resume"]


class ChainPage(msgspec.Struct, frozen=True):
    """Every configured chain, in configured order."""

    chains: Sequence[ChainStatus]


async def read_all(call: Call) -> ASGIApp:
    """List all chains with their links, lists and numbers.

    `in_flight`, `retrying` and `rate` are those of the replica that answers; all else is the same
    on every replica.
    """
    return json_response(ChainPage(await call.services.chains.chains()))


async def read(call: Call) -> ASGIApp:
    """Return one chain with its links, lists and numbers."""
    return json_response(await call.services.chains.chain(call.path["chain"]))


async def pause(call: Call) -> ASGIApp:
    """Stop reading the chain's lists, on every replica, until it is resumed.

    What is under way finishes, and its lists go on accepting.
    """
    name = call.path["chain"]
    call.note(chain=name)
    await call.services.chains.pause(name)
    return Response(None, 204)


async def resume(call: Call) -> ASGIApp:
    """Read the chain's lists again, on every replica."""
    name = call.path["chain"]
    call.note(chain=name)
    await call.services.chains.resume(name)
    return Response(None, 204)
