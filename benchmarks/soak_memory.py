"""Memory: of the process after ever more vCons, and of Redis per vCon."""

from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks.harness.documents import templates
from benchmarks.harness.figures import Figure, Options, Sample, Target, figure_of
from benchmarks.harness.passage import (
    TAG,
    chain_config,
    completed,
    fill,
    forget,
    passed,
    settled,
    switch,
)
from benchmarks.harness.processes import Service, vconflow

__all__ = ["run"]

TARGET = Target(1.1, at_most=True)
VCONS = 1_000_000
IN_REDIS = 10_000
PART = 0.1
"""The memory after this part of the vCons is what that after all of them is compared with."""
DOCUMENT = "the document alone"


async def run(options: Options) -> AsyncIterator[Figure]:
    """Measure the flow: bytes in Redis per vCon, then megabytes of the process."""
    number = max(100, int(VCONS * options.scale))
    async with vconflow(chain_config(*TAG)) as service:
        for figure in await _in_redis(service, min(IN_REDIS, number)):
            yield figure
    async with vconflow(chain_config(*TAG)) as service:
        early = await _after(service, int(PART * number), options)
        late = await _after(service, number, options)
        limit = f"after {PART * number:,.0f} vCons, ours after {number:,}"
        pairs = [(Sample(late), Sample(early))]
        yield figure_of("soak_memory, process", limit, pairs, target=TARGET, unit="MB")


async def _in_redis(service: Service, number: int) -> list[Figure]:
    await switch(service, "pause")
    empty = await _used(service)
    await fill(service, number)
    waiting = await _used(service)
    await switch(service, "resume")
    await settled(service)
    finished = await _used(service)
    documents = templates()
    size = Sample(sum(map(len, documents)) / len(documents))
    return [
        figure_of(name, DOCUMENT, [(Sample((used - empty) / number), size)], unit="B")
        for name, used in (
            ("soak_memory, Redis per waiting vCon", waiting),
            ("soak_memory, Redis per finished vCon", finished),
        )
    ]


async def _used(service: Service) -> int:
    text: bytes = await service.redis.execute_command("INFO", "memory")
    lines = dict(line.split(b":", 1) for line in text.split(b"\r\n") if b":" in line)
    return int(lines[b"used_memory"])


async def _after(service: Service, number: int, options: Options) -> float:
    """Megabytes of the process once it has done so many, all by now."""
    while await completed(service) < number:
        await passed(service, options.seconds, options)
        options.advance(f"soak_memory: {await completed(service):,} vCons")
        # Redis would hold them all for ever, as no storage does.
        await forget(service)
    status = Path(f"/proc/{service.pids['server']}/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(resident.split()[1]) / 1024
