"""Which chains are paused (`ports/chain_control.py`): a set of their names, and a channel."""

import asyncio
from collections.abc import Callable

from redis.asyncio import Redis

from vconflow.adapters.redis.errors import redis_errors
from vconflow.adapters.redis.keys import Keys
from vconflow.errors import Permanent, Unavailable

__all__ = ["RedisChainSwitch"]

_SILENCE = 2.0
"""Seconds until a broken connection is made again, and for which one message is waited for."""


class RedisChainSwitch:
    """The switch of all replicas that share one Redis."""

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._key = keys.paused

    async def paused(self) -> frozenset[str]:
        """See `ChainSwitch.paused`."""
        with redis_errors():
            names = await self._client.execute_command("SMEMBERS", self._key)
        return frozenset(name.decode() for name in names)

    async def pause(self, chain: str) -> None:
        """See `ChainSwitch.pause`."""
        await self._change("SADD", chain)

    async def resume(self, chain: str) -> None:
        """See `ChainSwitch.resume`."""
        await self._change("SREM", chain)

    async def _change(self, command: str, chain: str) -> None:
        with redis_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                pipe.execute_command(command, self._key, chain)
                pipe.execute_command("PUBLISH", self._key, chain)
                changed, announced = await pipe.execute(raise_on_error=False)
        # Who is told nothing looks by itself; not even the right to publish is needed.
        del announced
        if isinstance(changed, Exception):
            with redis_errors():
                raise changed

    async def listen(self, changed: Callable[[], None]) -> None:
        """See `ChainSwitch.listen`."""
        while True:
            try:
                with redis_errors():
                    await self._listen(changed)
            except (Unavailable, Permanent):
                # Whoever looks every few seconds says that Redis is away.
                await asyncio.sleep(_SILENCE)

    async def _listen(self, changed: Callable[[], None]) -> None:
        async with self._client.pubsub() as channel:
            await channel.subscribe(self._key)
            while True:
                # The confirmation counts too: something may have been announced before it.
                if await channel.get_message(timeout=_SILENCE):
                    changed()
