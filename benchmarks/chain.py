"""A full list through a chain with one tag, without a storage, in a real server."""

from collections.abc import AsyncIterator

from benchmarks.harness.bare_loop import BARE_LOOP, bare_loop
from benchmarks.harness.drain import Drain
from benchmarks.harness.figures import Figure, Limit, Options, Sample, Target, compare
from benchmarks.harness.passage import TAG, chain_config, echoed
from benchmarks.harness.processes import echo, vconflow

__all__ = ["run", "synced"]

ECHO = "bare Starlette that echoes the body"
TARGET = Target(0.5)
BARE_VCONS_PER_SECOND = 10_000
"""How many vCons a window of the bare loop takes; not how long it does."""


async def run(options: Options) -> AsyncIterator[Figure]:
    """Measure the flow with both ways of syncing."""
    for fsync in ("everysec", "always"):
        async for figure in synced(fsync, options):
            yield figure


async def synced(fsync: str, options: Options) -> AsyncIterator[Figure]:
    """Measure it with one of them: Redis' appendfsync."""

    async def bare(seconds: float) -> Sample:
        number = max(1024, int(seconds * BARE_VCONS_PER_SECOND))
        return await bare_loop(service.redis, service.pids["Valkey"], number)

    async def limit(seconds: float) -> Sample:
        return await echoed(server, seconds, options)

    async with vconflow(chain_config(*TAG), fsync=fsync) as service, echo() as server:
        limits = (
            Limit(ECHO, limit, TARGET, "of the echo"),
            Limit(BARE_LOOP, bare, TARGET, "of the bare loop"),
        )
        async for figure in compare(
            f"chain, {fsync}", Drain(service).window, *limits, options=options
        ):
            yield figure
