"""Fifty spoken conversations through the documented chain, and the process is killed on the way."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import redis

from vconflow.model.vcon import Vcon
from vconflow.testing.servers import free_port
from vconflow.testing.service_process import service

from .conversations import Conversation, conversations
from .passage import finished, look, post_all
from .stage import CONFIG, Stage, open_stage

COUNT = 50
KILLS = (8, 20, 35)
"""After so many calls for transcripts."""
CONCURRENCY = 8


@dataclass
class Paid:
    """What was paid for and recorded, and what was asked for, when the process was killed."""

    recorded: set[str]
    asked: Counter[str]


@dataclass
class Ledger:
    """Calls by what they were for: `transcript:<uuid>` and `summary:<uuid>`."""

    stage: Stage
    made: list[Conversation]
    valkey_url: str
    kills: list[Paid] = field(default_factory=list)

    def asked(self) -> Counter[str]:
        """How often each result was asked for."""
        by_recording = {it.recording: it.uuid for it in self.made}
        transcripts = [by_recording[call.recording] for call in self.stage.deepgram.calls]
        prompts = [call.prompt for call in self.stage.openai.calls if call.kind == "chat"]
        said = {it.uuid: self._said(it.uuid) for it in self.made}
        summaries = [
            uuid for prompt in prompts for uuid, text in said.items() if text and text in prompt
        ]
        return Counter(
            [f"transcript:{uuid}" for uuid in transcripts]
            + [f"summary:{uuid}" for uuid in summaries]
        )

    def note(self) -> None:
        """Look at what a killed process left: nothing changes any more before the next one."""
        recorded = {
            f"{item['type']}:{it.uuid}"
            for it in self.made
            if (document := self._document(it.uuid)) is not None
            for item in Vcon(document).analysis
        }
        self.kills.append(Paid(recorded, self.asked()))

    def check(self) -> Counter[str]:
        """Nothing was asked for again but calls in flight at a kill; what was, and how often."""
        in_flight, before = Counter[str](), Counter[str]()
        for kill in self.kills:
            left = {name for name in kill.asked - before if name not in kill.recorded}
            assert len(left) <= CONCURRENCY
            in_flight.update(left)
            before = kill.asked
        asked = self.asked()
        for kill in self.kills:
            assert not [name for name in kill.recorded if asked[name] > kill.asked[name]]
        repeated = Counter({name: count - 1 for name, count in asked.items() if count > 1})
        assert repeated <= in_flight
        return repeated

    def _said(self, uuid: str) -> str:
        document = self._document(uuid)
        found = Vcon(document).find_analysis("transcript") if document else None
        return str(found["body"]["transcript"]) if found else ""

    def _document(self, uuid: str) -> bytes | None:
        with redis.Redis.from_url(self.valkey_url) as client:
            found: bytes | None = client.get(f"vcon:{uuid}")  # type: ignore[assignment]
            return found


async def test_fifty_conversations_and_three_kills(tmp_path: Path, valkey_url: str) -> None:
    port = free_port()
    async with open_stage(tmp_path) as stage, httpx.AsyncClient(timeout=60) as client:
        client.base_url = httpx.URL(f"http://127.0.0.1:{port}")
        made = await asyncio.to_thread(lambda: list(conversations(COUNT, stage.recordings)))
        ledger = Ledger(stage, made, valkey_url)
        environment = {**stage.environment, "REDIS_URL": valkey_url}
        for number, calls in enumerate(KILLS):
            async with service(tmp_path, CONFIG, port=port, **environment) as process:
                if number == 0:
                    await post_all(client, made)
                await asyncio.to_thread(stage.deepgram.wait_for, calls, 300)
                await process.die()
            ledger.note()
        async with service(tmp_path, CONFIG, port=port, **environment):
            await finished(client, COUNT)
            findings = await look(client, stage, made)
    assert findings.missing == []
    repeated = ledger.check()
    print(f"paid calls repeated: {repeated.total()}")  # noqa: T201
    assert len(ledger.asked()) == 2 * COUNT
