"""A real `vconflow serve` in a process of its own, with the links of this folder at hand."""

import asyncio
import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx

from vconflow.testing import service_process
from vconflow.testing.service_process import ServiceProcess as VconflowProcess

__all__ = ["MODULES", "VconflowProcess", "launched", "pop_all", "vconflow"]

MODULES = Path(__file__).parent / "troublemakers"
"""Links that a configuration names as `package.module:Class`."""


def vconflow(
    folder: Path, config: Mapping[str, Any], name: str = "one", port: int = 0, **environment: str
) -> AbstractAsyncContextManager[VconflowProcess]:
    """See `service_process.service`."""
    return service_process.service(folder, config, name, port, **_with_modules(environment))


def launched(
    folder: Path, config: Mapping[str, Any], name: str = "one", port: int = 0, **environment: str
) -> AbstractAsyncContextManager[VconflowProcess]:
    """See `service_process.launched`."""
    return service_process.launched(folder, config, name, port, **_with_modules(environment))


def _with_modules(environment: dict[str, str]) -> dict[str, str]:
    found = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(MODULES))))
    return {"PYTHONPATH": found, **environment}


async def pop_all(
    client: httpx.AsyncClient, name: str, count: int, seconds: float = 60
) -> list[str]:
    """Pop an egress list in small bites until `count` uuids came."""
    popped: list[str] = []
    async with asyncio.timeout(seconds):
        while len(popped) < count:
            reply = await client.get("/vcon/egress", params={"egress_list": name, "limit": 17})
            reply.raise_for_status()
            popped += reply.json()
            if not reply.json():
                await asyncio.sleep(0.02)
    return popped
