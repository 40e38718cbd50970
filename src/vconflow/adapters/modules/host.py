"""What this process lends to modules of the reference's contract."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from vconflow.adapters.modules.threads import Threads

__all__ = ["Host", "VconDesk"]

ResultT = TypeVar("ResultT")


class VconDesk(Protocol):
    """The vCons of the server, by uuid; see `ports.modules.ModuleHost`."""

    async def get(self, uuid: str) -> bytes | None: ...
    async def save(self, document: bytes) -> str: ...
    async def enqueue(self, uuid: str, list_name: str) -> bool: ...


@dataclass(frozen=True)
class Host:
    """Implements `ports.modules.ModuleHost`."""

    threads: Threads
    vcons: VconDesk

    async def call(self, work: Callable[[], ResultT], what: str) -> ResultT:
        return await self.threads.call(work, what)

    async def get(self, uuid: str) -> bytes | None:
        return await self.vcons.get(uuid)

    async def save(self, document: bytes) -> str:
        return await self.vcons.save(document)

    async def enqueue(self, uuid: str, list_name: str) -> bool:
        return await self.vcons.enqueue(uuid, list_name)
