"""The webhook of the first chain: takes note of everything, refuses some, and has bad moments."""

import asyncio
import time
from collections.abc import Callable
from random import Random

import msgspec

from vconflow.testing.webhook_receiver import Received, Reply

from .cases import Cases
from .options import WEBHOOK_TIMEOUT

__all__ = ["Webhook"]


class _Head(msgspec.Struct):
    uuid: str


_head = msgspec.json.Decoder(_Head).decode


class Webhook:
    """Decides each reply, in the threads of the receiver; `mood` is the fault that is on.

    `on_met` is called in the event loop with a uuid whose case wants a change or a deletion, while
    its answer is held back.
    """

    def __init__(self, cases: Cases, seed: int, on_met: Callable[[str], None]) -> None:
        self._cases = cases
        self._random = Random(seed)
        self._on_met = on_met
        self._loop = asyncio.get_running_loop()
        self.mood = ""

    def decide(self, received: Received) -> Reply:
        """How to answer; what is answered with 2xx is noted."""
        case = self._cases.all.get(_head(received.body).uuid)
        if case is None:
            self._cases.problem("the webhook got a vCon that nobody sent")
            return Reply()
        if self.mood and self._random.random() < 0.8:
            return self._misbehave()
        if case.is_poisoned:
            case.refusals += 1
            return Reply(400)
        delay = self._random.uniform(0.0, 0.05)
        if case.wish and not case.met:
            # Long enough for the change to fall into the run of the chain.
            delay += self._random.uniform(0.1, 0.8)
            case.met = True
            self._loop.call_soon_threadsafe(self._on_met, case.uuid)
        entry = received.headers.get("idempotency-key", "")
        case.hooks.setdefault(entry, []).append(time.monotonic() + delay)
        return Reply(delay=delay)

    def _misbehave(self) -> Reply:
        match self.mood:
            case "webhook hangs":
                return Reply(delay=WEBHOOK_TIMEOUT + 1)
            case "webhook resets":
                return Reply(fault="reset")
            case "webhook answers 429":
                return Reply(429, {"Retry-After": str(self._random.randint(1, 3))})
            case _:
                return Reply(500)
