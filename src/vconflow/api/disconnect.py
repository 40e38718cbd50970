"""Noticing that a client has gone."""

from starlette.types import Receive

__all__ = ["wait_for_disconnect"]


async def wait_for_disconnect(receive: Receive) -> None:
    """Return when the client has gone; the body of its request has to be read before."""
    while (await receive())["type"] != "http.disconnect":
        pass
