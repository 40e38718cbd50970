"""A whole server in this process, and single links and storages, that run modules."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from vconflow.adapters.modules.host import Host
from vconflow.adapters.modules.link import ModuleLink
from vconflow.adapters.modules.options import ModuleOptions
from vconflow.adapters.modules.threads import Threads, open_threads
from vconflow.app.opening import App, open_app
from vconflow.config import parse
from vconflow.model.identifiers import new_uuid
from vconflow.model.validation import validate
from vconflow.model.vcon import Vcon
from vconflow.ports.component import Resources
from vconflow.ports.link import LinkRun, Outcome
from vconflow.settings import Settings
from vconflow.testing.contracts.resources import resources_for

JSON = {"content-type": "application/json"}


def document_of(uuid: str = "", **members: Any) -> bytes:
    """A small vCon in the old form."""
    document = {
        "vcon": "0.0.1",
        "uuid": uuid or new_uuid(),
        "created_at": "2025-03-21T06:59:56Z",
        "parties": [{"tel": "+15550100", "name": "Zoë 👋"}],
        "dialog": [{"type": "text", "start": "2025-03-21T06:59:56Z", "body": "hi"}],
        "analysis": [],
        "attachments": [],
        **members,
    }
    return json.dumps(document, ensure_ascii=False).encode()


async def until(condition: Callable[[], object]) -> None:
    """Wait for something to become true. Raises TimeoutError."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


@dataclass
class Desk:
    """The server's vCons in memory; `lists` is what was put where."""

    documents: dict[str, bytes] = field(default_factory=dict)
    lists: list[tuple[str, str]] = field(default_factory=list)

    async def get(self, uuid: str) -> bytes | None:
        await asyncio.sleep(0)
        return self.documents.get(uuid)

    async def save(self, document: bytes) -> str:
        uuid = validate(document).uuid
        self.documents[uuid] = document
        return uuid

    async def enqueue(self, uuid: str, list_name: str) -> bool:
        self.lists.append((list_name, uuid))
        return uuid in self.documents


@dataclass
class Bench:
    """Threads, the vCons of a server, and what components are opened with."""

    threads: Threads
    desk: Desk
    resources: Resources

    async def run(
        self, module: str, vcon: Vcon, run: LinkRun | None = None, **options: Any
    ) -> Outcome:
        """One run of a module as a link."""
        opened = ModuleLink.open(ModuleOptions(module=module, values=options), self.resources)
        async with opened as link:
            return await link(vcon, run or LinkRun("theirs", "main", "in", "1-0"))


@asynccontextmanager
async def bench(folder: Path, *, most: int = 8, most_stuck: int = 4) -> AsyncIterator[Bench]:
    async with open_threads(most, most_stuck) as threads:
        desk = Desk()
        host = Host(threads, desk)
        resources = replace(resources_for(folder), documents=desk, modules=host)
        yield Bench(threads, desk, resources)


@dataclass
class Served:
    """A running server and a client of it."""

    app: App
    client: httpx.AsyncClient

    async def post(self, *documents: bytes, to: str = "in") -> None:
        for document in documents:
            reply = await self.client.post(
                "/vcon", params={"ingress_lists": to}, content=document, headers=JSON
            )
            assert reply.status_code == 201, reply.text

    async def popped(self, count: int, name: str = "out") -> list[str]:
        """Pop an egress list until so many came."""
        found: list[str] = []
        async with asyncio.timeout(30):
            while len(found) < count:
                params = {"egress_list": name, "limit": 1000}
                found += (await self.client.get("/vcon/egress", params=params)).json()
                await asyncio.sleep(0.005)
        return found

    async def dead(self, count: int = 1, name: str = "in") -> list[dict[str, Any]]:
        """Wait for so many dead letters of a list."""
        async with asyncio.timeout(30):
            while True:
                reply = await self.client.get("/dead-letters", params={"list": name})
                letters: list[dict[str, Any]] = reply.json()["dead_letters"]
                if len(letters) >= count:
                    return letters
                await asyncio.sleep(0.01)

    async def settled(self, *lists: str) -> None:
        """Wait until nothing waits or is pending on the lists."""
        async with asyncio.timeout(30):
            while True:
                depths = await self.app.backend.stream.depth(lists or ("in",))
                if not any(depth.waiting + depth.pending for depth in depths.values()):
                    return
                await asyncio.sleep(0.01)

    async def vcon(self, uuid: str) -> Vcon:
        reply = await self.client.get(f"/vcon/{uuid}")
        assert reply.status_code == 200, reply.text
        return Vcon(reply.content)


@asynccontextmanager
async def served(
    folder: Path,
    redis_url: str,
    config: dict[str, Any],
    file: Path | None = None,
    **environment: str,
) -> AsyncIterator[Served]:
    """The application as `vconflow serve` opens it; `file` is where the configuration is."""
    settings = Settings.load(
        {"VCONFLOW_DATA_DIR": str(folder), "VCONFLOW_GRACE_SECONDS": "1", **environment}
    )
    read = await asyncio.to_thread(parse, json.dumps(config), {})
    async with open_app(read, settings, redis_url=redis_url, config_file=file) as app:
        transport = httpx.ASGITransport(app.asgi)
        async with httpx.AsyncClient(transport=transport, base_url="http://v") as client:
            yield Served(app, client)


def chain_of(*links: str, **more: Any) -> dict[str, Any]:
    """A chain from `in` to `out`."""
    return {"links": list(links), "ingress_lists": ["in"], "egress_lists": ["out"], **more}
