"""The server under attack, and how to see that it is well."""

import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from vconflow_process import VconflowProcess, vconflow

from vconflow.model.identifiers import new_uuid

TOKEN, PARTNER = "sesame", "partner-key"
KEY = {"x-conserver-api-token": TOKEN}
JSON = {"content-type": "application/json"}
LIMIT = 32 * 1024 * 1024
PATIENCE = 60.0
"""Seconds that a healthy vCon may take through its chain on a busy machine."""
MOST_GROWTH = 400 * 1024
"""KiB that the process may have grown by after everything."""


def vcon(**members: object) -> dict[str, object]:
    """A small valid vCon with a uuid of its own."""
    parties = [{"tel": "+15550100", "name": "Ann"}]
    base = {"vcon": "0.0.1", "uuid": new_uuid("hostile"), "created_at": "2024-05-06T07:08:09Z"}
    return {**base, "parties": parties, "dialog": [], **members}


class Stage:
    """`client` has the key; `tried` and `answers` count cases and the statuses they came to."""

    def __init__(self, process: VconflowProcess) -> None:
        self.process = process
        self.url = httpx.URL(process.url)
        self.client = httpx.Client(base_url=process.url, headers=KEY, timeout=PATIENCE)
        self.tried = 0
        self.answers: Counter[int] = Counter()
        self._at_first = self.resident()

    @property
    def address(self) -> tuple[str, int]:
        return self.url.host, self.url.port or 80

    def post(self, body: bytes, **headers: str) -> httpx.Response:
        self.tried += 1
        reply = self.client.post("/vcon", content=body, headers={**JSON, **headers})
        self.answers[reply.status_code] += 1
        return reply

    def post_as_partner(self, body: bytes) -> httpx.Response:
        headers = {**JSON, "x-conserver-api-token": PARTNER}
        params = {"ingress_list": "inbox"}
        reply = self.client.post(
            "/vcon/external-ingress", params=params, content=body, headers=headers
        )
        self.tried += 1
        self.answers[reply.status_code] += 1
        return reply

    def stored(self, uuid: str) -> bytes | None:
        """The very bytes that are stored, None for nothing."""
        reply = self.client.get(f"/vcon/{uuid}")
        assert reply.status_code in (200, 404), reply.status_code
        return reply.content if reply.status_code == 200 else None

    def resident(self) -> int:
        """The memory of the process in KiB."""
        return self._memory("VmRSS")

    def peak(self) -> int:
        """The most it had since `forget_peak`, in KiB."""
        return self._memory("VmHWM")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.process.pid}/clear_refs").write_text("5")

    def _memory(self, name: str) -> int:
        status = Path(f"/proc/{self.process.process.pid}/status").read_text()
        found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
        assert found is not None
        return int(found[1])

    def check(self) -> None:
        """A healthy vCon goes in, through its chain and out; nothing unexpected was logged."""
        body = json.dumps(healthy := vcon()).encode()
        reply = self.client.post(
            "/vcon", params={"ingress_lists": "inbox"}, content=body, headers=JSON
        )
        assert reply.status_code == 201, reply.text
        ends = time.monotonic() + PATIENCE
        popped: list[str] = []
        while healthy["uuid"] not in popped:
            assert time.monotonic() < ends, "a worker is stuck"
            popped += self.client.get(
                "/vcon/egress", params={"egress_list": "done", "limit": 1000}
            ).json()
        log = self.process.log.read_text()
        assert '"unhandled' not in log, log[log.index('"unhandled') - 500 :][:3000]
        assert self.resident() - self._at_first < MOST_GROWTH


@asynccontextmanager
async def open_stage(folder: Path) -> AsyncIterator[Stage]:
    """Start a server with an embedded Valkey and a chain that tags and stores."""
    files = {"module": "storage.file", "options": {"path": str(folder / "files")}}
    chain = {
        "links": ["tag"],
        "storages": ["files"],
        "ingress_lists": ["inbox"],
        "egress_lists": ["done"],
        "enabled": 1,
    }
    config = {
        "ingress_auth": {"inbox": PARTNER},
        "links": {"tag": {"module": "links.tag", "options": {"tags": ["checked"]}}},
        "storages": {"files": files},
        "chains": {"main": chain},
    }
    async with vconflow(
        folder, config, CONSERVER_API_TOKEN=TOKEN, VCONFLOW_LOG_FORMAT="json"
    ) as process:
        stage = Stage(process)
        try:
            yield stage
        finally:
            stage.client.close()
