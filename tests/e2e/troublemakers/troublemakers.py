"""Links of a stranger that do harm, and say in a file what they were called for."""

import asyncio
import os
import random
import resource
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from msgspec import Meta

from vconflow.model.vcon import Vcon
from vconflow.ports.component import Options, Resources
from vconflow.ports.link import CONTINUE, LinkRun, Outcome

POISON = "poison"


class CountedOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    calls: Annotated[Path, Meta(description="The file that gets a line for every call.")]
    seconds: float = 0.0


class PaidLink:
    """Costs money: one line in `calls` is one payment. Takes up to `seconds`."""

    options: ClassVar[type[Options]] = CountedOptions
    paid = True

    def __init__(self, options: CountedOptions) -> None:
        self._seconds = options.seconds
        # One write per line: what a killed process has written is whole.
        self._calls = os.open(options.calls, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    @classmethod
    @asynccontextmanager
    async def open(cls, options: CountedOptions, resources: Resources) -> AsyncIterator[Self]:
        link = cls(options)
        try:
            yield link
        finally:
            os.close(link._calls)

    def note(self, vcon: Vcon, run: LinkRun) -> None:
        os.write(self._calls, f"{os.getpid()} {run.entry} {vcon.uuid}\n".encode())

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        self.note(vcon, run)
        await asyncio.sleep(random.uniform(0, self._seconds))
        vcon.add_tag("paid", "bought")
        return CONTINUE


class PoisonOptions(CountedOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    how: Literal["block", "kill", "memory", "exit", "nonsense"]
    after: float = 0.2


class PoisonLink(PaidLink):
    """Works for `seconds`; a vCon whose subject is `poison` does harm after `after` seconds."""

    options: ClassVar[type[Options]] = PoisonOptions
    paid = False

    def __init__(self, options: PoisonOptions) -> None:
        super().__init__(options)
        self._after = options.after
        self._harm = getattr(self, f"_{options.how}")

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        self.note(vcon, run)
        if vcon.subject != POISON:
            await asyncio.sleep(self._seconds)
            return CONTINUE
        await asyncio.sleep(self._after)
        harm: Outcome = self._harm()
        return harm

    @staticmethod
    def _block() -> Outcome:
        time.sleep(3600)
        return CONTINUE

    @staticmethod
    def _kill() -> Outcome:
        os.kill(os.getpid(), signal.SIGKILL)
        return CONTINUE

    @staticmethod
    def _memory() -> Outcome:
        """Take more than there is, as a huge attachment does."""
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), hard))
        try:
            bytearray(1 << 30)
            return CONTINUE
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

    @staticmethod
    def _exit() -> Outcome:
        raise SystemExit("enough")

    @staticmethod
    def _nonsense() -> object:
        return {"outcome": "fine"}
