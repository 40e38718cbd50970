"""The tracer that tests use keeps the contract too."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from vconflow.errors import Retryable
from vconflow.ports.component import NoOptions
from vconflow.ports.tracer import Tracer
from vconflow.testing.contracts import TracerContract, resources_for
from vconflow.testing.contracts.tracer import passage
from vconflow.testing.memory_tracer import MemoryTracer


class TestContract(TracerContract):
    tracer_class = MemoryTracer

    @pytest.fixture
    async def tracer(self, tmp_path: Path) -> AsyncIterator[Tracer]:
        async with MemoryTracer.open(NoOptions(), resources_for(tmp_path)) as tracer:
            yield tracer


async def test_its_switches() -> None:
    tracer, came = MemoryTracer(required=True), passage("a", "b")
    await tracer.trace(came)
    tracer.refuse[came.out_uuid] = Retryable("not this one")
    with pytest.raises(Retryable, match="not this one"):
        await tracer.trace(came)
    tracer.fail_with = Retryable("away")
    with pytest.raises(Retryable, match="away"):
        await tracer.ping()
    assert (tracer.calls, tracer.pings, tracer.way(came.out_uuid)) == (2, 1, [("a", "b")])
