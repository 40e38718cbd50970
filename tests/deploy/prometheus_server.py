"""A real Prometheus with the configuration and the rules of `deploy/`."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from deploy_files import PROMETHEUS

from vconflow.testing.servers import Server, free_port

EVERYWHERE = {"$instance": ".*", "$list": ".*", "$chain": ".*", "$__rate_interval": "1m"}
"""What Grafana would put for its variables."""


class PrometheusServer(Server):
    """Looks at `targets` and at its rules every second; on a loopback port."""

    def __init__(self, path: Path, targets: Sequence[str]) -> None:
        super().__init__(path)
        self.url = f"http://127.0.0.1:{free_port()}"
        self._targets = targets

    async def prepare(self) -> None:
        shutil.copytree(PROMETHEUS, self.path, dirs_exist_ok=True)
        path = self.path / "prometheus.yml"
        text = _replaced(
            path.read_text(),
            {
                "scrape_interval: 15s": "scrape_interval: 1s",
                "evaluation_interval: 15s": "evaluation_interval: 1s",
                # There is no such name on this machine.
                "      - {names: [vconflow], type: A, port: 8000, refresh_interval: 5s}\n": "",
                "    dns_sd_configs:\n": "",
                "127.0.0.1:9090": self.url.removeprefix("http://"),
            },
        )
        path.write_text(text)
        (self.path / "replicas").mkdir()
        (self.path / "replicas" / "hosts.yml").write_text(json.dumps([{"targets": self._targets}]))

    def command(self) -> list[str]:
        return [
            "prometheus",
            f"--config.file={self.path / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.path / 'data'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
        ]

    async def answers(self) -> bool:
        async with httpx.AsyncClient(base_url=self.url) as client:
            try:
                return (await client.get("/-/ready")).status_code == 200
            except httpx.TransportError:
                return False

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples that an expression has now, with Grafana's variables filled in."""
        expression = _replaced(expression, {k: v for k, v in EVERYWHERE.items() if k in expression})
        async with httpx.AsyncClient(base_url=self.url) as client:
            reply = await client.get("/api/v1/query", params={"query": expression})
        answer = reply.json()
        assert answer["status"] == "success", f"{expression}: {answer['error']}"
        return answer["data"]["result"]

    async def rules(self) -> list[dict[str, Any]]:
        """Every alert rule, with its health and what it says."""
        async with httpx.AsyncClient(base_url=self.url) as client:
            groups = (await client.get("/api/v1/rules")).json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    async def until(self, expression: str, value: float, seconds: float = 30.0) -> None:
        """Wait until the only sample of an expression is so much."""
        found: list[dict[str, Any]] = []
        try:
            async with asyncio.timeout(seconds):
                while [float(sample["value"][1]) for sample in found] != [value]:
                    await asyncio.sleep(0.2)
                    found = await self.query(expression)
        except TimeoutError:
            raise AssertionError(f"{expression} is {found}, not {value}") from None


def _replaced(text: str, replacements: Mapping[str, str]) -> str:
    for old, new in replacements.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@asynccontextmanager
async def prometheus(path: Path, targets: Sequence[str]) -> AsyncIterator[PrometheusServer]:
    """A Prometheus with its files in `path`, running while the context is."""
    path.mkdir()
    server = PrometheusServer(path, targets)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
