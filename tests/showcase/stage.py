"""All that the documented chain talks to, on loopback, and real as far as it costs nothing."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from vconflow.testing import servers
from vconflow.testing.providers import (
    DeepgramServer,
    OpenAiServer,
    deepgram_server,
    openai_server,
)
from vconflow.testing.servers.s3_server import KEYS
from vconflow.testing.speech import whisper
from vconflow.testing.webhook_receiver import WebhookReceiver, webhook_receiver

from .conversations import recordings_served

__all__ = ["BUCKET", "CONFIG", "Stage", "open_stage"]

CONFIG = Path(__file__).parents[2] / "samples" / "documented-chain.yml"
BUCKET = "vcons"
DIMENSIONS = 256
_KEYS = {"DEEPGRAM_KEY": "key-of-deepgram", "OPENAI_API_KEY": "key-of-openai"}


@dataclass(frozen=True)
class Stage:
    """The servers, and the environment by which the configuration finds them."""

    deepgram: DeepgramServer
    openai: OpenAiServer
    receiver: WebhookReceiver
    postgres: servers.PostgresServer
    s3: servers.S3Server
    recordings: dict[str, bytes]
    environment: Mapping[str, str]


@asynccontextmanager
async def open_stage(folder: Path) -> AsyncIterator[Stage]:
    """Start all servers; everything is empty. `folder` is for what they keep."""
    async with AsyncExitStack() as stack:
        enter, start = stack.enter_async_context, stack.enter_context
        deepgram = start(deepgram_server(whisper, keys={_KEYS["DEEPGRAM_KEY"]}))
        openai = start(
            openai_server(complete=summarize, embed=embed, keys={_KEYS["OPENAI_API_KEY"]})
        )
        receiver = start(webhook_receiver())
        recordings = start(recordings_served())
        postgres = await enter(servers.postgres())
        (folder / "s3").mkdir()
        s3 = await enter(servers.s3(folder / "s3"))
        milvus = await enter(servers.milvus())
        access = await s3.make_bucket(BUCKET)
        environment = {
            **_KEYS,
            "DEEPGRAM_URL": deepgram.url,
            "OPENAI_BASE_URL": openai.base_url,
            "WEBHOOK_URL": receiver.url,
            "POSTGRES_DSN": postgres.url,
            "AWS_ACCESS_KEY_ID": "test:owner",
            "AWS_SECRET_ACCESS_KEY": KEYS["test:owner"],
            "AWS_BUCKET": BUCKET,
            "AWS_ENDPOINT_URL": str(access.endpoint_url),
            "MILVUS_URI": milvus.url,
            "EMBEDDING_DIM": str(DIMENSIONS),
            "VCONFLOW_FETCH_ALLOW": "127.0.0.1",
        }
        yield Stage(deepgram, openai, receiver, postgres, s3, recordings, environment)


def summarize(messages: Sequence[Mapping[str, Any]]) -> str:
    """The sentence of the last message in which most is said that is said in no greeting."""
    text = str(messages[-1]["content"]).partition("\n\n")[2]
    sentences = re.split(r"(?<=[.!?])\s+", " ".join(text.split()))
    return max(sentences, key=lambda sentence: len(_words(sentence) - _GREETING))


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z']+", text.lower()))


_GREETING = _words("good morning how can I help you I am sorry to hear that I will take care of it")


def embed(text: str) -> list[float]:
    """A vector of a real model that comes in a wheel."""
    vector: list[float] = _model().embed([text], norm=True)[0].tolist()
    return vector


@lru_cache(maxsize=1)
def _model() -> Any:
    import wordllama

    return wordllama.WordLlama.load(
        cache_dir=Path(wordllama.__file__).parent, disable_download=True
    )
