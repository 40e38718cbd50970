"""A replica that stands still longer than its lease: others take over, and it writes nothing then.

A machine that swaps, a paused container, a debugger: the process knows nothing of it.
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from loading import bulk, vcons
from redis_view import RedisView, redis_view, until
from vconflow_process import VconflowProcess, pop_all, vconflow

from vconflow.testing.tcp_proxy import Direction, TcpProxy, tcp_proxy
from vconflow.testing.webhook_receiver import Reply, WebhookReceiver, webhook_receiver

COUNT = 200
CONCURRENCY = 60
LEASE = "1.5"


def config_of(folder: Path, receiver: WebhookReceiver) -> dict[str, Any]:
    hook = {"webhook-urls": [f"{receiver.url}/${{VCONFLOW_REPLICA}}"]}
    return {
        "links": {"hook": {"module": "links.webhook", "options": hook}},
        "storages": {
            "file": {"module": "storage.file", "options": {"path": str(folder / "files")}}
        },
        "chains": {
            "main": {
                "links": ["hook"],
                "ingress_lists": ["in"],
                "storages": ["file"],
                "egress_lists": ["out"],
                "concurrency": CONCURRENCY,
            }
        },
    }


@dataclass
class Stage:
    """`one`, which will freeze, reaches Redis through `proxy`; `two` takes over."""

    one: VconflowProcess
    two: VconflowProcess
    proxy: TcpProxy
    receiver: WebhookReceiver
    redis: RedisView
    documents: dict[str, bytes]

    async def begin(self) -> None:
        """Post everything, and let `one` be in the middle of as much as it can."""
        await bulk(self.one.url, self.documents)
        await until(lambda: self.called("/one") >= CONCURRENCY)

    def called(self, path: str) -> int:
        return sum(call.path == path for call in self.receiver.received)

    async def taken_over(self) -> None:
        await until(lambda: not self.redis.pending("in", "one"))

    async def finished(self) -> Counter[str]:
        """What came out. Nothing may follow later."""
        await until(lambda: self.redis.length("in") == 0)
        async with httpx.AsyncClient(base_url=self.two.url, timeout=30) as client:
            return Counter(await pop_all(client, "out", self.redis.length("out")))

    def check(self, popped: Counter[str], folder: Path) -> None:
        assert popped == Counter(self.documents.keys())
        assert self.redis.ever_added("out") == len(self.documents)
        assert self.redis.dead("in") == []
        assert {path.stem for path in (folder / "files").rglob("*.json")} == popped.keys()

    def repeated(self) -> int:
        """Webhook calls beyond the first of each entry."""
        calls = Counter(call.headers["idempotency-key"] for call in self.receiver.received)
        return calls.total() - len(calls)


@asynccontextmanager
async def staged(folder: Path, shared_data: Path, url: str) -> AsyncIterator[Stage]:
    with webhook_receiver() as receiver, redis_view(url) as redis:
        async with tcp_proxy(url.removeprefix("unix://")) as proxy:
            proxied = f"redis://127.0.0.1:{proxy.port}"

            def start(name: str, address: str) -> Any:
                config = config_of(folder, receiver)
                return vconflow(
                    folder, config, name, REDIS_URL=address, VCONFLOW_LEASE_SECONDS=LEASE
                )

            async with start("one", proxied) as one, start("two", url) as two:
                documents = vcons(shared_data, COUNT)
                yield Stage(one, two, proxy, receiver, redis, documents)
                proxy.restore()


async def test_a_frozen_replica_wakes_up_after_others_did_its_work(
    tmp_path: Path, shared_data: Path, valkey_url: str
) -> None:
    async with staged(tmp_path, shared_data, valkey_url) as stage:
        stage.receiver.default = Reply(delay=0.3)
        await stage.begin()
        stage.one.freeze()
        frozen_with = len(stage.redis.pending("in", "one"))
        await stage.taken_over()
        await until(lambda: stage.redis.length("in") == 0)
        stage.one.wake()
        # It may find out in the middle of anything, and goes on with what is new.
        await bulk(stage.two.url, vcons(shared_data, COUNT + CONCURRENCY * 3))
        popped = await stage.finished()
        assert popped == Counter(stage.documents.keys()) + Counter(
            vcons(shared_data, COUNT + CONCURRENCY * 3).keys()
        )
        assert stage.redis.dead("in") == []
        assert 0 < stage.repeated() <= frozen_with
        assert {"/one", "/two"} == {call.path for call in stage.receiver.received[-100:]}
        assert (await stage.one.terminate(), await stage.two.terminate()) == (0, 0)


@pytest.mark.parametrize("direction", list(Direction))
async def test_frozen_while_its_commits_are_on_the_wire(
    tmp_path: Path, shared_data: Path, valkey_url: str, direction: Direction
) -> None:
    """Commits that reach Redis after the takeover write nothing; answers that come late count."""
    async with staged(tmp_path, shared_data, valkey_url) as stage:
        stage.receiver.default = Reply(fault="hang")
        await stage.begin()
        stage.proxy.stall(direction)
        stage.receiver.release()
        # The first commits are written, or about to be; the rest waits for their answers.
        await until(lambda: count_of(tmp_path / "files") >= 1 or direction is Direction.REQUESTS)
        stage.one.freeze()
        frozen_with = len(stage.redis.pending("in", "one"))
        await stage.taken_over()
        await until(lambda: stage.redis.length("in") == 0)
        stage.proxy.restore()
        await until(lambda: stage.proxy.open_connections > 0)
        stage.one.wake()
        await bulk(stage.two.url, vcons(shared_data, COUNT))
        popped = await stage.finished()
        assert popped == Counter(dict.fromkeys(stage.documents, 2))
        assert stage.redis.dead("in") == []
        assert 0 < stage.repeated() <= frozen_with
        assert (await stage.one.terminate(), await stage.two.terminate()) == (0, 0)


async def test_another_process_has_its_name_by_then(
    tmp_path: Path, shared_data: Path, valkey_url: str
) -> None:
    """A container that was paused while its replacement came up: the late one has to stop."""
    async with staged(tmp_path, shared_data, valkey_url) as stage:
        stage.receiver.default = Reply(delay=0.3)
        await stage.begin()
        stage.one.freeze()
        await stage.taken_over()
        config = config_of(tmp_path, stage.receiver)
        environment = {"REDIS_URL": valkey_url, "VCONFLOW_LEASE_SECONDS": LEASE}
        async with vconflow(
            tmp_path / "again", config, "again", VCONFLOW_REPLICA="one", **environment
        ) as again:
            stage.one.wake()
            assert await stage.one.ended() == 1
            popped = await stage.finished()
            stage.check(popped, tmp_path)
            assert "holds the name" in stage.one.log.read_text()
            assert await again.terminate() == 0


def count_of(folder: Path) -> int:
    return sum(1 for _ in folder.rglob("*.json"))
