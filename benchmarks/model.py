"""The model alone: checking a vCon, and tagging one as a link does."""

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from benchmarks.harness.documents import fresh, tagged
from benchmarks.harness.figures import Figure, Limit, Options, Sample, compare
from vconflow.model.validation import validate
from vconflow.model.vcon import Vcon

__all__ = ["run"]

DECODE = "msgspec.json.decode"
REWRITE = "msgspec.json: decode, append, encode"


async def run(options: Options) -> AsyncIterator[Figure]:
    """Measure both, in this process."""
    for flow, ours, limit_is, limit in (
        ("model, validate", validate, DECODE, msgspec.json.decode),
        ("model, tag", _tag, REWRITE, tagged),
    ):
        measure, measure_limit = _repeated(ours), _repeated(limit)
        async for figure in compare(flow, measure, Limit(limit_is, measure_limit), options=options):
            yield figure


def _repeated(function: Callable[[bytes], Any]) -> Callable[[float], Any]:
    documents = [document for _, document in fresh(64)]

    async def measure(seconds: float) -> Sample:
        started = time.perf_counter()
        rounds = 0
        while (elapsed := time.perf_counter() - started) < seconds:
            for document in documents:
                function(document)
            rounds += 1
        return Sample(rounds * len(documents) / elapsed)

    return measure


def _tag(document: bytes) -> bytes:
    vcon = Vcon(document)
    vcon.add_tag("source", "benchmark")
    return vcon.to_bytes()
