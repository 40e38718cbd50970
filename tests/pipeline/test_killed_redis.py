"""Redis killed under load, between accept and ack."""

import asyncio
from pathlib import Path

from cuts_support import open_work
from pipeline_support import site, step, unit, vcon

from vconflow.errors import Retryable
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.ports.link import CONTINUE, LinkRun, Outcome
from vconflow.testing import servers
from vconflow.testing.memory_storage import MemoryStorage


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
        enough = asyncio.Event()

        async def load() -> None:
            while not enough.is_set():
                try:
                    accepted.extend(await it.submit(vcon()))
                except Retryable:
                    await asyncio.sleep(0.01)

        # So many that two batches are under way, and a third gathers.
        loads = [asyncio.create_task(load()) for _ in range(60)]
        for _ in range(2):
            await asyncio.sleep(0.3)
            before = len(accepted)
            server.kill()
            await asyncio.sleep(0.2)
            await server.start()
            async with asyncio.timeout(20):
                while len(accepted) < before + 100:
                    await asyncio.sleep(0.01)
        enough.set()
        await asyncio.gather(*loads)
        await it.settled()
        popped = await it.popped()
        assert set(accepted) <= set(popped)
        assert set(popped) <= set(it.memory["s"].vcons)
        assert await it.dead() == []
        client = it.backend.connections.commands
        assert await client.execute_command("KEYS", "vconflow:run:*") == []
        for uuid in accepted[::10]:
            assert await open_work(client, uuid) == (0, 0)
            assert Vcon(it.memory["s"].vcons[uuid].document).tags == ["slow:x"]
