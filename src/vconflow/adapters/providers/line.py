"""The way to one account: so many calls at a time, each timed, counted and priced."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from vconflow.adapters.providers.prices import Prices
from vconflow.errors import Overloaded, Permanent, Retryable
from vconflow.ports.time_left import seconds_left
from vconflow.ports.usage import Usage
from vconflow.telemetry import events

__all__ = ["Line"]


class Line:
    """Shared by all who use the account; `limit` is how many calls may be under way at once."""

    def __init__(self, provider: str, limit: int, prices: Prices) -> None:
        self.provider = provider
        self._slots = asyncio.Semaphore(limit)
        self._prices = prices

    @asynccontextmanager
    async def call(self, model: str, timeout: float) -> AsyncIterator[None]:
        """Wait for a slot and make a call inside, of `timeout` seconds at most.

        Raises Retryable when that time is over. Waiting for the slot is not counted. Raises
        Overloaded when it takes so long that the link might be ended in the middle of the call.
        """
        async with self._slot(timeout):
            started, outcome = time.perf_counter(), "completed"
            try:
                async with asyncio.timeout(timeout):
                    yield
            except TimeoutError:
                outcome = "retryable"
                raise Retryable(f"{self.provider}: no answer in {timeout:g} s") from None
            except BaseException as error:
                outcome = _word(error)
                raise
            finally:
                seconds = time.perf_counter() - started
                events.provider_called(self.provider, model, outcome, seconds)

    @asynccontextmanager
    async def _slot(self, timeout: float) -> AsyncIterator[None]:
        left = seconds_left() if self._slots.locked() else None
        try:
            async with asyncio.timeout(None if left is None else max(left - timeout, 0.0)):
                await self._slots.acquire()
        except TimeoutError:
            message = f"{self.provider}: as many calls as may be at once are under way"
            raise Overloaded(message) from None
        try:
            yield
        finally:
            self._slots.release()

    def bill(self, model: str, usage: Usage) -> Usage:
        """Put the price to what a call used, and count both by the model that was asked for."""
        priced = msgspec.structs.replace(usage, cost=self._prices.cost(usage, model))
        events.provider_used(
            priced.provider,
            model,
            input_tokens=priced.input_tokens,
            output_tokens=priced.output_tokens,
            audio_seconds=priced.audio_seconds,
            cost=priced.cost,
        )
        return priced


def _word(error: BaseException) -> str:
    match error:
        case Retryable():
            return "retryable"
        case Permanent():
            return "permanent"
        case asyncio.CancelledError():
            return "cancelled"
        case _:
            return "failed"
