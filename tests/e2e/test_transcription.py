"""Recordings through a real process that is killed while they are transcribed."""

import asyncio
import base64
import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import redis
from vconflow_process import pop_all, vconflow

from vconflow.model.identifiers import new_uuid
from vconflow.model.vcon import Vcon
from vconflow.testing.providers import Call, DeepgramServer, deepgram_server
from vconflow.testing.raw_http_server import RawHttpServer, body_of, raw_http_server
from vconflow.testing.servers import free_port
from vconflow.testing.speech import Heard, Word

KEY = "sk-deepgram"
RECORDINGS = 12
AT_A_TIME = 3


def hear(recording: bytes) -> Heard:
    text = recording.decode()
    return Heard(text, (Word(text, 0.0, 1.0, 0.9),), 90.0)


def config_of(folder: Path, deepgram: DeepgramServer) -> dict[str, Any]:
    account = {"DEEPGRAM_KEY": KEY, "base_url": deepgram.url}
    files = str(folder / "files")
    return {
        "links": {
            "transcribe": {
                "module": "links.deepgram_link",
                "options": {**account, "concurrency": AT_A_TIME},
            }
        },
        "storages": {"file": {"module": "storage.file", "options": {"path": files}}},
        "chains": {
            "main": {
                "links": ["transcribe"],
                "ingress_lists": ["in"],
                "storages": ["file"],
                "egress_lists": ["out"],
            }
        },
    }


def spoken(number: int) -> bytes:
    return f"recording {number}".encode()


def document_of(uuid: str, media: RawHttpServer) -> bytes:
    """Every other recording is inline, the rest by URL."""
    dialogs: list[dict[str, Any]] = []
    for number in range(RECORDINGS):
        dialog = {"type": "recording", "start": "2024-03-14T09:26:53Z", "parties": [0]}
        dialog |= {"mediatype": "audio/x-wav", "duration": 90}
        if number % 2:
            body = base64.urlsafe_b64encode(spoken(number)).decode().rstrip("=")
            dialog |= {"body": body, "encoding": "base64url"}
        else:
            media.answers[f"/{number}.wav"] = body_of(spoken(number), "audio/wav")
            dialog |= {"url": media.url(f"/{number}.wav")}
        dialogs.append(dialog)
    document = {"vcon": "0.0.1", "uuid": uuid, "created_at": "2024-03-14T09:26:53Z"}
    return json.dumps({**document, "parties": [{"name": "a"}], "dialog": dialogs}).encode()


def transcripts_in(url: str, uuid: str) -> dict[int, str]:
    """What Redis itself has by now: the dialog of each transcript, and its text."""
    with redis.Redis.from_url(url) as client:
        document = client.get(f"vcon:{uuid}")
    assert document is not None
    return texts_of(Vcon(document))


def texts_of(vcon: Vcon) -> dict[int, str]:
    texts = {item["dialog"]: item["body"]["transcript"] for item in vcon.analysis}
    assert len(texts) == len(vcon.analysis)
    return texts


def times_asked(calls: list[Call]) -> Counter[bytes]:
    return Counter(call.recording for call in calls)


async def test_kills_repeat_the_calls_under_way_and_no_others(
    tmp_path: Path, valkey_url: str
) -> None:
    uuid, port = new_uuid("e2e"), free_port()
    with deepgram_server(hear, keys={KEY}) as deepgram:
        async with raw_http_server() as media:
            deepgram.seconds = 0.2
            config, document = config_of(tmp_path, deepgram), document_of(uuid, media)
            environment = {"REDIS_URL": valkey_url, "VCONFLOW_FETCH_ALLOW": "127.0.0.1"}
            kept: list[dict[int, str]] = []
            for calls in (5, 10):
                async with vconflow(tmp_path, config, port=port, **environment) as process:
                    if not kept:
                        await post(process.url, document)
                    await asyncio.to_thread(deepgram.wait_for, calls)
                    await process.die()
                kept.append(transcripts_in(valkey_url, uuid))
                before = times_asked(deepgram.calls)
            async with (
                vconflow(tmp_path, config, port=port, **environment) as process,
                httpx.AsyncClient(base_url=process.url) as client,
            ):
                assert await pop_all(client, "out", 1) == [uuid]
                stored = Vcon((await client.get(f"/vcon/{uuid}")).content)
        asked = times_asked(deepgram.calls)
    everything = {number: spoken(number).decode() for number in range(RECORDINGS)}
    assert texts_of(stored) == everything
    assert 0 < len(kept[0]) < len(kept[1]) < RECORDINGS
    for number in kept[1]:
        assert asked[spoken(number)] == before[spoken(number)]
    for number in kept[0]:
        assert asked[spoken(number)] == 1
    assert sum(asked.values()) - RECORDINGS <= 2 * AT_A_TIME


async def post(url: str, document: bytes) -> None:
    async with httpx.AsyncClient(base_url=url) as client:
        answer = await client.post(
            "/vcon",
            params={"ingress_lists": "in"},
            content=document,
            headers={"content-type": "application/json"},
        )
        answer.raise_for_status()
