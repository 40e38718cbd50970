"""kill -9 again and again: nothing is lost, and whatever happens twice is accounted for.

`POST` without an answer is the only source of duplicates at egress: the client sends such a vCon
again, and may have been heard both times. A link may be called again for an entry that was under
way at a kill; a paid one not even then, once its result was written.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from loading import Sender, vcons
from redis_view import RedisView, redis_view, until
from vconflow_process import VconflowProcess, pop_all, vconflow

from vconflow.model.vcon import Vcon
from vconflow.testing.servers import free_port
from vconflow.testing.webhook_receiver import Received, Reply, WebhookReceiver, webhook_receiver

COUNT = 1000
KILLS = 20
SEED = 20_250_321
IN_FLIGHT = 100
FIRST = 200
"""vCons that are posted before the first kill; the rest comes in equal parts between the kills."""


def config_of(folder: Path, receiver: WebhookReceiver, dsn: str) -> dict[str, Any]:
    paid = {"calls": str(folder / "paid"), "seconds": 0.3}
    return {
        "links": {
            "tag": {"module": "links.tag", "options": {"tags": ["seen"]}},
            "paid": {"module": "troublemakers:PaidLink", "options": paid},
            "hook": {"module": "links.webhook", "options": {"webhook-urls": [receiver.url]}},
        },
        "storages": {
            "file": {"module": "storage.file", "options": {"path": str(folder / "files")}},
            "postgres": {"module": "storage.postgres", "options": {"dsn": dsn}},
        },
        "chains": {
            "main": {
                "links": ["tag", "paid", "hook"],
                "ingress_lists": ["in"],
                "storages": ["file", "postgres"],
                "egress_lists": ["out"],
                "concurrency": 200,
            }
        },
    }


@dataclass
class Lives:
    """What was under way at each kill, and which of that had its paid result written."""

    redis: RedisView
    receiver: WebhookReceiver
    pids: list[int] = field(default_factory=list)
    pending: list[set[str]] = field(default_factory=list)
    paid: list[set[str]] = field(default_factory=list)

    def ended(self, pid: int) -> None:
        """Look at what a killed process left: nothing changes any more before the next one."""
        left = self.redis.pending("in")
        assert len(left) >= IN_FLIGHT, f"{len(left)} in flight at kill {len(self.pids)}"
        self.pids.append(pid)
        self.pending.append(set(left))
        done = [self.redis.progress("in", entry) for entry in left]
        self.paid.append(
            {
                entry
                for entry, progress in zip(left, done, strict=True)
                if progress.get("next_link") == "hook" or progress.get("storages") is not None
            }
        )

        # The webhook comes after the paid link, whose result was written before.
        assert self.called() & self.pending[-1] <= self.paid[-1]

    def called(self) -> set[str]:
        return {entry_of(received) for received in self.receiver.received}

    def may_be_called(self, entry: str) -> int:
        """How often a link may have been called for an entry."""
        return 1 + sum(entry in left for left in self.pending)


@asynccontextmanager
async def posting(
    process_url: str, documents: dict[str, bytes]
) -> AsyncIterator[tuple[Sender, list[dict[str, bytes]]]]:
    step = -(-(COUNT - FIRST) // (KILLS - 1))
    items = list(documents.items())
    starts = [0, *range(FIRST, COUNT, step)]
    parts = [dict(items[a:b]) for a, b in zip(starts, [*starts[1:], COUNT], strict=True)]
    assert len(parts) == KILLS
    async with httpx.AsyncClient(base_url=process_url, timeout=30) as client:
        yield Sender(client), parts


async def test_twenty_kills_of_the_only_replica(
    tmp_path: Path, shared_data: Path, valkey_url: str, postgres_dsn: str
) -> None:
    rng = random.Random(SEED)
    print(f"seed {SEED}")  # noqa: T201  # shown when the test fails, as below
    documents = vcons(shared_data, COUNT)
    port = free_port()
    with webhook_receiver() as receiver, redis_view(valkey_url) as redis:
        config, lives = config_of(tmp_path, receiver, postgres_dsn), Lives(redis, receiver)

        def start() -> Any:
            return vconflow(tmp_path, config, port=port, REDIS_URL=valkey_url)

        async with posting(f"http://127.0.0.1:{port}", documents) as (sender, parts):
            posts: list[asyncio.Task[None]] = []
            for number, part in enumerate(parts):
                # Nothing gets through the first life: the first kill is to hit enough.
                receiver.default = Reply(delay=rng.uniform(0, 0.5) if number else 30)
                async with start() as process:
                    posts.append(asyncio.create_task(sender.post_all(part)))
                    await until(lambda: redis.pending_count("in") >= IN_FLIGHT)
                    await asyncio.sleep(rng.uniform(0, 0.5))
                    await process.die()
                lives.ended(process.process.pid)
            receiver.default = Reply()
            async with start() as process:
                await asyncio.gather(*posts)
                popped = await pop_everything(process, redis)
        check_outcome(lives, sender, receiver, popped, documents)
        check_payments(tmp_path / "paid", lives)
    assert {path.stem for path in (tmp_path / "files").rglob("*.json")} == documents.keys()
    assert await rows_of(postgres_dsn) == Counter(documents.keys())


async def test_kills_between_the_storages_and_the_ack(
    tmp_path: Path, shared_data: Path, valkey_url: str, postgres_dsn: str
) -> None:
    """A chain whose links may run again gives its vCons to the storages before Redis has them."""
    rng = random.Random(SEED)
    documents = vcons(shared_data, COUNT)
    items = list(documents.items())
    port = free_port()
    with webhook_receiver() as receiver, redis_view(valkey_url) as redis:
        config = config_of(tmp_path, receiver, postgres_dsn)
        slow = {"module": "vconflow.testing.slow_storage:SlowStorage", "options": {"seconds": 1.0}}
        config["storages"] |= {"slow": slow}
        config["chains"]["main"] |= {"links": ["tag"], "storages": [*config["storages"]]}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            sender, posts, left = Sender(client), list[asyncio.Task[None]](), []
            for start in range(0, COUNT, COUNT // 5):
                part = dict(items[start : start + COUNT // 5])
                async with vconflow(tmp_path, config, port=port, REDIS_URL=valkey_url) as process:
                    posts.append(asyncio.create_task(sender.post_all(part)))
                    await until(lambda: redis.pending_count("in") >= IN_FLIGHT / 2)
                    await asyncio.sleep(rng.uniform(0, 1))
                    await process.die()
                left.append(redis.pending_count("in"))
            async with vconflow(tmp_path, config, port=port, REDIS_URL=valkey_url) as process:
                await asyncio.gather(*posts)
                popped = await pop_everything(process, redis)
                finished = {uuid: (await client.get(f"/vcon/{uuid}")).content for uuid in documents}
        assert redis.dead("in") == []
        assert sender.accepted == popped.keys() == documents.keys()
        assert redis.ever_added("out") == redis.ever_added("in")
    assert min(left) > 0, "a kill hit nothing"
    assert [uuid for uuid in finished if Vcon(finished[uuid]).tags != ["seen:seen"]] == []
    files = {path.stem: path.read_bytes() for path in (tmp_path / "files").rglob("*.json")}
    assert files == finished
    assert await documents_of(postgres_dsn) == finished


async def pop_everything(process: VconflowProcess, redis: RedisView) -> Counter[str]:
    await until(lambda: redis.length("in") == 0, seconds=120)
    async with httpx.AsyncClient(base_url=process.url, timeout=30) as client:
        return Counter(await pop_all(client, "out", redis.ever_added("out")))


def check_outcome(
    lives: Lives,
    sender: Sender,
    receiver: WebhookReceiver,
    popped: Counter[str],
    documents: dict[str, bytes],
) -> None:
    redis = lives.redis
    assert redis.dead("in") == []
    assert sender.accepted == popped.keys() == documents.keys()
    # Each accepted entry was finished exactly once, however often its process died.
    assert redis.ever_added("out") == redis.ever_added("in")
    entries: dict[str, set[str]] = defaultdict(set)
    calls: Counter[str] = Counter()
    for received in receiver.received:
        entry = entry_of(received)
        calls[entry] += 1
        if len(received.body) == int(received.headers["content-length"]):  # else cut by a kill
            entries[Vcon(received.body).uuid].add(entry)
    # So it is at egress as often as it was accepted, and that only as often as it was sent.
    assert popped == Counter({uuid: len(ids) for uuid, ids in entries.items()})
    assert [uuid for uuid in popped if popped[uuid] > sender.sent[uuid]] == []
    assert [entry for entry in calls if calls[entry] > lives.may_be_called(entry)] == []
    print(  # noqa: T201
        f"posts repeated {sender.sent.total() - COUNT}, accepted twice {popped.total() - COUNT}, "
        f"webhook calls repeated {calls.total() - len(calls)}, "
        f"in flight at kills {sorted(map(len, lives.pending))}"
    )


def check_payments(path: Path, lives: Lives) -> None:
    """Nothing whose result was written is bought again, and nothing twice in one life."""
    lines = [line.split() for line in path.read_text().splitlines()]
    bought: dict[str, list[int]] = defaultdict(list)
    for pid, entry, _ in lines:
        bought[entry].append(lives.pids.index(int(pid)) if int(pid) in lives.pids else KILLS)
    for number, paid in enumerate(lives.paid):
        assert [entry for entry in paid if max(bought[entry]) > number] == []
    for entry, numbers in bought.items():
        assert len(set(numbers)) == len(numbers) <= lives.may_be_called(entry), (entry, numbers)
    print(f"paid calls repeated {len(lines) - len(bought)}")  # noqa: T201


def entry_of(received: Received) -> str:
    return received.headers["idempotency-key"].split(":")[1]


async def rows_of(dsn: str) -> Counter[str]:
    return Counter(str(row["id"]) for row in await selected(dsn, "SELECT id FROM vcons"))


async def documents_of(dsn: str) -> dict[str, bytes]:
    rows = await selected(dsn, "SELECT id, document FROM vcons")
    return {str(row["id"]): row["document"] for row in rows}


async def selected(dsn: str, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch(query))
    finally:
        await connection.close()
