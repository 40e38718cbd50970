"""One kill: a master under load dies, its replica takes its place, losses are counted."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from vconflow.adapters.redis.backend import RedisOptions, open_backend
from vconflow.adapters.redis.keys import Keys
from vconflow.errors import Retryable
from vconflow.model.identifiers import new_uuid
from vconflow.model.validation import validate
from vconflow.pipeline.batcher import Batcher
from vconflow.ports.intake import Acceptance, Intake, Receipt
from vconflow.testing.sentinel import SentinelSite, sentinel_site
from vconflow.testing.servers import RedisServer

SENDERS = 32
BODY = "x" * 1500
"""Of the vCons, which have 2 kB then."""


@dataclass(frozen=True)
class Case:
    """`lag` is how many seconds the replica is behind at least."""

    durability: str
    lag: float

    @property
    def settings(self) -> dict[str, str | int]:
        """Those of the servers."""
        confirming = {"min_replicas_to_write": 1} if self.durability == "replicated" else {}
        return {"appendfsync": "everysec", **confirming}


@dataclass(frozen=True)
class Trial:
    """What one kill came to: how many vCons were answered with yes, and of those the lost ones.

    `rate` is how many a second before the kill; `promoted` how many seconds passed from then until
    the replica was the master.
    """

    accepted: int
    lost: int
    rate: float
    promoted: float


async def kill_master(folder: Path, case: Case, seconds: float) -> Trial:
    """Accept for so long, kill the master meanwhile, and count what its successor has."""
    options = RedisOptions(durability=case.durability)
    async with (
        sentinel_site(folder, lag=case.lag, **case.settings) as redis,
        open_backend(redis.url, options) as backend,
        accepting(backend.intake) as answered,
    ):
        await asyncio.sleep(seconds)
        rate = len(answered) / seconds
        promoted = await lose_master(redis)
        # What is accepted from here on, by the new master, would seem lost.
        before = frozenset(answered)
        lost = before - await kept(await redis.master())
    return Trial(len(before), len(lost), rate, promoted)


async def lose_master(redis: SentinelSite) -> float:
    """The master and what it has sent and nobody got are gone, as when its machine is.

    How many seconds it took until another one was the master.
    """
    old = await redis.master()
    killed = time.monotonic()
    redis.link.refuse()
    old.kill()
    await redis.switched_from(old)
    return time.monotonic() - killed


@asynccontextmanager
async def accepting(intake: Intake) -> AsyncIterator[set[str]]:
    """Send unique vCons as the server does, until the end; the uuids that were accepted."""
    batcher: Batcher[Acceptance, Receipt] = Batcher(intake.accept)
    answered: set[str] = set()

    async def send() -> None:
        while True:
            uuid, item = new_vcon()
            try:
                await batcher.submit(item)
            except Retryable:
                await asyncio.sleep(0.02)
            else:
                answered.add(uuid)

    senders = [asyncio.create_task(send()) for _ in range(SENDERS)]
    try:
        yield answered
    finally:
        for sender in senders:
            sender.cancel()
        await asyncio.wait(senders)
        await batcher.stop()


def new_vcon() -> tuple[str, Acceptance]:
    uuid = new_uuid()
    members = {"vcon": "0.0.1", "uuid": uuid, "created_at": "2025-03-21T06:59:56+00:00"}
    dialog = {"type": "text", "start": members["created_at"], "parties": [0], "body": BODY}
    parties = [{"tel": "+15550100"}]
    document = json.dumps(members | {"parties": parties, "dialog": [dialog]}).encode()
    return uuid, Acceptance(validate(document), document, ("in",))


async def kept(server: RedisServer) -> set[str]:
    """The uuids of which a server has both the document and the entry."""
    keys = Keys()
    async with Redis.from_url(server.url) as client:
        rows = await client.xrange(keys.list("in"))
        uuids = [fields[b"uuid"].decode() for _, fields in rows]
        async with client.pipeline(transaction=False) as pipe:
            for uuid in uuids:
                pipe.exists(keys.document(uuid))
            there = await pipe.execute()
    return {uuid for uuid, is_there in zip(uuids, there, strict=True) if is_there}
