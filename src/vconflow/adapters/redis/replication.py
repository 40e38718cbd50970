"""Answering only what a replica has too (`VCONFLOW_DURABILITY=replicated`)."""

from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis

from vconflow.adapters.redis.keys import Keys
from vconflow.adapters.redis.scripts import Scripts
from vconflow.errors import Unavailable

__all__ = ["ConfirmedScripts", "confirmed"]

_CONFIRM_MS = 2_000
"""Milliseconds that a replica gets to confirm; one that is well needs one or two."""

_ANSWERED = frozenset({"accept", "config_put", "delete", "enqueue"})
"""What somebody is told of once it is done. Commits are not: one that is lost is made again."""


class ConfirmedScripts(Scripts):
    """Scripts that count as done when a replica of Redis has their effects.

    One that no replica has confirmed raises `Unavailable`; it may have happened all the same, as
    when its answer is lost.
    """

    def __init__(self, client: Redis, sources: Mapping[str, str], keys: Keys) -> None:
        super().__init__(client, sources, keys)
        self._keys = keys

    async def _execute(self, name: str, *command: Any) -> Any:
        if name in _ANSWERED:
            return await confirmed(self._client, self._keys, *command)
        return await super()._execute(name, *command)


async def confirmed(client: Redis, keys: Keys, *command: Any) -> Any:
    """The reply to a command whose effects a replica has. Raises the driver's errors, Unavailable.

    All goes over one connection: WAIT is about the writes of its own, and another one may lead to
    another master by now.
    """
    async with client.pipeline(transaction=False) as pipe:
        # A command that is repeated may write nothing, and what its first try wrote may have gone
        # over another connection. This write comes after it in any case.
        pipe.execute_command("SET", keys.probe, "", "PX", 1000)
        pipe.execute_command(*command)
        pipe.execute_command("WAIT", 1, _CONFIRM_MS)
        written, reply, replicas = await pipe.execute(raise_on_error=False)
    for outcome in (reply, written, replicas):
        if isinstance(outcome, Exception):
            raise outcome
    if int(replicas) < 1:
        raise Unavailable("Redis cannot do it safely: no replica has confirmed it")
    return reply
