"""Servers that follow, and what is to be seen of it."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from reference_conserver import TOKEN
from vconflow_process import VconflowProcess, pop_all

PATIENT = {"VCONFLOW_POISON_CRASHES": "1000"}
"""Whatever is under way when we kill is not to blame for it."""


def puller(
    folder: Path, url: str, *, interval: float = 0.2, limit: int = 20, token: str = TOKEN
) -> dict[str, Any]:
    """A server that follows `url` and keeps everything in files."""
    follower = {
        "url": url,
        "egress_list": "theirs",
        "follower_ingress_list": "in",
        "auth_token": token,
        "pulling_interval": interval,
        "fetch_vcon_limit": limit,
    }
    return {
        "storages": {"file": {"module": "storage.file", "options": {"path": str(folder / "kept")}}},
        "chains": {
            "main": {"ingress_lists": ["in"], "storages": ["file"], "egress_lists": ["out"]}
        },
        "followers": {"upstream": follower},
    }


def kept(folder: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in (folder / "kept").rglob("*.json")}


async def popped_once(process: VconflowProcess, documents: Mapping[str, bytes]) -> None:
    """Every vCon went through the chain, and each once."""
    async with httpx.AsyncClient(base_url=process.url, timeout=30) as client:
        popped = await pop_all(client, "out", len(documents), seconds=90)
        more = (await client.get("/vcon/count", params={"egress_list": "out"})).json()
    assert Counter(popped) == Counter(documents.keys())
    assert more == 0


async def metrics(process: VconflowProcess) -> dict[str, float]:
    async with httpx.AsyncClient(base_url=process.url, timeout=30) as client:
        lines = (await client.get("/metrics")).text.splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("vconflow_follower"))
    return {name: float(value) for name, value in pairs}


async def follower_ready(process: VconflowProcess) -> str | None:
    """The error that /ready tells of the follower, None if it tells nothing of it."""
    return (await followers_ready(process)).get("upstream")


async def followers_ready(process: VconflowProcess) -> dict[str, str]:
    """The errors that /ready tells of followers, by name."""
    async with httpx.AsyncClient(base_url=process.url, timeout=30) as client:
        reply = await client.get("/ready")
    assert reply.status_code == 200
    found = reply.json()["dependencies"]
    prefix = "follower:"
    return {
        it["name"].removeprefix(prefix): it["error"]
        for it in found
        if it["name"].startswith(prefix)
    }
