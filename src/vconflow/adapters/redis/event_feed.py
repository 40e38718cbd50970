"""Hearing the channel of events (`ports/event_source.py`)."""

import asyncio
from collections.abc import Callable

from redis.asyncio import Redis

from vconflow.adapters.redis.errors import redis_errors
from vconflow.adapters.redis.history import parse_event
from vconflow.adapters.redis.keys import Keys
from vconflow.errors import Unavailable
from vconflow.ports.history import HistoryRecord

__all__ = ["RedisEventSource"]

_TURN = 100
_SILENCE = 5.0
"""Seconds without a message after which the connection is asked whether it still lives."""


class RedisEventSource:
    """One subscription for each call of `listen`."""

    def __init__(self, client: Redis, keys: Keys, *, silence: float = _SILENCE) -> None:
        self._client = client
        self._keys = keys
        self._silence = silence

    async def listen(
        self, heard: Callable[[HistoryRecord], None], listening: Callable[[], None]
    ) -> None:
        """See `EventSource.listen`."""
        asked, count = False, 0
        with redis_errors():
            async with self._client.pubsub() as channel:
                await channel.subscribe(self._keys.events)
                while True:
                    message = await channel.get_message(timeout=self._silence)
                    if message is None:
                        if asked:
                            raise Unavailable("Redis is unavailable: no sign of life")
                        await channel.ping()
                    elif message["type"] == "subscribe":
                        # Also when the driver has connected again, by itself and without a word.
                        listening()
                    elif message["type"] == "message" and (record := parse_event(message["data"])):
                        heard(record)
                    asked = message is None
                    count += 1
                    if count % _TURN == 0:
                        await asyncio.sleep(0)  # reading what has come already waits for nothing
