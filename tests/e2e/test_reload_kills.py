"""Changes of the configuration over HTTP, and kill -9 in the middle of them.

Every change names other values for the same links, another folder for one storage and another
batch size for the other, so that each opens and closes something.
"""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from loading import JSON, Sender, vcons
from redis_view import redis_view, until
from vconflow_process import pop_all, vconflow

from vconflow.testing.servers import free_port

COUNT = 600
LIVES = 4


def config_of(folder: Path, number: int) -> dict[str, Any]:
    # What comes over HTTP may name folders below those of the file, which has number 0.
    changing = folder / "changing" / str(number % 3) if number else folder / "changing"
    tags = [f"first:{number}", f"number:{number}"]
    return {
        "links": {
            "tag": {"module": "links.tag", "options": {"tags": tags}},
            "delay": {"module": "links.delay", "options": {"seconds": 0.01}},
        },
        "storages": {
            "file": {"module": "storage.file", "options": {"path": str(folder / "files")}},
            "changing": {
                "module": "storage.file",
                "options": {"path": str(changing)},
            },
        },
        "chains": {
            "main": {
                "links": ["tag", "delay"],
                "ingress_lists": ["in", "more"] if number % 2 else ["in"],
                "storages": ["file", "changing"],
                "egress_lists": ["out"],
                "concurrency": 5 + number % 7,
            }
        },
    }


class Changes:
    """Posts one configuration after the other, whoever answers; `done` counts those that took."""

    def __init__(self, client: httpx.AsyncClient, folder: Path) -> None:
        self._client, self._folder = client, folder
        self.number = 0
        self.done = 0

    async def go_on(self) -> None:
        while True:
            self.number += 1
            try:
                reply = await self._client.post(
                    "/config", json=config_of(self._folder, self.number), headers=JSON
                )
            except httpx.TransportError:
                await asyncio.sleep(0.05)
                continue
            assert reply.status_code in (200, 204, 409, 503), reply.text
            self.done += reply.status_code < 300


async def test_nothing_is_lost_by_changes_and_kills(
    tmp_path: Path, valkey_url: str, shared_data: Path
) -> None:
    port, config = free_port(), config_of(tmp_path, 0)
    documents = vcons(shared_data, COUNT)
    url = f"http://127.0.0.1:{port}"
    settings = {"REDIS_URL": valkey_url, "VCONFLOW_LEASE_SECONDS": "3"}
    with redis_view(valkey_url) as view:
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            sender, changes = Sender(client), Changes(client, tmp_path)
            async with asyncio.TaskGroup() as group:
                changing = group.create_task(changes.go_on())
                sending = group.create_task(sender.post_all(documents))
                for life in range(LIVES):
                    async with vconflow(tmp_path, config, port=port, **settings) as process:
                        before = changes.done
                        await until(lambda at=before: changes.done >= at + 5, 60)
                        if life < LIVES - 1:
                            await process.die()
                            continue
                        await sending
                        changing.cancel()
                        await until(lambda: not view.length("in"), 60)
                        popped = await pop_all(client, "out", view.length("out"))
        assert set(popped) == set(documents)
        # Only what a client had to send again may be there twice.
        assert all(times <= sender.sent[uuid] for uuid, times in Counter(popped).items())
        assert not view.dead("in") + view.dead("more")
    stored = {path.stem for path in (tmp_path / "files").rglob("*.json")}
    assert stored == set(documents)
    assert changes.done >= 5 * LIVES
