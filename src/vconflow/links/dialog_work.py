"""Work on many dialogs at a time, so that what goes well for some is not lost with the rest."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from vconflow.errors import Permanent, Retryable, Unavailable
from vconflow.ports.failures import Failure, joined, located

__all__ = ["for_each_dialog"]

T = TypeVar("T")


async def for_each_dialog(
    work: Callable[[int, T], Awaitable[None]], dialogs: Mapping[int, T], most: int
) -> None:
    """Do the work for every dialog, given by its index, for at most `most` at a time.

    When all have ended it raises what failed, naming each dialog: Retryable if trying again can
    help any of them. Trouble of our own, an outage of Redis above all, goes first as it is.
    """
    slots = asyncio.Semaphore(most)

    async def attempt(index: int, dialog: T) -> None:
        async with slots:
            try:
                await work(index, dialog)
            except Unavailable:
                raise
            except (Retryable, Permanent) as failure:
                raise located(failure, f"dialog[{index}]") from failure
            except OSError as error:
                # The name of a file says nothing to anybody.
                reason = f"{type(error).__name__}: {error.strerror or 'failed'}"
                raise Retryable(f"dialog[{index}]: {reason}") from error

    tries = (attempt(index, dialog) for index, dialog in dialogs.items())
    failures: list[Failure] = []
    for result in await asyncio.gather(*tries, return_exceptions=True):
        if isinstance(result, Retryable | Permanent) and not isinstance(result, Unavailable):
            failures.append(result)
        elif result is not None:
            raise result
    if failures:
        raise joined(failures, "; ".join(map(str, failures)))
