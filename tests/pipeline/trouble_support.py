"""Work that can be held back, a client that does not give up, and the end of a process."""

import asyncio
import contextlib

from pipeline_support import Site

from vconflow.errors import Unavailable
from vconflow.model.vcon import Vcon
from vconflow.ports.link import CONTINUE, LinkRun, Outcome


class Gate:
    """A link that lets vCons through when the test says so."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.held = 0

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        self.held += 1
        vcon.add_tag("gate", "x")
        await self.open.wait()
        return CONTINUE


async def submit_until_accepted(it: Site, document: bytes) -> str:
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(Unavailable):
                return (await it.submit(document))[0]
            await asyncio.sleep(0.05)


async def killed(it: Site) -> None:
    """Stop everything of a replica at once, as the end of its process does."""
    await it.replica._supervisor.stop("leases")
    it.replica.consumer.stop()
    it.replica._reader.stop()
    for key in it.replica.consumer._owned.keys:
        it.replica.consumer._owned.cancel(key)
    await it.replica.generations.stop()
    it.replica.stopping = True
