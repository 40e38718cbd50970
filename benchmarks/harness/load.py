"""HTTP load: wrk where it is installed, else `generator.py`, in a process of its own."""

import math
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from itertools import cycle, islice
from pathlib import Path

import msgspec

from benchmarks.harness.cpu import CpuMeter
from benchmarks.harness.documents import SIZE, new_prefix, templates
from benchmarks.harness.figures import Options, Sample
from benchmarks.harness.processes import run
from benchmarks.harness.requests import Load

__all__ = ["Load", "choose_generator", "get", "post", "post_at", "sample_of"]

_TIMEOUT = "30s"
_SCRIPT = Path(__file__).with_name("wrk.lua")


async def post(
    url: str, paths: str | Sequence[str], seconds: float, options: Options, *, size: int = SIZE
) -> Load:
    """POST vCons with uuids never seen before to the paths by turns, as fast as answers come."""
    return await _closed_loop(url, "POST", _posts(paths, size), seconds, options)


async def post_at(url: str, path: str, rate: float, seconds: float, options: Options) -> Load:
    """POST so many vCons per second, at set times; latencies count from these."""
    module = "benchmarks.harness.open_loop"
    command = [sys.executable, "-m", module, url, str(options.connections), str(seconds), str(rate)]
    return await _generate(command, "POST", _posts(path, SIZE))


async def get(url: str, paths: Sequence[str], seconds: float, options: Options) -> Load:
    """GET the paths by turns, as fast as the answers come."""
    return await _closed_loop(url, "GET", paths, seconds, options)


def choose_generator(options: Options) -> str:
    """`wrk` or `python`."""
    if options.generator == "auto":
        return "wrk" if shutil.which("wrk") else "python"
    return options.generator


def sample_of(load: Load, meter: CpuMeter) -> Sample:
    """What a window of answers is worth; `meter` has to be made just before it."""
    return Sample(load.rate, load.p50_ms, load.p99_ms, meter.each(load.requests))


def _posts(paths: str | Sequence[str], size: int) -> list[str]:
    documents = [template.decode() for template in templates(size)]
    among = [paths] if isinstance(paths, str) else paths
    number = max(len(among), len(documents))
    pairs = islice(zip(cycle(among), cycle(documents), strict=False), number)
    return [f"{path} {document}" for path, document in pairs]


async def _closed_loop(
    url: str, method: str, lines: Iterable[str], seconds: float, options: Options
) -> Load:
    connections = str(options.connections)
    if choose_generator(options) == "wrk":
        # It takes whole seconds only.
        whole = max(1, math.ceil(seconds))
        command = ["wrk", "-t1", "-c", connections, f"-d{whole}s", "--timeout", _TIMEOUT]
        command += ["-s", str(_SCRIPT), url, "--"]
    else:
        module = "benchmarks.harness.generator"
        command = [sys.executable, "-m", module, url, connections, str(seconds)]
    return await _generate(command, method, lines)


async def _generate(command: Sequence[str], method: str, lines: Iterable[str]) -> Load:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        # All generators take these and print one line of JSON at the end.
        output = await run(*command, method, file.name, new_prefix())
    load = msgspec.json.decode(output.strip().splitlines()[-1], type=Load)
    if load.refused or load.broken or not load.requests:
        raise RuntimeError(f"{method}: not every request was answered as it should: {load}")
    return load
