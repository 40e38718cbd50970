"""A storage of the reference's contract: `save(vcon_uuid, opts)` in a module, and `delete`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import ModuleType
from typing import Any, ClassVar, Self

from vconflow.adapters.modules import contract
from vconflow.adapters.modules.call import ModuleCall
from vconflow.adapters.modules.options import ModuleOptions
from vconflow.adapters.modules.returned import document_of
from vconflow.errors import PartialFailure
from vconflow.model.entry import StoredVcon
from vconflow.ports.component import Options, Resources
from vconflow.ports.modules import ModuleHost
from vconflow.ports.storage import Recall

__all__ = ["ModuleStorage"]

_AT_ONCE = 8
"""Calls of one storage under way: when it hangs, a batch must not take all threads there are."""


class ModuleStorage:
    """Calls `save` of a module in a thread for every vCon; the module sees that very revision.

    `get` of a module returns a dict, which says no more how the vCon was written: it is asked when
    nobody else has the vCon, and nothing relies on it. Which of two revisions is newer such a
    module cannot tell.
    """

    options: ClassVar[type[Options]] = ModuleOptions
    readable: ClassVar[bool] = False

    def __init__(self, module: ModuleType, values: dict[str, Any], host: ModuleHost) -> None:
        self._name = module.__name__
        self._save = module.save
        self._delete = contract.function_of(module, "delete")
        self._get = contract.function_of(module, "get")
        self.recall: Recall | None = None if self._get is None else self._recall
        self._values = values
        self._host = host
        self._free = asyncio.Semaphore(_AT_ONCE)

    @staticmethod
    def complaint_about(name: str) -> str:
        """Import the module; why it is no storage, empty when it is one."""
        return contract.complaint(name, "save", 2)

    @classmethod
    @asynccontextmanager
    async def open(cls, options: ModuleOptions, resources: Resources) -> AsyncIterator[Self]:
        """Import the module in a thread."""
        module, values = await contract.opened(options, resources.modules)
        yield cls(module, values, resources.modules)

    async def put(self, vcons: Sequence[StoredVcon]) -> None:
        """Save every vCon. Raises PartialFailure with what the module raised."""
        results = await asyncio.gather(*map(self._put_one, vcons), return_exceptions=True)
        failures = {
            vcon.uuid: result
            for vcon, result in zip(vcons, results, strict=True)
            if isinstance(result, Exception)
        }
        if failures:
            raise PartialFailure(failures)

    async def delete(self, uuid: str) -> bool:
        """Have the module delete it, if it can; whether it says that there was one."""
        if self._delete is None:
            return False
        return bool(await self._call(self._delete, ModuleCall(self._host, uuid)))

    async def _recall(self, uuid: str) -> bytes | None:
        """What the module has, encoded anew. Raises Permanent for what is no such vCon."""
        assert self._get is not None
        return document_of(await self._call(self._get, ModuleCall(self._host, uuid)), uuid)

    async def ping(self) -> None:
        """Nothing: the contract has no such call."""

    async def _put_one(self, vcon: StoredVcon) -> None:
        await self._call(self._save, ModuleCall(self._host, vcon.uuid, vcon.document))

    async def _call(self, function: Callable[..., Any], call: ModuleCall) -> object:
        work = partial(call.run, function, self._values, call.uuid)
        async with self._free:
            try:
                return await self._host.call(work, f"{self._name}.{function.__name__}")
            finally:
                call.end()
