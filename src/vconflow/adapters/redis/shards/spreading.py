"""Doing one thing on many shards at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

__all__ = ["each", "raise_first", "settled", "spread"]

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


async def settled(calls: Iterable[Awaitable[ResultT]]) -> list[ResultT | Exception]:
    """Results and errors, when all have ended: what has begun on one shard comes to its end."""
    outcomes: list[ResultT | Exception] = []
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
            raise outcome
        outcomes.append(outcome)
    return outcomes


async def each(calls: Iterable[Awaitable[ResultT]]) -> list[ResultT]:
    """All results; raises the first error when all have ended."""
    return raise_first(await settled(calls))


def raise_first(outcomes: Sequence[ResultT | Exception]) -> list[ResultT]:
    """The results, if there is no error among them."""
    results = []
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
        results.append(outcome)
    return results


async def spread(
    items: Sequence[ItemT],
    shard_of: Callable[[ItemT], int],
    call: Callable[[int, list[ItemT]], Awaitable[Sequence[ResultT | Exception]]],
) -> list[ResultT | Exception]:
    """Give each shard its items; one result per item, or the error of its shard."""
    places: dict[int, list[int]] = {}
    for position, item in enumerate(items):
        places.setdefault(shard_of(item), []).append(position)
    calls = [call(shard, [items[it] for it in chosen]) for shard, chosen in places.items()]
    found: dict[int, ResultT | Exception] = {}
    for chosen, outcome in zip(places.values(), await settled(calls), strict=True):
        replies = [outcome] * len(chosen) if isinstance(outcome, Exception) else outcome
        found.update(zip(chosen, replies, strict=True))
    return [found[position] for position in range(len(items))]
