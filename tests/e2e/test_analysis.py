"""A vCon of many dialogs, analysed by a real process that is killed; by a provider that fails."""

import asyncio
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import redis
from vconflow_process import pop_all, vconflow

from vconflow.model.identifiers import new_uuid
from vconflow.model.vcon import Vcon
from vconflow.testing.providers import Call, OpenAiServer, openai_server
from vconflow.testing.providers.openai_server import failure
from vconflow.testing.servers import free_port
from vconflow.testing.webhook_receiver import Reply

KEY = "sk-analysis"
DIALOGS = 24
AT_ONCE = 8


def about(prompt: str) -> str:
    """The number of the dialog that a prompt is about."""
    found = re.search(r"call number (\d+)", prompt)
    assert found
    return found[1]


def config_of(folder: Path, openai: OpenAiServer) -> dict[str, Any]:
    account = {"OPENAI_API_KEY": KEY, "base_url": openai.base_url}
    return {
        "links": {
            "summarize": {
                "module": "links.analyze",
                "options": {**account, "prompt": "Sum up."},
                "retry": {"base": 0.1},
            }
        },
        "storages": {
            "file": {"module": "storage.file", "options": {"path": str(folder / "files")}}
        },
        "chains": {
            "main": {
                "links": ["summarize"],
                "ingress_lists": ["in"],
                "storages": ["file"],
                "egress_lists": ["out"],
            }
        },
    }


def document_of(uuid: str) -> bytes:
    dialog = {"type": "recording", "start": "2024-03-14T09:26:53Z", "parties": [0]}
    transcript = {"type": "transcript", "vendor": "v", "encoding": "none"}
    return json.dumps(
        {
            "vcon": "0.0.1",
            "uuid": uuid,
            "created_at": "2024-03-14T09:26:53Z",
            "parties": [{"name": "a"}],
            "dialog": [dialog] * DIALOGS,
            "analysis": [
                transcript | {"dialog": n, "body": f"call number {n}"} for n in range(DIALOGS)
            ],
        }
    ).encode()


def summaries(vcon: Vcon) -> dict[str, str]:
    """The summaries by dialog; there is one at most of each."""
    found = [item for item in vcon.analysis if item["type"] == "summary"]
    by_dialog = {str(item["dialog"]): item["body"] for item in found}
    assert len(by_dialog) == len(found)
    return by_dialog


def kept_in(url: str, uuid: str) -> dict[str, str]:
    """What Redis itself has by now."""
    with redis.Redis.from_url(url) as client:
        document = client.get(f"vcon:{uuid}")
    assert isinstance(document, bytes)
    return summaries(Vcon(document))


async def more_than(count: int, url: str, uuid: str) -> None:
    async with asyncio.timeout(30):
        while len(await asyncio.to_thread(kept_in, url, uuid)) <= count:
            await asyncio.sleep(0.01)


def times_asked(openai: OpenAiServer) -> Counter[str]:
    return Counter(about(call.prompt) for call in openai.calls)


async def post(url: str, document: bytes) -> None:
    headers = {"content-type": "application/json"}
    async with httpx.AsyncClient(base_url=url) as client:
        answer = await client.post("/vcon?ingress_lists=in", content=document, headers=headers)
        answer.raise_for_status()


async def finished(url: str, uuid: str) -> dict[str, str]:
    async with httpx.AsyncClient(base_url=url) as client:
        assert await pop_all(client, "out", 1) == [uuid]
        return summaries(Vcon((await client.get(f"/vcon/{uuid}")).content))


async def test_kills_repeat_the_calls_under_way_and_no_others(
    tmp_path: Path, valkey_url: str
) -> None:
    uuid, port = new_uuid("e2e"), free_port()
    with openai_server(complete=lambda messages: about(messages[-1]["content"])) as openai:
        openai.seconds = 0.5
        config = config_of(tmp_path, openai)
        kept: list[dict[str, str]] = []
        before: Counter[str] = Counter()
        for _ in range(2):
            async with vconflow(tmp_path, config, port=port, REDIS_URL=valkey_url) as process:
                if not kept:
                    await post(process.url, document_of(uuid))
                # Then some are written, and others under way.
                await more_than(len(kept[-1]) if kept else 0, valkey_url, uuid)
                await process.die()
            kept.append(kept_in(valkey_url, uuid))
            before = times_asked(openai)
        async with vconflow(tmp_path, config, port=port, REDIS_URL=valkey_url) as process:
            stored = await finished(process.url, uuid)
        asked = times_asked(openai)
    assert stored == {str(n): str(n) for n in range(DIALOGS)}
    assert 0 < len(kept[0]) < len(kept[1]) < DIALOGS
    assert all(asked[dialog] == 1 for dialog in kept[0])
    assert all(asked[dialog] == before[dialog] for dialog in kept[1])
    assert asked.total() - DIALOGS <= 2 * AT_ONCE


async def test_a_provider_that_fails_for_some_is_asked_again_about_those_only(
    tmp_path: Path, valkey_url: str
) -> None:
    failed: Counter[str] = Counter()

    def decide(call: Call) -> Reply | None:
        dialog = about(call.prompt)
        if int(dialog) % 3 or failed[dialog] == 2:
            return None
        failed[dialog] += 1
        return failure(503, "overloaded")

    uuid = new_uuid("e2e")
    with openai_server(
        complete=lambda messages: about(messages[-1]["content"]), decide=decide, keys={KEY}
    ) as openai:
        config = config_of(tmp_path, openai)
        async with vconflow(tmp_path, config, port=free_port(), REDIS_URL=valkey_url) as process:
            await post(process.url, document_of(uuid))
            stored = await finished(process.url, uuid)
        asked = times_asked(openai)
    assert stored == {str(n): str(n) for n in range(DIALOGS)}
    assert asked == {str(n): 1 if n % 3 else 3 for n in range(DIALOGS)}
