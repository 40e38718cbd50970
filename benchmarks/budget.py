"""`python -m benchmarks.budget`: where each microsecond of the server goes, by its cause.

The server is sampled while it works (py-spy); the share of the samples times the CPU time per
vCon, which the kernel counts, is the time of a cause. What libraries in C take counts for whoever
calls them.
"""

import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import click
import uvloop
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.get_hot import stored_paths
from benchmarks.harness.cpu import CpuMeter
from benchmarks.harness.documents import SIZE
from benchmarks.harness.figures import Options
from benchmarks.harness.load import get, post
from benchmarks.harness.machine import describe_machine
from benchmarks.harness.passage import PATH, TAG, chain_config, completed, fill, settled, switch
from benchmarks.harness.processes import Service, vconflow
from vconflow.telemetry import log

CAUSES = (
    ("validation", ("vconflow/model/validation", "vconflow/model/reading", "vconflow/model/cross")),
    ("the vCon of the links", ("vconflow/model/",)),
    ("links", ("vconflow/links/",)),
    ("keys, arguments and replies of scripts", ("vconflow/adapters/redis/",)),
    ("Redis client: packing, connection, parser", ("redis/", "asyncio/streams", "asyncio/time")),
    ("group commit", ("vconflow/pipeline/batcher", "vconflow/pipeline/deadlines")),
    ("ingest and lookup", ("vconflow/pipeline/ingest", "vconflow/pipeline/lookup")),
    (
        "reading and owning entries",
        tuple(
            f"vconflow/pipeline/{name}"
            for name in ("reader", "consumer", "owned", "slots", "room", "waiting", "returns")
        ),
    ),
    ("steps, commits and progress", ("vconflow/pipeline/",)),
    ("metrics and logs", ("vconflow/telemetry/", "prometheus_client/")),
    ("route, key, body, answer", ("vconflow/api/",)),
    ("HTTP: parser, scope, task", ("vconflow/server/", "uvicorn/")),
)
"""A sample belongs to the first whose files it is in, from the innermost call outwards."""
LOOP = "event loop, and the kernel: reading, waking"
SENDING = "sending the answer, which the kernel delivers meanwhile"
_SENDERS = ("Cycle.answer (", "RequestResponseCycle.send (")
_HERTZ = 400


@click.command(context_settings={"show_default": True})
@click.option("--seconds", type=click.IntRange(2), default=8, help="How long each is sampled.")
def main(seconds: int) -> None:
    """Sample accepting, reading and a chain with one tag, one after the other."""
    log.configure("error")
    machine = describe_machine("wrk")
    tables = uvloop.run(_measure(seconds))
    console = Console() if sys.stdout.isatty() else Console(width=120)
    for title, causes in tables:
        console.print(_table(title, causes))
    console.print(f"{machine}", highlight=False, soft_wrap=True)


async def _measure(seconds: int) -> list[tuple[str, dict[str, float]]]:
    options = Options(seconds=seconds)
    async with vconflow(chain_config(*TAG), fsync="everysec") as service:
        await switch(service, "pause")

        async def accept() -> float:
            return (await post(service.url, PATH, seconds, options, size=SIZE)).requests

        async def read() -> float:
            return (await get(service.url, paths, seconds, options)).requests

        async def drain() -> float:
            before = await completed(service)
            await switch(service, "resume")
            await settled(service)
            return await completed(service) - before

        accepting = await _sampled(service, accept, seconds)
        paths = await stored_paths(service)
        reading = await _sampled(service, read, seconds)
        await fill(service, 4000 * seconds)
        return [
            ("POST /vcon", accepting),
            ("GET /vcon/{uuid}", reading),
            ("a chain with one tag", await _sampled(service, drain, seconds)),
        ]


async def _sampled(
    service: Service, work: Callable[[], Awaitable[float]], seconds: int
) -> dict[str, float]:
    """Microseconds per vCon by cause, and those of the other processes."""
    meter = CpuMeter(service.pids)
    with tempfile.NamedTemporaryFile(suffix=".txt") as file:
        sampling = await asyncio.create_subprocess_exec(
            *(
                str(Path(sys.executable).with_name("py-spy")),
                "record",
                "--pid",
                str(service.pids["server"]),
                "--threads",
            ),
            *("--rate", str(_HERTZ), "--duration", str(seconds - 1)),
            *("--format", "raw", "--output", file.name),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        number = await work()
        if await sampling.wait():
            raise RuntimeError("py-spy could not sample the server: it needs the right to trace it")
        lines = Path(file.name).read_text().splitlines()
    spent = meter.each(number)
    server = spent.pop("server")
    return {**_by_cause(lines, server), **{f"process {name}": us for name, us in spent.items()}}


def _by_cause(lines: Sequence[str], microseconds: float) -> dict[str, float]:
    samples: Counter[str] = Counter()
    for line in lines:
        stack, _, number = line.rpartition(" ")
        if "MainThread" in stack:
            samples[_cause(stack.split(";"))] += int(number)
    total = samples.total() or 1
    return {cause: microseconds * n / total for cause, n in samples.most_common()}


def _cause(frames: Sequence[str]) -> str:
    if frames[-1].startswith(_SENDERS):
        return SENDING
    for frame in reversed(frames):
        for cause, files in CAUSES:
            if any(f"({file}" in frame or f"/{file}" in frame for file in files):
                return cause
    return LOOP


def _table(title: str, causes: dict[str, float]) -> Table:
    table = Table(box=box.ROUNDED if sys.stdout.isatty() else box.MARKDOWN, title=title)
    table.add_column("what for")
    table.add_column("µs per vCon", justify="right")
    for cause, microseconds in causes.items():
        table.add_row(cause, f"{microseconds:.1f}")
    return table


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.budget")
