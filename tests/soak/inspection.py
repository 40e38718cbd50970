"""What is really there: read from Redis, the tables and the folders, past vconflow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from vconflow.adapters.redis.keys import GROUP, Keys

from .cases import Cases
from .documents import Copy, Documents
from .options import INGRESS, LISTS, MIDDLE

__all__ = ["Dead", "Depth", "Inspector", "read_copies"]

_PAGE = 1000


@dataclass(frozen=True)
class Dead:
    """A dead letter; `reason` is its stage and the type of its error."""

    id: str
    uuid: str
    reason: str
    error: str


@dataclass(frozen=True)
class Depth:
    """Entries of a list, those of them that are pending, and its dead letters."""

    entries: int
    pending: int
    dead: int


@dataclass
class Inspector:
    """Looks into Redis on its socket, where no fault of the proxies reaches it."""

    redis: Redis
    dead_ever: dict[str, Dead] = field(default_factory=dict)
    memory: list[tuple[float, int]] = field(default_factory=list)

    async def collect_dead(self, cases: Cases) -> list[Dead]:
        """The dead letters there are, and note them for those that ever were."""
        found = [dead for name in (INGRESS, MIDDLE) async for dead in self._dead(name)]
        for dead in found:
            self.dead_ever[dead.id] = dead
            if case := cases.all.get(dead.uuid):
                case.was_dead = True
        return found

    async def collect_memory(self, now: float) -> None:
        """Take down how much Redis holds; nothing while it is away."""
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(2):
                info = await self.redis.info("memory")
            self.memory.append((now, int(info["used_memory"])))

    async def depths(self) -> dict[str, Depth]:
        """How full each list is."""
        return {name: await self._depth(name) for name in LISTS}

    async def waiting(self) -> set[str]:
        """The uuids of all entries that are still on a list."""
        return {uuid for name in LISTS async for uuid in self._uuids(name)}

    async def _depth(self, name: str) -> Depth:
        key = Keys().list(name)
        try:
            pending = (await self.redis.xpending(key, GROUP))["pending"]
        except RedisError:
            pending = 0  # nobody has read it yet
        return Depth(await self.redis.xlen(key), pending, await self.redis.xlen(Keys().dead(name)))

    async def _entries(self, key: str) -> AsyncIterator[tuple[bytes, dict[bytes, bytes]]]:
        after = "-"
        while page := await self._page(key, after):
            for item in page:
                yield item
            after = f"({page[-1][0].decode()}"

    async def _page(self, key: str, after: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
        page: Any = await self.redis.xrange(key, after, "+", _PAGE)
        return list(page)

    async def _uuids(self, name: str) -> AsyncIterator[str]:
        async for _, fields in self._entries(Keys().list(name)):
            yield fields[b"uuid"].decode()

    async def _dead(self, name: str) -> AsyncIterator[Dead]:
        async for entry, fields in self._entries(Keys().dead(name)):
            text = {key.decode(): value.decode(errors="replace") for key, value in fields.items()}
            reason = f"{text.get('stage')} {text.get('error_type')}"
            yield Dead(
                f"{name} {entry.decode()}",
                text.get("uuid", ""),
                reason,
                text.get("error", "")[:200],
            )


async def read_copies(
    folder: Path, dsn: str, cases: Cases, documents: Documents
) -> dict[str, dict[str, Copy]]:
    """What each storage holds, storage → uuid → copy."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT id::text, document FROM vcons")
    finally:
        await connection.close()
    found = {"postgres": [(row["id"], row["document"]) for row in rows]}
    for name in ("files", "archive"):
        found[name] = await asyncio.to_thread(_files, folder / name)
    return {
        storage: {
            uuid: documents.inspect(document, cases.all[uuid].template)
            for uuid, document in copies
            if uuid in cases.all
        }
        for storage, copies in found.items()
    }


def _files(folder: Path) -> list[tuple[str, bytes]]:
    return [(path.stem, path.read_bytes()) for path in folder.glob("*.json")]
