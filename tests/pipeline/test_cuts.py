"""Connections cut and Redis killed at bad moments, between accept and ack."""

import asyncio
import random
from collections import Counter
from pathlib import Path

from pipeline_support import Site, site, step, unit, vcon

from vconflow.errors import Retryable
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.ports.link import CONTINUE, LinkRun, Outcome
from vconflow.testing import servers
from vconflow.testing.memory_storage import MemoryStorage
from vconflow.testing.tcp_proxy import Direction, tcp_proxy

CHAIN = Chain("main", (step("a"),), ("s",), ("in",), egress=("out",))


async def submit_all(it: Site, documents: list[bytes]) -> list[str]:
    """Submit one after the other; the uuids that were accepted."""
    accepted = []
    for document in documents:
        try:
            accepted.append((await it.ingest.accept(document, ("in",))).uuid)
        except Retryable:
            await asyncio.sleep(0.01)
    return accepted


async def entries_by_uuid(it: Site) -> Counter[str]:
    client = it.backend.connections.commands
    rows = await client.execute_command("XRANGE", "vconflow:list:in", "-", "+")
    return Counter(fields[1].decode() for _, fields in rows)


async def test_an_accept_cut_anywhere_is_done_once_or_refused(
    redis_url: str,
) -> None:
    """64 offsets of the request and of the reply: a 2xx means one entry, never two, never none."""
    path = redis_url.removeprefix("unix://").partition("?")[0]
    async with tcp_proxy(path) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}"
        async with site(url, Chain("main", lists=("in",), held="not read here"), start=False) as it:
            for number in range(128):
                document = vcon(subject="x" * 200)
                uuid = Vcon(document).uuid
                direction = Direction.REQUESTS if number % 2 else Direction.REPLIES
                proxy.cut_after(number // 2 * (24 if number % 2 else 1), direction)
                accepted = await submit_all(it, [document])
                proxy.restore()
                count = (await entries_by_uuid(it))[uuid]
                (found,) = await it.backend.documents.fetch([uuid])
                assert count == 1 if accepted else count <= 1
                assert (found.document is not None) == (count == 1)


async def test_commits_survive_connections_that_are_cut_all_the_time(redis_url: str) -> None:
    path = redis_url.removeprefix("unix://").partition("?")[0]
    rng = random.Random(7)
    async with tcp_proxy(path) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}"
        storages = {"s": unit("s", MemoryStorage())}
        async with site(url, CHAIN, storages=storages, lease=1.0) as it:
            done = asyncio.Event()

            async def cut_now_and_then() -> None:
                while not done.is_set():
                    await asyncio.sleep(rng.uniform(0.005, 0.05))
                    proxy.cut_after(rng.randrange(4000), rng.choice(list(Direction)))

            cutter = asyncio.create_task(cut_now_and_then())
            accepted = await submit_all(it, [vcon() for _ in range(300)])
            done.set()
            await cutter
            proxy.restore()
            await it.settled()
            popped = Counter(await it.popped())
        assert len(accepted) > 200
        assert set(accepted) <= set(popped)
        assert set(popped.values()) == {1}
        assert set(popped) == set(storages["s"].storage.vcons)  # type: ignore[attr-defined]
        assert await dead_count(redis_url) == 0


async def dead_count(url: str) -> int:
    async with site(url, CHAIN, start=False, storages={"s": unit("s", MemoryStorage())}) as it:
        return len(await it.dead())


async def test_what_was_accepted_outlives_a_killed_redis(tmp_path: Path) -> None:
    """kill -9 of Valkey under load, `appendfsync always`, restart: nothing accepted is missing."""

    async def slow(vcon: Vcon, run: LinkRun) -> Outcome:
        await asyncio.sleep(0.02)
        vcon.add_tag("slow", "x")
        return CONTINUE

    storages = {"s": unit("s", MemoryStorage())}
    chain = Chain("main", (step("slow", slow),), ("s",), ("in",), egress=("out",), concurrency=20)
    async with (
        servers.valkey(tmp_path, appendonly="yes", appendfsync="always") as server,
        site(server.url, chain, storages=storages, lease=1.0) as it,
    ):
        accepted: list[str] = []

        async def load() -> None:
            for _ in range(60):
                accepted.extend(await submit_all(it, [vcon() for _ in range(10)]))

        loads = [asyncio.create_task(load()) for _ in range(4)]
        for _ in range(2):
            await asyncio.sleep(0.3)
            before = len(accepted)
            server.kill()
            await asyncio.sleep(0.2)
            await server.start()
            assert before > 0
        await asyncio.gather(*loads)
        await it.settled()
        popped = await it.popped()
        assert set(accepted) <= set(popped)
        assert set(popped) <= set(it.memory["s"].vcons)
        assert await it.dead() == []
