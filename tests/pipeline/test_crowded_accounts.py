"""More links want to call than an account takes at once: none pays for a call that is cut off."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from pipeline_support import site, step, vcon

from vconflow.adapters.providers.line import Line
from vconflow.adapters.providers.prices import Prices
from vconflow.errors import Overloaded
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.pipeline.retry import RetryPolicy
from vconflow.ports.link import CONTINUE, LinkRun, Outcome
from vconflow.ports.time_left import ends_in, seconds_left


async def test_what_is_begun_is_finished(valkey_url: str) -> None:
    line, calls = Line("provider", 2, Prices()), Counter[str]()

    async def ask(vcon: Vcon, run: LinkRun) -> Outcome:
        async with line.call("model", 1.0):
            calls["begun"] += 1
            await asyncio.sleep(0.05)
            calls["finished"] += 1
        return CONTINUE

    # Waiting for 58 others takes as long as the link may, so that many have to come again.
    link = step("ask", ask, paid=True, retry=RetryPolicy(2, 0.01, 0.05))
    chain = Chain(
        "main", (replace(link, timeout=1.5),), lists=("in",), egress=("out",), concurrency=60
    )
    async with site(valkey_url, chain) as it:
        uuids = await it.submit(*(vcon() for _ in range(100)))
        await it.settled()
        assert Counter(await it.popped()) == Counter(uuids)
        assert calls == {"begun": 100, "finished": 100}
        assert it.replica.breakers.of("link:ask").openings == 0


async def test_a_free_slot_is_taken_however_late_it_is() -> None:
    line = Line("provider", 1, Prices())
    assert seconds_left() is None
    with ends_in(0.5):
        async with line.call("model", 100.0):
            with pytest.raises(Overloaded):
                async with line.call("model", 100.0):
                    pass
        async with line.call("model", 100.0):
            pass
    assert seconds_left() is None
