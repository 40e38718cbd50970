"""From the POST to the storage: the rate at which vCons come out at the far end."""

import asyncio
import time
from collections import Counter

import httpx
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.harness.figures import Options, Sample
from benchmarks.harness.load import post

__all__ = ["PATH", "chain_config", "echoed", "passed"]

_LIST = "in"
PATH = f"/vcon?ingress_lists={_LIST}"
_PATIENCE_SECONDS = 30.0
"""How long nothing may be completed although something is left."""


def chain_config(link: str, options: dict[str, object], **chain: object) -> dict[str, object]:
    """A configuration of one chain with one link."""
    return {
        "links": {"link": {"module": link, "options": options}},
        "chains": {"main": {"links": ["link"], "ingress_lists": [_LIST], **chain}},
    }


async def echoed(url: str, seconds: float, options: Options) -> Sample:
    """The rate at which a server answers."""
    load = await post(url, PATH, seconds, options)
    return Sample(load.rate, load.p50_ms, load.p99_ms)


async def passed(url: str, seconds: float, options: Options) -> Sample:
    """POST for so long, wait until the chain is done with all of it: vCons over all that time.

    Raises RuntimeError when a vCon ended in any other way than completed.
    """
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        before = await _completed(client)
        load = await post(url, PATH, seconds, options)
        sent = time.perf_counter()
        await _settled(client)
        elapsed = load.seconds + time.perf_counter() - sent
        done = await _completed(client) - before
    if done < load.requests:
        raise RuntimeError(f"{load.requests} were accepted, but {done} came through")
    # Requests under way when the load ended count too: they were worked on as well.
    return Sample(done / elapsed, load.p50_ms, load.p99_ms)


async def _settled(client: httpx.AsyncClient) -> None:
    last = (time.perf_counter(), -1)
    while True:
        # In this order: what is accepted in between is waited for too.
        completed = await _completed(client)
        accepted = await _accepted(client)
        if completed >= accepted:
            return
        if completed != last[1]:
            last = (time.perf_counter(), completed)
        elif time.perf_counter() - last[0] > _PATIENCE_SECONDS:
            raise RuntimeError(f"{accepted} were accepted, but only {completed} completed")
        await asyncio.sleep(0.01)


async def _completed(client: httpx.AsyncClient) -> int:
    ends = await _counts(client, "vconflow_entries_total", "outcome")
    if others := {end: number for end, number in ends.items() if end != "completed" and number}:
        raise RuntimeError(f"not every vCon was completed: {others}")
    return ends["completed"]


async def _accepted(client: httpx.AsyncClient) -> int:
    return (await _counts(client, "vconflow_accepted_total", "source"))["http"]


async def _counts(client: httpx.AsyncClient, metric: str, label: str) -> Counter[str]:
    reply = await client.get("/metrics")
    reply.raise_for_status()
    counts: Counter[str] = Counter()
    for family in text_string_to_metric_families(reply.text):
        for sample in family.samples:
            if sample.name == metric:
                counts[sample.labels[label]] += round(sample.value)
    return counts
