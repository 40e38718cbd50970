"""Handing vCons out: entries are leased, sent, and only then removed."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from vconflow.api.call import Call
from vconflow.api.codec import json_response
from vconflow.api.disconnect import wait_for_disconnect
from vconflow.api.lists import chain_of
from vconflow.errors import Conflict, NotFound, Retryable
from vconflow.model.entry import Entry
from vconflow.ports.egress import EgressLists
from vconflow.telemetry.log import get_logger

__all__ = ["Handover", "chain_pop", "count", "pop", "refuse_ingress"]

_MOST = 10_000
"""So many in one answer; who asks for more asks again, as for a list that holds no more."""
_ANY = 1_000_000_000

_log = get_logger()


async def pop(call: Call) -> ASGIApp:
    """Hand out the oldest uuids of an egress list."""
    return await _pop(call, call.query.required("egress_list"))


async def chain_pop(call: Call) -> ASGIApp:
    """Hand out the oldest uuids of a chain's first egress list."""
    name, chain = chain_of(call)
    if not chain.egress_lists:
        raise NotFound(f"Chain '{name}' has no egress list")
    return await _pop(call, chain.egress_lists[0])


async def count(call: Call) -> ASGIApp:
    """Say how many entries of an egress list nobody has taken yet."""
    name = call.query.required("egress_list")
    return json_response(await call.services.egress.depth(name))


async def _pop(call: Call, list_name: str) -> ASGIApp:
    limit = min(call.query.integer("limit", 1, 0, _ANY), _MOST)
    refuse_ingress(call, list_name)
    lists = call.services.egress
    # Links may route to lists that no chain names, so any list can be popped.
    entries = await lists.lease(list_name, limit) if limit else []
    call.note(list=list_name, uuids=[entry.uuid for entry in entries])
    uuids = [entry.uuid for entry in entries]
    return Handover(lists, list_name, entries, uuids, remove=True) if entries else json_response([])


def refuse_ingress(call: Call, list_name: str) -> None:
    """Raise Conflict for a list that a chain reads: what is handed out would not be processed."""
    chain = call.services.topology().feeds.get(list_name)
    if chain is not None:
        raise Conflict(f"List '{list_name}' feeds the chain '{chain}' and cannot be popped")


class Handover:
    """A response that gives its entries back unless it could be sent.

    With `remove` it acknowledges them when it has been.
    """

    def __init__(
        self,
        lists: EgressLists,
        list_name: str,
        entries: Sequence[Entry],
        answer: Any,
        *,
        remove: bool,
    ) -> None:
        self._lists = lists
        self._list_name = list_name
        self._entries = entries
        self._answer = answer
        self._remove = remove

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = False
        is_closing = scope.get("extensions", {}).get("vconflow.is_closing", lambda: False)
        try:
            sent = await self._send(receive, send, is_closing)
        finally:
            if self._remove or not sent:
                settle = self._lists.ack if sent else self._lists.give_back
                await _shielded(self._settle(settle(self._list_name, self._entries)))

    async def _send(self, receive: Receive, send: Send, is_closing: Callable[[], bool]) -> bool:
        """Send the response; whether the client was there to the end.

        A server may drop what is sent to a client that went away without saying so. So the last
        byte is held back until everything before it has left: nobody who is gone before that can
        have read the whole body.
        """
        response = json_response(self._answer)
        body = bytes(response.body)
        gone = asyncio.ensure_future(wait_for_disconnect(receive))
        try:
            await asyncio.sleep(0)
            if gone.done():
                return False
            start = {"status": response.status_code, "headers": response.raw_headers}
            await send({"type": "http.response.start", **start})
            await send({"type": "http.response.body", "body": body[:-1], "more_body": True})
            # Waits while the socket's buffer is full.
            await send({"type": "http.response.body", "body": b"", "more_body": True})
            await asyncio.sleep(0)
            # The server tells of a client that left some turns of the loop later, and drops what
            # is sent meanwhile. Its transport knows at once.
            if gone.done() or is_closing():
                return False
            await send({"type": "http.response.body", "body": body[-1:], "more_body": False})
            return True
        finally:
            gone.cancel()

    async def _settle(self, settling: Coroutine[Any, Any, object]) -> None:
        try:
            await settling
        except Retryable as error:
            # The response is out; what is not acknowledged comes back when its lease ends.
            _log.warning("egress_not_settled", list=self._list_name, error=str(error))


async def _shielded(settling: Coroutine[Any, Any, None]) -> None:
    """Await to the end even when the request is cancelled meanwhile."""
    task = asyncio.ensure_future(settling)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
