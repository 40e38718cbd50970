"""Waiting for entries without taking them: the part of reading that shards divide."""

from collections.abc import Mapping, Sequence
from typing import Any

from redis.exceptions import ResponseError

from vconflow.adapters.redis.entries import field_map
from vconflow.adapters.redis.errors import as_ours, redis_errors
from vconflow.adapters.redis.stream.reading import Reading
from vconflow.model.entry import Entry
from vconflow.ports.stream import ReadRequest

__all__ = ["Watching"]

_EMPTY = "0-0"
_WITHOUT_STREAM = "no such key"


class Watching(Reading):
    """`take`, `ends` and `watch`, of which shards make one `EntryStream.read`."""

    async def take(self, requests: Sequence[ReadRequest], total: int) -> list[Entry]:
        """The new entries that are there, within the bounds of `EntryStream.read`."""
        names = self._keys.lists(name for request in requests for name in request.lists)
        return await self._read_shares(requests, total, names)

    async def ends(self, lists: Sequence[str]) -> dict[str, str]:
        """The id of the last entry that each list had, for `watch`; makes what is missing."""
        with redis_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                for name in lists:
                    pipe.execute_command("XINFO", "STREAM", self._keys.list(name))
                replies = await pipe.execute(raise_on_error=False)
        states = [_state(reply) for reply in replies]
        # The stream was deleted by hand, or Redis lost its data: start it anew.
        await self.ensure([name for name, state in zip(lists, states, strict=True) if not state[1]])
        return {name: end for name, (end, _) in zip(lists, states, strict=True)}

    async def watch(self, ends: Mapping[str, str], seconds: float) -> None:
        """Return when a list has an entry behind its end, or after the time that a read may last.

        Nothing is handed out, so a watch may be cancelled.
        """
        keys = [self._keys.list(name) for name in ends]
        options = ("COUNT", 1, "BLOCK", self._milliseconds(seconds), "STREAMS")
        with redis_errors():
            await self._wait("XREAD", *options, *keys, *ends.values())


def _state(reply: Any) -> tuple[str, int]:
    """Where a stream ends, and how many groups it has."""
    if isinstance(reply, ResponseError) and _WITHOUT_STREAM in str(reply):
        return _EMPTY, 0
    if isinstance(reply, Exception):
        raise as_ours(reply) from reply
    held = field_map(reply)
    return bytes(held[b"last-generated-id"]).decode(), int(held[b"groups"])
