"""A sentence that was spoken is found over HTTP, and no more once its vCon is deleted."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from vconflow_process import vconflow

from vconflow.model.identifiers import new_uuid

TOPICS = [
    "The delivery was late and I would like a refund for my order.",
    "My router loses the connection whenever it rains.",
    "I want to book a table for four people on Saturday evening.",
    "The dentist has to move my appointment to next week.",
    "How much does it cost to insure a second car?",
]
SMALL_TALK = " ".join(f"And how are your {number} cats doing these days?" for number in range(40))


def _config(folder: Path) -> dict[str, Any]:
    vectors = {
        "uri": str(folder / "vectors.db"),
        "embedding_model": "local:wordllama",
        "embedding_dim": 256,
        "create_collection_if_missing": True,
    }
    return {
        "storages": {"vectors": {"module": "storage.milvus", "options": vectors}},
        "chains": {"main": {"ingress_lists": ["in"], "storages": ["vectors"], "enabled": 1}},
    }


def _vcon(sentence: str) -> dict[str, Any]:
    text = f"{SMALL_TALK} {sentence} {SMALL_TALK}"
    return {
        "vcon": "0.0.1",
        "uuid": new_uuid("spoken"),
        "created_at": "2025-10-09T08:53:20Z",
        "parties": [{"name": "Ann"}],
        "dialog": [],
        "analysis": [{"type": "transcript", "vendor": "x", "body": {"text": text}}],
    }


async def _hits(client: httpx.AsyncClient, question: str) -> list[dict[str, Any]]:
    answer = await client.get("/api/semantic-search", params={"q": question, "limit": 5})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["hits"]
    return found


async def _until(check: Callable[[list[dict[str, Any]]], bool], client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(60):
        while not check(await _hits(client, "anything")):
            await asyncio.sleep(0.05)


async def test_a_spoken_sentence_is_found_until_its_vcon_is_deleted(
    tmp_path: Path, valkey_url: str
) -> None:
    vcons = {topic: _vcon(topic) for topic in TOPICS}
    async with (
        vconflow(tmp_path, _config(tmp_path), REDIS_URL=valkey_url) as process,
        httpx.AsyncClient(base_url=process.url) as client,
    ):
        for vcon in vcons.values():
            params = {"ingress_lists": "in"}
            answer = await client.post("/vcon", params=params, content=json.dumps(vcon))
            assert answer.status_code == 201, answer.text
        await _until(lambda hits: len(hits) == len(TOPICS), client)
        for topic, vcon in vcons.items():
            first, *others = await _hits(client, topic)
            assert first["uuid"] == vcon["uuid"]
            assert topic in first["text"]
            assert all(first["score"] > other["score"] for other in others)
        refund = vcons[TOPICS[0]]["uuid"]
        assert (await client.delete(f"/vcon/{refund}")).status_code == 204
        assert refund not in {hit["uuid"] for hit in await _hits(client, TOPICS[0])}


async def test_without_such_a_storage_the_answer_says_so(tmp_path: Path, valkey_url: str) -> None:
    async with (
        vconflow(tmp_path, {"chains": {}}, REDIS_URL=valkey_url) as process,
        httpx.AsyncClient(base_url=process.url) as client,
    ):
        answer = await client.get("/semantic-search", params={"q": "refund"})
    assert answer.status_code == 404
    assert "No storage that can be searched" in answer.json()["detail"]
