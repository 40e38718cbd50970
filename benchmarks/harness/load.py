"""HTTP load: wrk where it is installed, else `generator.py`, in a process of its own."""

import json
import math
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.harness.documents import new_prefix, templates
from benchmarks.harness.figures import Options
from benchmarks.harness.processes import run

__all__ = ["Load", "choose_generator", "get", "post"]

_SCRIPT = Path(__file__).with_name("wrk.lua")


class Load(msgspec.Struct, frozen=True):
    """What was answered within `seconds`; latencies in milliseconds.

    `refused` are answers other than 2xx, `broken` connections that failed or never answered.
    """

    requests: int
    seconds: float
    refused: int
    broken: int
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


async def post(url: str, path: str, seconds: float, options: Options) -> Load:
    """POST vCons with uuids never seen before, as fast as the answers come."""
    lines = [template.decode() for template in templates()]
    return await _generate(url, "POST", path, lines, seconds, options)


async def get(url: str, paths: Sequence[str], seconds: float, options: Options) -> Load:
    """GET the paths by turns, as fast as the answers come."""
    return await _generate(url, "GET", "-", paths, seconds, options)


def choose_generator(options: Options) -> str:
    """`wrk` or `python`."""
    if options.generator == "auto":
        return "wrk" if shutil.which("wrk") else "python"
    return options.generator


async def _generate(
    url: str, method: str, path: str, lines: Sequence[str], seconds: float, options: Options
) -> Load:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        # Both generators take these and print one line of JSON at the end.
        what = (method, path, file.name, new_prefix())
        if choose_generator(options) == "wrk":
            load = _parse(await run(*_wrk(url, seconds, options), "--", *what))
        else:
            load = _parse(await run(*_python(url, seconds, options), *what))
    if load.refused or load.broken or not load.requests:
        raise RuntimeError(f"{method} {path}: not every request was answered as it should: {load}")
    return load


def _wrk(url: str, seconds: float, options: Options) -> list[str]:
    # It takes whole seconds only.
    whole = max(1, math.ceil(seconds))
    connections = str(options.connections)
    return ["wrk", "-t1", "-c", connections, f"-d{whole}s", "-s", str(_SCRIPT), url]


def _python(url: str, seconds: float, options: Options) -> list[str]:
    module = "benchmarks.harness.generator"
    return [sys.executable, "-m", module, url, str(options.connections), str(seconds)]


def _parse(output: str) -> Load:
    return msgspec.convert(json.loads(output.strip().splitlines()[-1]), Load)
