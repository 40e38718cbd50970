"""One chain and its list: filling the list, emptying it, and counting what came through."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import httpx
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from benchmarks.harness.cpu import CpuMeter
from benchmarks.harness.documents import SIZE, fresh
from benchmarks.harness.figures import Options, Sample
from benchmarks.harness.load import post, sample_of
from benchmarks.harness.processes import Server, Service

__all__ = [
    "PATH",
    "TAG",
    "accepted",
    "below",
    "chain_config",
    "completed",
    "echoed",
    "emptied",
    "fill",
    "forget",
    "passed",
    "settled",
    "switch",
    "waiting",
]

_LIST = "in"
_CHAIN = "main"
PATH = f"/vcon?ingress_lists={_LIST}"
TAG: tuple[str, dict[str, object]] = ("links.tag", {"tags": {"source": "benchmark"}})
"""The link of most flows: the least that changes a vCon."""

_PATIENCE_SECONDS = 30.0
"""How long nothing may be completed although something is left."""
_LOOK_SECONDS = 0.005
_LOOK_SECONDS_PER_LIST = 0.0005
_TIMEOUT = 120.0
_OF_VCONS = (
    b"vcon:",
    b"vcons",
    b"tel:",
    b"mailto:",
    b"name:",
    b"vconflow:vcon:",
    b"vconflow:history:",
)


def chain_config(link: str, options: dict[str, object], **chain: object) -> dict[str, object]:
    """A configuration of one chain with one link."""
    return {
        "links": {"link": {"module": link, "options": options}},
        "chains": {_CHAIN: {"links": ["link"], "ingress_lists": [_LIST], **chain}},
    }


async def echoed(server: Server, seconds: float, options: Options, *, size: int = SIZE) -> Sample:
    """The rate at which a server answers."""
    meter = CpuMeter(server.pids)
    return sample_of(await post(server.url, PATH, seconds, options, size=size), meter)


async def passed(
    service: Service,
    seconds: float,
    options: Options,
    *,
    lists: Sequence[str] = (_LIST,),
    size: int = SIZE,
) -> Sample:
    """POST for so long, wait until the chains are done with all of it: vCons over all that time.

    The vCons go to the lists by turns. Raises RuntimeError when one ended in any other way than
    completed.
    """
    before, meter = await completed(service), CpuMeter(service.pids)
    paths = [f"/vcon?ingress_lists={name}" for name in lists]
    load = await post(service.url, paths, seconds, options, size=size)
    sent = time.perf_counter()
    await emptied(service, lists)
    elapsed, spent = load.seconds + time.perf_counter() - sent, meter.each(1)
    await settled(service)
    done = await completed(service) - before
    if done < load.requests:
        raise RuntimeError(f"{load.requests} were accepted, but {done} came through")
    # Requests under way when the load ended count too: they were worked on as well.
    cpu = {name: cost / done for name, cost in spent.items()}
    return Sample(done / elapsed, load.p50_ms, load.p99_ms, cpu)


async def emptied(service: Service, lists: Sequence[str] = (_LIST,)) -> None:
    """Wait until the lists are empty, looking so seldom that it costs next to nothing."""
    last = (time.perf_counter(), -1)
    while left := sum([await waiting(service, name) for name in lists]):
        if left != last[1]:
            last = (time.perf_counter(), left)
        elif time.perf_counter() - last[0] > _PATIENCE_SECONDS:
            raise RuntimeError(f"nothing moves any more, {left} are on the lists")
        await asyncio.sleep(max(_LOOK_SECONDS, _LOOK_SECONDS_PER_LIST * len(lists)))


async def below(service: Service, number: int) -> int:
    """Wait until there are fewer entries on the list; how many."""
    give_up = time.perf_counter() + _PATIENCE_SECONDS
    while (left := await waiting(service)) >= number:
        if time.perf_counter() > give_up:
            raise RuntimeError(f"nothing moves any more, {left} are on the list")
        await asyncio.sleep(_LOOK_SECONDS)
    return left


async def settled(service: Service) -> None:
    """Wait until everything accepted is completed."""
    last = (time.perf_counter(), -1)
    while True:
        # In this order: what is accepted in between is waited for too.
        done = await completed(service)
        number = await accepted(service)
        if done >= number:
            return
        if done != last[1]:
            last = (time.perf_counter(), done)
        elif time.perf_counter() - last[0] > _PATIENCE_SECONDS:
            raise RuntimeError(f"{number} were accepted, but only {done} completed")
        await asyncio.sleep(0.02)


async def switch(service: Service, what: str) -> None:
    """`pause` or `resume` the chain."""
    async with httpx.AsyncClient(base_url=service.url, timeout=_TIMEOUT) as client:
        (await client.post(f"/chains/{_CHAIN}/{what}")).raise_for_status()


async def fill(service: Service, number: int, *, size: int = SIZE) -> None:
    """Put so many vCons on the list by a bulk load."""

    async def lines() -> AsyncIterator[bytes]:
        for _, document in fresh(number, size):
            yield document + b"\n"

    headers = {"content-type": "application/x-ndjson"}
    async with httpx.AsyncClient(base_url=service.url, timeout=_TIMEOUT) as client:
        reply = await client.post(f"/vcons?ingress_lists={_LIST}", content=lines(), headers=headers)
    if reply.raise_for_status().json()["accepted"] != number:
        raise RuntimeError(f"a bulk load of {number} was not accepted whole: {reply.text[:500]}")


async def waiting(service: Service, name: str = _LIST) -> int:
    """Entries on a list that are not finished."""
    return int(await service.redis.execute_command("XLEN", _stream(name)))


async def forget(service: Service) -> None:
    """Take all vCons out of Redis while the chain is paused, so that windows find it alike."""
    redis = service.redis
    await redis.execute_command("XTRIM", _stream(_LIST), "MAXLEN", 0)
    cursor = b"0"
    while True:
        cursor, keys = await redis.execute_command("SCAN", cursor, "COUNT", 5000)
        if known := [key for key in keys if key.startswith(_OF_VCONS)]:
            await redis.execute_command("UNLINK", *known)
        if cursor == b"0":
            break
    # What was there may be on its way into a new append-only file, which the next window would pay.
    while b"aof_rewrite_in_progress:1" in await _persistence(redis):  # noqa: ASYNC110
        await asyncio.sleep(0.05)


def _stream(name: str) -> str:
    return f"vconflow:list:{name}"


async def _persistence(redis: Redis) -> bytes:
    state: bytes = await redis.execute_command("INFO", "persistence")
    return state


async def completed(service: Service) -> int:
    """How many vCons came through. Raises RuntimeError when one ended in another way."""
    ends = await _counts(service, "vconflow_entries_total", "outcome")
    if others := {end: number for end, number in ends.items() if end != "completed" and number}:
        raise RuntimeError(f"not every vCon was completed: {others}")
    return ends["completed"]


async def accepted(service: Service) -> int:
    """How many vCons were accepted."""
    return (await _counts(service, "vconflow_accepted_total", "source")).total()


async def _counts(service: Service, metric: str, label: str) -> Counter[str]:
    async with httpx.AsyncClient(base_url=service.url, timeout=_TIMEOUT) as client:
        reply = (await client.get("/metrics")).raise_for_status()
    counts: Counter[str] = Counter()
    for family in text_string_to_metric_families(reply.text):
        for sample in family.samples:
            if sample.name == metric:
                counts[sample.labels[label]] += round(sample.value)
    return counts
