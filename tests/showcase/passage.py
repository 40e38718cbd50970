"""Posting the conversations, and looking for each wherever it has to be."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx

from vconflow.model.vcon import Vcon

from .conversations import Conversation
from .stage import BUCKET, Stage

__all__ = ["Findings", "finished", "look", "post_all"]

PATIENCE = 600.0
TAGS = ["source:contact-centre", "summarized:yes"]


async def post_all(
    client: httpx.AsyncClient, made: Sequence[Conversation], told: Callable[[], None] = lambda: None
) -> None:
    """POST them, some at the same time; `told` after each."""
    turns = asyncio.Semaphore(8)

    async def post(it: Conversation) -> None:
        async with turns:
            reply = await client.post(
                "/vcon",
                params={"ingress_lists": "calls"},
                content=it.document,
                headers={"content-type": "application/json"},
            )
            assert reply.status_code == 201, reply.text
            told()

    await asyncio.gather(*map(post, made))


async def finished(
    client: httpx.AsyncClient, count: int, told: Callable[[int], None] = lambda _: None
) -> None:
    """Wait until so many are through; `told` how many are."""
    async with asyncio.timeout(PATIENCE):
        done = 0
        while done < count:
            await asyncio.sleep(0.1)
            params = {"egress_list": "finished"}
            done = int((await client.get("/vcon/count", params=params)).text)
            told(done)
            dead = (await client.get("/dead-letters", params={"list": "calls"})).json()
            assert not dead["dead_letters"], dead


@dataclass
class Findings:
    """What is missing, by conversation; and what was found of each."""

    missing: list[str] = field(default_factory=list)
    transcripts: dict[str, str] = field(default_factory=dict)
    histories: list[dict[str, Any]] = field(default_factory=list)


async def look(
    client: httpx.AsyncClient,
    stage: Stage,
    made: Sequence[Conversation],
    told: Callable[[], None] = lambda: None,
) -> Findings:
    """Look for the transcript, summary, tags, webhook call, row, object and passage of each."""
    findings = Findings()
    posted = {Vcon(received.body).uuid for received in stage.receiver.received}
    database = await asyncpg.connect(stage.postgres.url)
    try:
        async with stage.s3.client() as s3:
            for it in made:
                document = (await client.get(f"/vcon/{it.uuid}")).content
                checks = _checks(it, document, posted, findings)
                checks["row"] = await _row(database, it.uuid) == document
                checks["object"] = await _object(s3, it.uuid) == document
                checks["search"] = await _is_found(client, it)
                findings.missing += [f"{it.uuid}: {name}" for name, ok in checks.items() if not ok]
                history = (await client.get(f"/vcon/{it.uuid}/history")).json()
                findings.histories += [history]
                told()
    finally:
        await database.close()
    return findings


def _checks(
    it: Conversation, document: bytes, posted: set[str], findings: Findings
) -> dict[str, bool]:
    vcon = Vcon(document)
    transcript = vcon.find_analysis("transcript", 0) or {}
    summary = vcon.find_analysis("summary", 0) or {}
    findings.transcripts[it.uuid] = _text(transcript)
    kinds = sorted(str(item["type"]) for item in vcon.analysis)
    return {
        "one transcript and one summary": kinds == ["summary", "transcript"],
        "summary": bool(summary.get("body"))
        and str(summary["body"]) in " ".join(_text(transcript).split()),
        "tags": vcon.tags == TAGS,
        "webhook": it.uuid in posted,
    }


def _text(transcript: dict[str, Any]) -> str:
    body = transcript.get("body") or {}
    return str(body.get("transcript", "")) if isinstance(body, dict) else str(body)


async def _row(database: "asyncpg.Connection[asyncpg.Record]", uuid: str) -> bytes | None:
    found: bytes | None = await database.fetchval("SELECT document FROM vcons WHERE id = $1", uuid)
    return found


async def _object(s3: Any, uuid: str) -> bytes | None:
    key = f"2026/03/14/{uuid}.vcon"
    try:
        answer = await s3.get_object(Bucket=BUCKET, Key=key)
    except s3.exceptions.NoSuchKey:
        return None
    body: bytes = await answer["Body"].read()
    return body


async def _is_found(client: httpx.AsyncClient, it: Conversation) -> bool:
    """Whether the sentence that the customer said leads to this conversation."""
    reply = await client.get("/semantic-search", params={"q": it.concern, "limit": 3})
    hits = reply.json().get("hits", [])
    return reply.status_code == 200 and bool(hits) and hits[0]["uuid"] == it.uuid
