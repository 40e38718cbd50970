"""A client as vconflow wants it: it sends a vCon again until it got a 2xx."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import httpx

JSON = {"content-type": "application/json"}
IN = {"ingress_lists": "in"}


def vcons(folder: Path, count: int, **members: object) -> dict[str, bytes]:
    """So many vCons by uuid, made of the samples; `members` replace theirs."""
    lines = (folder / "conversations.ndjson").read_bytes().splitlines()
    found = {}
    for number in range(count):
        uuid = f"00000000-0000-4000-8000-{number:012}"
        document = json.loads(lines[number % len(lines)]) | members | {"uuid": uuid}
        found[uuid] = json.dumps(document).encode()
    return found


class Sender:
    """Posts to one address, whoever answers there.

    `sent` counts by uuid the requests that may have been accepted. A vCon that was sent twice may
    be accepted twice: when the connection broke before the answer, the client cannot know. With
    `keys`, its uuid is its Idempotency-Key, and it cannot. `refused` counts connections that
    nobody took. With `enough` it sends nothing that it has not begun to send, and once it `gave_up`
    nothing again either: cancelled instead, it could lose a connection in the making, unclosed.
    """

    def __init__(self, client: httpx.AsyncClient, *, keys: bool = False) -> None:
        self._client = client
        self._keys = keys
        self.sent: Counter[str] = Counter()
        self.accepted: set[str] = set()
        self.refused = 0
        self.enough = False
        self.gave_up = False

    async def post_all(self, documents: dict[str, bytes], parallel: int = 16) -> None:
        """Return when every vCon got its 2xx, or there are enough, or it gave up."""
        waiting = iter(documents.items())

        async def work() -> None:
            for uuid, document in waiting:
                if not (self.enough or self.gave_up):
                    await self._post(uuid, document)

        await asyncio.gather(*(work() for _ in range(parallel)))

    async def _post(self, uuid: str, document: bytes) -> None:
        headers = JSON | ({"idempotency-key": uuid} if self._keys else {})
        while uuid not in self.accepted and not self.gave_up:
            try:
                reply = await self._client.post(
                    "/vcon", params=IN, content=document, headers=headers
                )
            except httpx.ConnectError:
                self.refused += 1
                await asyncio.sleep(0.05)  # nobody is there: nothing was sent
            except httpx.TransportError:
                self.sent[uuid] += 1
            else:
                self.sent[uuid] += 1
                assert reply.status_code in (201, 503), reply.text
                if reply.status_code == 201:
                    self.accepted.add(uuid)


async def bulk(url: str, documents: dict[str, bytes]) -> None:
    """Post all at once as NDJSON; every one is accepted."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        reply = await client.post(
            "/vcons",
            params=IN,
            content=b"\n".join(documents.values()),
            headers={"content-type": "application/x-ndjson"},
        )
    assert reply.json()["accepted"] == len(documents), reply.text
