"""Conversations with transcripts, and a provider on loopback that answers about them."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from vconflow.adapters.providers import Environment, ProviderOptions, open_providers
from vconflow.model.identifiers import new_uuid
from vconflow.model.vcon import Vcon
from vconflow.ports.component import Resources, Secret
from vconflow.ports.link import Link, LinkRun
from vconflow.ports.providers import Account
from vconflow.testing.contracts import resources_for
from vconflow.testing.providers import OpenAiServer
from vconflow.testing.providers.server import Call
from vconflow.testing.webhook_receiver import Reply

KEY = "sk-analysis-secret"


@dataclass
class Model:
    """What the server's model says: `answer` of the last message, the user's.

    `fault` may make the server answer otherwise, by the whole prompt.
    """

    answer: Callable[[str], str] = lambda prompt: "fine"
    fault: Callable[[str], Reply | None] = lambda prompt: None

    def __call__(self, messages: Sequence[Any]) -> str:
        return self.answer(str(messages[-1]["content"]))

    def decide(self, call: Call) -> Reply | None:
        return self.fault(call.prompt)


@asynccontextmanager
async def resources_at(server: OpenAiServer, tmp_path: Path) -> AsyncIterator[Resources]:
    """Resources whose account at OpenAI, named by the environment, is the server."""
    account = Account(api_key=Secret(KEY), base_url=server.base_url)
    async with open_providers(ProviderOptions(Environment(account))) as providers:
        yield resources_for(tmp_path, providers=providers)


@asynccontextmanager
async def opened(link_class: Any, resources: Resources, **options: Any) -> AsyncIterator[Link]:
    given = msgspec.convert(options, link_class.options, strict=False)
    async with link_class.open(given, resources) as link:
        yield link


def conversation(*texts: str | None, version: str = "0.0.1", **members: Any) -> Vcon:
    """A dialog per text, with a transcript as Deepgram's; None has no transcript."""
    dialog = {"type": "recording", "start": "2024-03-14T09:26:53Z", "parties": [0]}
    transcripts = [
        transcript(index, {"transcript": text, "paragraphs": {"transcript": text}})
        for index, text in enumerate(texts)
        if text is not None
    ]
    document = {
        "vcon": version,
        "uuid": new_uuid("analysis"),
        "created_at": "2024-03-14T09:26:53Z",
        "parties": [{"tel": "+15550100"}],
        "dialog": [dialog] * len(texts),
        "analysis": transcripts,
    }
    return Vcon(msgspec.json.encode(document | members))


def transcript(dialog: int, body: Any, encoding: str = "json") -> dict[str, Any]:
    item = {"type": "transcript", "dialog": dialog, "vendor": "deepgram"}
    return item | {"body": body, "encoding": encoding}


def added(vcon: Vcon, type: str) -> dict[Any, dict[str, Any]]:
    """The analyses of a type by dialog."""
    found = [item for item in vcon.analysis if item["type"] == type]
    assert len({item.get("dialog") for item in found}) == len(found)
    return {item.get("dialog"): item for item in found}


@dataclass
class Keeping:
    """Runs whose vCon is noted at each `keep`: how many analyses it had."""

    vcon: Vcon
    kept: list[int] = field(default_factory=list)
    failure: Exception | None = None

    async def keep(self) -> None:
        self.kept.append(len(self.vcon.analysis))
        if self.failure is not None:
            raise self.failure

    def run(self, attempt: int = 1) -> LinkRun:
        return run(attempt=attempt, keeper=self.keep)


def run(entry: str = "5-1", link: str = "asks", **members: Any) -> LinkRun:
    return LinkRun(link=link, chain="main", list="in", entry=entry, **members)
