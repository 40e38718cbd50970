"""A real `vconflow serve` with several replicas, and what its log says of them."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from redis_view import until
from vconflow_process import VconflowProcess, vconflow


class Supervised:
    """A supervisor and its replicas, whose names are `one.1`, `one.2` and so on."""

    def __init__(self, supervisor: VconflowProcess) -> None:
        self.supervisor = supervisor
        self.url = supervisor.url

    def said(self, event: str) -> list[dict[str, Any]]:
        """The lines of one event, of all processes."""
        lines = self.supervisor.log.read_text().splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in found if line["event"] == event]

    def pids(self) -> dict[str, int]:
        """The process of each replica that was ever ready, the newest of each name."""
        return {line["replica"]: line["pid"] for line in self.said("replica_ready")}

    def signal(self, number: signal.Signals) -> None:
        self.supervisor.signal(number)

    async def kill_replica(self, name: str) -> None:
        """kill -9, and wait until another process serves in its place."""
        pid = self.pids()[name]
        os.kill(pid, signal.SIGKILL)
        await until(lambda: self.pids()[name] != pid)

    async def add(self) -> str:
        """One more; its name, when it serves."""
        count = len(self.said("replica_ready"))
        self.signal(signal.SIGTTIN)
        await until(lambda: len(self.said("replica_ready")) > count)
        return str(self.said("replica_ready")[-1]["replica"])

    async def remove(self) -> str:
        """One less; its name, when it is gone."""
        count = len(self.said("replica_left"))
        self.signal(signal.SIGTTOU)
        await until(lambda: len(self.said("replica_left")) > count)
        return str(self.said("replica_left")[-1]["replica"])

    async def metric(self, name: str) -> dict[str, float]:
        """The sums of a metric by replica, as whoever answers says."""
        async with httpx.AsyncClient(base_url=self.url) as client:
            text = (await client.get("/metrics")).raise_for_status().text
        sums: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name:
                    replica = sample.labels["replica"]
                    sums[replica] = sums.get(replica, 0.0) + sample.value
        return sums


@asynccontextmanager
async def supervised(
    folder: Path, config: Mapping[str, Any], replicas: int = 2, port: int = 0, **environment: str
) -> AsyncIterator[Supervised]:
    """Start so many replicas on one port; they are stopped at the end if they still run."""
    environment |= {"CONSERVER_WORKERS": str(replicas), "LOG_LEVEL": "INFO"}
    async with vconflow(folder, config, port=port, **environment) as supervisor:
        yield Supervised(supervisor)


async def gone(pid: int) -> None:
    """Wait until a process that is not ours to wait for has ended."""
    await until(lambda: not is_there(pid))


def is_there(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def children_of(pid: int) -> set[int]:
    """The processes that a process started."""
    text = await asyncio.to_thread(Path(f"/proc/{pid}/task/{pid}/children").read_text)
    return set(map(int, text.split()))
