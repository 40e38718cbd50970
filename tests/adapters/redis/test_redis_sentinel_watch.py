"""Whoever watches for a new master goes on whatever the driver raises."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel

from vconflow.adapters.redis import sentinel as adapter

Answer = tuple[str, int] | Exception
OLD, NEW = ("10.0.0.1", 6379), ("10.0.0.2", 6379)
CLOSED = "unable to perform operation on <TCPTransport closed=True>; the handler is closed"


class Scripted(Sentinel):
    """Answers in turn what it is given, and the last answer for ever."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__([])
        self._answers = list(answers)
        self.asked = 0

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        answer = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        if isinstance(answer, Exception):
            raise answer
        return answer


@asynccontextmanager
async def following(sentinel: Sentinel, client: Redis) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(adapter._follow(sentinel, "vcons", client))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize(
    "error",
    [RuntimeError(CLOSED), MasterNotFoundError("nobody"), TimeoutError(), OSError(24, "no file")],
    ids=["closed-transport", "no-master", "silence", "no-file"],
)
async def test_it_outlives_an_error_and_cuts_once(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(adapter, "_LOOK_SECONDS", 0.01)
    sentinel = Scripted(OLD, error, NEW)
    async with Redis.from_url(valkey_url) as client, following(sentinel, client) as task:
        before = await client.client_id()
        await asked(sentinel, 4, task)
        renewed = await client.client_id()
        assert renewed != before
        await asked(sentinel, 10, task)
        assert await client.client_id() == renewed


async def asked(sentinel: Scripted, times: int, task: asyncio.Task[None]) -> None:
    """Wait until the watcher has gone on from so many answers."""
    async with asyncio.timeout(30):
        while sentinel.asked < times:
            assert not task.done()
            await asyncio.sleep(0.01)
