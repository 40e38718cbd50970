"""How long POST /vcon takes at half of what the service can accept, sent at set times."""

from collections.abc import AsyncIterator

from benchmarks.harness.figures import Figure, Options, Sample, Target, figure_of
from benchmarks.harness.load import post, post_at
from benchmarks.harness.passage import PATH, TAG, chain_config, forget, switch
from benchmarks.harness.processes import Service, vconflow

__all__ = ["run"]

TARGET = Target(4, at_most=True)


async def run(options: Options) -> AsyncIterator[Figure]:
    """Measure the flow: p99 beside p50, in milliseconds."""
    async with vconflow(chain_config(*TAG)) as service:
        await switch(service, "pause")
        await _window(service, options)
        pairs, rates = [], []
        for _ in range(options.windows):
            rate, p99, p50 = await _window(service, options)
            rates.append(rate)
            pairs.append((Sample(p99), Sample(p50)))
            options.advance("latency")
    limit = f"its own p50, at {min(rates):,.0f} to {max(rates):,.0f}/s, half of saturation"
    yield figure_of("latency, p99", limit, pairs, target=TARGET, unit="ms")


async def _window(service: Service, options: Options) -> tuple[float, float, float]:
    """The rate at half of the saturation measured just before, and the two latencies at it."""
    rate = (await post(service.url, PATH, options.seconds, options)).rate / 2
    await forget(service)
    load = await post_at(service.url, PATH, rate, options.seconds, options)
    await forget(service)
    return rate, load.p99_ms, load.p50_ms
